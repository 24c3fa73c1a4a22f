"""The part of the Blob REST API that uploaders use. Path style, as Azurite has it: /account/container/blob. Sink process."""

import base64
import binascii
import functools
import itertools
import time
from collections.abc import Callable
from email.utils import formatdate
from xml.etree import ElementTree

from tools.bench.sink import listing
from tools.bench.sink.checksums import BY_HEADER, MISMATCH
from tools.bench.sink.http import Body, Checksum, Exchange, Request, Response
from tools.bench.sink.ledger import Blob, Ledger, Part

VERSION = "2021-12-02"
NO_ID = "00000000-0000-0000-0000-000000000000"
#: Request header -> header of the properties.
SET_BY = {
    "x-ms-blob-content-type": "Content-Type",
    "x-ms-blob-content-encoding": "Content-Encoding",
    "x-ms-blob-content-language": "Content-Language",
    "x-ms-blob-content-disposition": "Content-Disposition",
    "x-ms-blob-cache-control": "Cache-Control",
    "x-ms-blob-content-md5": "Content-MD5",
}
#: Request header -> header in which the service states the same of what it holds.
RESPONSE = {"content-md5": "Content-MD5", "x-ms-content-crc64": "x-ms-content-crc64"}


class BlobApi:
    def __init__(self, ledger: Ledger, *, check: bool = False) -> None:
        self._ledger = ledger
        self._check = check
        self._etags = itertools.count(1)

    def begin(self, request: Request) -> Exchange:
        _root, _account, *rest = request.path.split("/", 3)
        container, blob = (rest[0] if rest else ""), (rest[1] if len(rest) > 1 else "")
        kind, comp = request.query.get("restype"), request.query.get("comp")
        what = "container" if container and not blob else "blob" if blob else "account"
        match what, request.method, kind, comp:
            case "container", "PUT", "container", None:
                return self._plain("Create Container", lambda _: self._create(container))
            case "container", "GET" | "HEAD", "container", None:
                return self._plain("Get Container Properties", lambda _: self._in(container, lambda: self._answer(200)))
            case "container", "GET", "container", "list":
                return self._plain("List Blobs", lambda _: self._in(container, lambda: self._list(container, request)))
            case "blob", "PUT", None, None:
                return self._put_blob(container, blob, request)
            case "blob", "PUT", None, "block":
                return self._put_block(container, blob, request)
            case "blob", "PUT", None, "blocklist":
                return self._plain(
                    "Put Block List", lambda body: self._in(container, lambda: self._put_list(container, blob, request, body)), keep=True
                )
            case "blob", "GET", None, "blocklist":
                return self._plain("Get Block List", lambda _: self._in(container, lambda: self._get_list(container, blob, request)))
            case "blob", "HEAD", None, None:
                return self._plain("Get Blob Properties", lambda _: self._in(container, lambda: self._properties(container, blob)))
            case "blob", "DELETE", None, None:
                return self._plain("Delete Blob", lambda _: self._in(container, lambda: self._delete(container, blob)))
            case _:
                return self._plain("other", lambda _: self._refuse(501, "NotImplemented"))

    def _plain(self, operation: str, finish: Callable[[Body], Response], *, keep: bool = False) -> Exchange:
        self._ledger.requests[operation] += 1
        return Exchange(finish, keep=keep)

    def _put_blob(self, container: str, name: str, request: Request) -> Exchange:
        self._ledger.requests["Put Blob"] += 1
        blob = self._ledger.blob(container, name)

        def finish(body: Body) -> Response:
            if wrong := self._wrong(container, request, body):
                return wrong
            if {"x-ms-blob-content-md5", "x-ms-content-crc64"} <= request.headers.keys():
                return self._refuse(400, "BothCrc64AndMd5HeaderPresent")
            if request.headers.get("if-none-match") == "*" and blob.committed is not None:
                return self._refuse(409, "BlobAlreadyExists")
            blob.whole.completed += 1
            headers = self._set(request)
            if "Content-MD5" not in headers and "content-md5" in request.headers:
                headers["Content-MD5"] = request.headers["content-md5"]
            self._ledger.commit(blob, headers, {}, body.size, ())
            held = {RESPONSE[name]: request.headers[name] for name in BY_HEADER if name in request.headers}  # without --check: believed
            return self._answer(201, {"ETag": headers["ETag"], "Last-Modified": headers["Last-Modified"], **held})

        return Exchange(finish, tally=blob.whole, checksum=self._checksum(request))

    def _put_block(self, container: str, name: str, request: Request) -> Exchange:
        self._ledger.requests["Put Block"] += 1
        block = request.query.get("blockid", "")
        blob = self._ledger.blob(container, name)
        part = self._ledger.part(blob, block)

        def finish(body: Body) -> Response:
            return self._wrong(container, request, body) or self._staged(blob, part, block, body.size)

        return Exchange(finish, tally=part, checksum=self._checksum(request))

    def _staged(self, blob: Blob, part: Part, block: str, size: int) -> Response:
        try:
            length = len(base64.b64decode(block, validate=True))
        except binascii.Error:
            return self._refuse(400, "InvalidQueryParameterValue")
        if not 1 <= length <= 64:
            return self._refuse(400, "InvalidQueryParameterValue")
        if any(len(other) != len(block) for other in itertools.islice(blob.staged, 1)):
            return self._refuse(400, "InvalidBlobOrBlock")
        part.completed += 1
        blob.staged[block] = size
        return self._answer(201)

    def _put_list(self, container: str, name: str, request: Request, body: Body) -> Response:
        blob = self._ledger.blob(container, name)
        sizes: dict[str, int] = {}
        order: list[str] = []
        for element in ElementTree.fromstring(body.content):  # noqa: S314 - written by the uploader under test
            places = {"Latest": (blob.staged, blob.sizes), "Uncommitted": (blob.staged,), "Committed": (blob.sizes,)}[element.tag]
            block = (element.text or "").strip()
            found = next((place[block] for place in places if block in place), None)
            if found is None:
                return self._refuse(400, "InvalidBlockList")
            sizes[block] = found
            order.append(block)
        headers = self._set(request)
        self._ledger.commit(blob, headers, sizes, sum(sizes[block] for block in order), tuple(order))
        return self._answer(201, {"ETag": headers["ETag"], "Last-Modified": headers["Last-Modified"]})

    def _get_list(self, container: str, name: str, request: Request) -> Response:
        blob = self._ledger.blobs.get((container, name))
        if blob is None or (blob.committed is None and not blob.staged):
            return self._refuse(404, "BlobNotFound")
        return self._answer(200, {"Content-Type": "application/xml"}, listing.blocks(blob, request.query.get("blocklisttype", "committed")))

    def _properties(self, container: str, name: str) -> Response:
        blob = self._ledger.blobs.get((container, name))
        if blob is None or blob.committed is None:
            return self._refuse(404, "BlobNotFound")
        done = blob.committed
        return self._answer(200, {**done.headers, "Content-Length": str(done.size), "x-ms-blob-type": "BlockBlob"})

    def _delete(self, container: str, name: str) -> Response:
        blob = self._ledger.blobs.get((container, name))
        if blob is None or blob.committed is None:
            return self._refuse(404, "BlobNotFound")
        blob.committed, blob.sizes = None, {}
        return self._answer(202)

    def _create(self, container: str) -> Response:
        if container in self._ledger.containers:
            return self._refuse(409, "ContainerAlreadyExists")
        self._ledger.containers.add(container)
        return self._answer(201)

    def _list(self, container: str, request: Request) -> Response:
        names = {name: blob for (of, name), blob in self._ledger.blobs.items() if of == container and blob.committed is not None}
        body = listing.blobs(container, names, request.query.get("prefix", ""), request.query.get("delimiter", ""))
        return self._answer(200, {"Content-Type": "application/xml"}, body)

    def _wrong(self, container: str, request: Request, body: Body) -> Response | None:
        if container not in self._ledger.containers:
            return self._refuse(404, "ContainerNotFound")
        stated = [header for header in BY_HEADER if header in request.headers]
        if len(stated) > 1:
            return self._refuse(400, "BothCrc64AndMd5HeaderPresent")
        if body.checksum is not None and base64.b64encode(body.checksum).decode() != request.headers[stated[0]]:
            return self._refuse(400, MISMATCH[stated[0]])
        return None

    def _checksum(self, request: Request) -> Callable[[], Checksum] | None:
        return next((made for header, made in BY_HEADER.items() if self._check and header in request.headers), None)

    def _in(self, container: str, answer: Callable[[], Response]) -> Response:
        return answer() if container in self._ledger.containers else self._refuse(404, "ContainerNotFound")

    def _set(self, request: Request) -> dict[str, str]:
        headers = {"Content-Type": "application/octet-stream"}
        headers.update({SET_BY[name]: value for name, value in request.headers.items() if name in SET_BY})
        headers.update({name: value for name, value in request.headers.items() if name.startswith("x-ms-meta-")})
        now = _date(int(time.time()))
        return {**headers, "ETag": f'"0x{next(self._etags):X}"', "Last-Modified": now, "x-ms-creation-time": now}

    def _answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Response:
        common = {
            "x-ms-version": VERSION,
            "x-ms-request-id": NO_ID,
            "Date": _date(int(time.time())),
            "x-ms-request-server-encrypted": "true",
        }
        return Response(status, {**common, **(headers or {})}, body)

    def _refuse(self, status: int, code: str) -> Response:
        return self._answer(status, {"x-ms-error-code": code, "Content-Type": "application/xml"}, listing.error(code))


@functools.lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
