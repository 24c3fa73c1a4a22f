"""The blob container, as much of it as nfsw needs, on the SDK's public calls. Uploader process.

The SDK's own retries are off: they sleep 15 seconds and more, do not retry 429 and do not honour Retry-After. Whatever goes
wrong leaves here as one of a few errors that say what can be done about it.
"""

import base64
import logging
import mimetypes
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, ContentSettings
from azure.storage.blob.aio import BlobClient, BlobServiceClient, ContainerClient

from nfsw.actors.azure_clock import AzureClock
from nfsw.actors.azure_errors import REQUEST_ID, BytesRefused, NotAzure, StoreTrouble, code_of, translated
from nfsw.actors.azure_transport import followed, streamed, transport_to
from nfsw.actors.blob_options import BlobOptions
from nfsw.actors.crc64 import wire
from nfsw.actors.files import Fingerprint
from nfsw.actors.manifest import Block, Checksums

#: A blob of at most this many bytes is written again where that is the only way to drop blocks beside it.
_LARGEST_REWRITTEN = 64 * 1024 * 1024
#: The blob's metadata in which its source is noted, and the CRC64 of the whole file (base64, as `x-ms-content-crc64` has it).
_SOURCE = "nfsw_source"
_CRC64 = "nfsw_crc64"

#: An ETag that no blob has.
_NO_ETAG = '"0x0"'

#: What a token is asked for: the blob service, of whatever account.
_SCOPE = "https://storage.azure.com/.default"

log = logging.getLogger("nfsw.uploader")

_TYPES = mimetypes.MimeTypes(filenames=())


@dataclass(frozen=True, slots=True)
class StoredBlob:
    size: int
    crc64: str | None  # as `crc64_note` of the file that it was made from; None: not made by nfsw, or by a release that had none
    md5: bytes | None
    source: str | None  # as `source_note` of that file
    etag: str = field(compare=False)  # of this very state of it


@dataclass(frozen=True, slots=True)
class Written:
    """What the service answered to a request that made a blob."""

    request_id: str
    proven: bool  # it named an ETag, and for what it holds the checksum that was sent: there is nothing to read back


def source_note(fingerprint: Fingerprint) -> str:
    return f"{fingerprint.size}-{fingerprint.mtime_ns}-{fingerprint.inode}"


def crc64_note(checksums: Checksums) -> str:
    return base64.b64encode(wire(checksums.crc64)).decode()


#: Is told, when a request begins that carries a body, how to count what of it has left, in bytes.
type Follow = Callable[[Callable[[], int]], None]


def _nobody(count: Callable[[], int]) -> None:
    """Does not want to know."""


class Store:
    def __init__(
        self, service: BlobServiceClient, container: str, clock: AzureClock, credential: Any = None, options: BlobOptions | None = None
    ) -> None:
        """`clock`: hears of each answer. `options`: of each blob."""
        self._options = options or BlobOptions(None, ())
        self._service = service
        self._credential = credential
        self._container: ContainerClient = service.get_container_client(container)
        self.clock = clock
        self._takes_crc64: bool | None = None  # not asked yet

    @classmethod
    def connect(
        cls, account_url: str | None, connection_string: str | None, container: str, blob_options: BlobOptions | None = None
    ) -> "Store":
        """With a connection string, or DefaultAzureCredential. Raises ValueError for a string that is none. Makes no request."""
        credential = None
        if connection_string:
            url = str(BlobServiceClient.from_connection_string(connection_string).url)
        else:
            from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - 5 MB that a connection string does without

            assert account_url is not None
            url, credential = account_url, DefaultAzureCredential()
        clock = AzureClock()
        options: dict[str, Any] = {
            "transport": transport_to(url),
            "max_single_put_size": 5000 * 1024 * 1024,  # Azure's own; above its own limit the SDK cuts into blocks what is put
            "retry_total": 0,
            "retry_connect": 0,
            "logging_enable": False,
            "raw_response_hook": partial(_hear, clock),
        }
        if connection_string:
            service = BlobServiceClient.from_connection_string(connection_string, **options)
        else:
            service = BlobServiceClient(url, credential=credential, **options)
        return cls(service, container, clock, credential, blob_options)

    @property
    def url(self) -> str:
        return str(self._service.url)

    async def authenticate(self) -> bool:
        """Asks for a token. False: none is needed, each request is signed or carries a signature. Raises StoreTrouble."""
        if self._credential is None:
            return False
        with translated():
            await self._credential.get_token(_SCOPE)
        return True

    async def close(self) -> None:
        await self._service.close()
        if self._credential is not None:
            await self._credential.close()

    async def ensure_container(self) -> bool:
        """Makes the container if it is not there, and says whether it did. Raises StoreTrouble."""
        with translated():
            try:
                await self._container.get_container_properties()
            except ResourceNotFoundError:
                try:
                    await self._container.create_container()
                except ResourceExistsError as error:
                    if code_of(error) != "ContainerAlreadyExists":  # being deleted, say
                        raise
                else:
                    return True
            return False

    async def probe(self) -> None:
        """One small request, to see whether the service answers. Raises StoreTrouble."""
        with translated():
            await self._container.get_container_properties()

    async def may_write(self, blob: str) -> None:
        """Asks whether a blob of that name may be written, by a request without a body that never writes one. Raises StoreTrouble.

        Rights are looked at before conditions, and no blob has the ETag that this one asks for.
        """
        with translated():
            try:
                await self._blob(blob).commit_block_list([], etag=_NO_ETAG, match_condition=MatchConditions.IfNotModified)
            except ResourceModifiedError:
                return

    async def look(self, blob: str) -> StoredBlob | None:
        """None when there is no blob of that name. Raises StoreTrouble."""
        with translated():
            try:
                found = await self._blob(blob).get_blob_properties()
            except ResourceNotFoundError as error:
                if code_of(error) == "ContainerNotFound":
                    raise
                return None
            md5, notes = found.content_settings.content_md5, found.metadata or {}
            return StoredBlob(found.size, notes.get(_CRC64), bytes(md5) if md5 else None, notes.get(_SOURCE), str(found.etag))

    async def blocks(self, blob: str) -> dict[str, int] | None:
        """Sizes in bytes of the uncommitted blocks, by id; None when the service knows nothing of that name."""
        with translated():
            try:
                _, uncommitted = await self._blob(blob).get_block_list("uncommitted")
            except ResourceNotFoundError as error:
                if code_of(error) == "ContainerNotFound":
                    raise
                return None
            return {block.id: block.size for block in uncommitted}

    async def takes_crc64(self) -> bool:
        """Whether the service checks what it receives by a CRC64. Azure does; Azurite up to 3.36 refuses the header, unless it is started
        with `--loose`. Asked once, by a request that carries nothing. Raises StoreTrouble.
        """
        if self._takes_crc64 is None:
            with translated():
                try:
                    await self._container.get_container_properties(headers={"x-ms-content-crc64": base64.b64encode(wire(0)).decode()})
                except HttpResponseError as error:
                    if code_of(error) == "FeatureNotSupported":
                        if self._takes_crc64 is None:  # several files may have asked at a time
                            log.warning("the blob service does not take CRC64 (an older Azurite?): bodies go up with an MD5 instead")
                        self._takes_crc64 = False
                        return False
                    if (error.status_code or 500) >= 500:
                        raise
                self._takes_crc64 = True
        return self._takes_crc64

    async def put(
        self,
        blob: str,
        body: bytes | Callable[[], AsyncIterator[bytes]],
        whole: Checksums,
        fingerprint: Fingerprint,
        *,
        replace: StoredBlob | None,
        md5: bytes | None = None,
        follow: Follow = _nobody,
    ) -> Written:
        """The whole blob in one request. `body`: the file of that fingerprint, or what gives its pieces, as often as it is asked.

        `replace`: the one that may be there; any other raises BlobThere. `md5`: as for `stage`.

        One that is to have an MD5 is checked by that: here the service refuses a CRC64 beside it. Raises BytesRefused as well when the
        service answers that it holds other bytes.
        """
        check = _check(whole.crc64, md5 or whole.md5)
        with translated():
            made = await self._options.applied(
                blob,
                lambda options: self._blob(blob).upload_blob(
                    body if isinstance(body, bytes) else b"",
                    length=len(body) if isinstance(body, bytes) else fingerprint.size,
                    overwrite=replace is not None,
                    content_settings=_settings(blob, whole),
                    metadata=_notes(whole, fingerprint),
                    **check,
                    **followed(follow),
                    **({} if isinstance(body, bytes) else streamed(body())),
                    **(_if_it_is(replace) if replace else {}),
                    **options,
                ),
            )
        (name, sent), *_ = check.items()
        held = made.get(name.removeprefix("transactional_"))
        if held is not None and bytes(held) != sent:
            raise BytesRefused(f"the service answers that it holds other bytes (request id {made.get('request_id')})")
        # An MD5 that is stored beside the blob is not in the answer: that one is read back.
        return Written(str(made.get("request_id")), proven=bool(held and made.get("etag") and not whole.md5))

    async def stage(
        self, blob: str, block_id: str, block: Block, body: AsyncIterator[bytes], md5: bytes | None = None, *, follow: Follow = _nobody
    ) -> None:
        """One block, under that id. `md5`: of the block, by which the service is to check it; None: it is to check the block's CRC64."""
        with translated():
            options = _check(block.crc64, md5) | followed(follow)
            await self._blob(blob).stage_block(block_id, body, length=block.length, **options)  # type: ignore[arg-type]

    async def commit(
        self, blob: str, block_ids: Sequence[str], whole: Checksums, fingerprint: Fingerprint, *, replace: StoredBlob | None
    ) -> Written:
        """Makes the blob of these blocks, and drops all others of its name.

        `replace`: the blob that may be there; any other raises BlobThere.
        """
        conditions = _if_it_is(replace) if replace else {"match_condition": MatchConditions.IfMissing}
        with translated():
            made = await self._options.applied(
                blob,
                lambda options: self._blob(blob).commit_block_list(
                    [BlobBlock(block_id) for block_id in block_ids],
                    content_settings=_settings(blob, whole),
                    metadata=_notes(whole, fingerprint),
                    **conditions,
                    **options,
                ),
            )
            return Written(str(made.get("request_id")), proven=False)  # the answer names no checksum of the whole

    async def read(self, blob: str) -> bytes:
        with translated():
            return bytes(await (await self._blob(blob).download_blob()).readall())

    async def delete(self, blob: str) -> None:
        with translated():
            await self._blob(blob).delete_blob()

    async def clear_blocks(self, blob: str) -> None:
        """Drops all uncommitted blocks of the name; what is committed under it stays what it is. Raises StoreTrouble.

        A block list that omits them drops them. Where nothing is committed yet that takes an empty blob for an instant. A blob
        that was put whole has no block list, and of an id that is there twice the SDK only names the newer block, since it never
        sends `Committed`: such content becomes one block.
        """
        client = self._blob(blob)
        with translated():
            if not await self.blocks(blob):
                return
            committed, others = await client.get_block_list("all")
            try:
                there = await client.get_blob_properties()
            except ResourceNotFoundError:
                made = await client.commit_block_list([], match_condition=MatchConditions.IfMissing)
                await client.delete_blob(etag=str(made["etag"]), match_condition=MatchConditions.IfNotModified)
                return
            unchanged: dict[str, Any] = {"etag": there.etag, "match_condition": MatchConditions.IfNotModified}
            blocks = [block.id for block in committed]
            if (there.size and not blocks) or not {block.id for block in others}.isdisjoint(blocks):
                if there.size > _LARGEST_REWRITTEN:
                    raise StoreTrouble("blocks that somebody else left cannot be dropped without the blob beside them; delete that blob")
                content = await (await client.download_blob(**unchanged)).readall()
                blocks = ["0" * len(others[0].id)]  # all ids of a blob have one length
                await client.stage_block(blocks[0], content, length=len(content))
            await client.commit_block_list(
                [BlobBlock(block) for block in blocks], content_settings=there.content_settings, metadata=there.metadata, **unchanged
            )

    def _blob(self, name: str) -> BlobClient:
        return self._container.get_blob_client(name)


def _hear(clock: AzureClock, answer: Any) -> None:
    """Called by the SDK with each answer, before it makes anything of it. Raises NotAzure."""
    head = answer.http_response
    if REQUEST_ID not in head.headers:
        what = f"HTTP {head.status_code} {head.reason or ''}".strip()
        raise NotAzure(f"no answer from Azure: something on the way answered {what}, without {REQUEST_ID}")
    clock.hear(head.headers.get("Date"))


def _if_it_is(there: StoredBlob) -> dict[str, Any]:
    return {"etag": there.etag, "match_condition": MatchConditions.IfNotModified}


def _check(crc64: int, md5: bytes | None) -> dict[str, Any]:
    """Never both: that is refused."""
    return {"transactional_content_crc64": wire(crc64)} if md5 is None else {"transactional_content_md5": md5}


def _notes(whole: Checksums, fingerprint: Fingerprint) -> dict[str, str]:
    return {_SOURCE: source_note(fingerprint), _CRC64: crc64_note(whole)}


def _settings(blob: str, whole: Checksums) -> ContentSettings:
    # By the extension alone: a name that looks like a URL, such as one that begins with `data:`, would name a type of its own.
    guessed, encoding = _TYPES.guess_type("_" + os.path.splitext(blob)[1])
    content_type = guessed if guessed and not encoding else "application/octet-stream"
    return ContentSettings(content_type=content_type, content_md5=bytearray(whole.md5) if whole.md5 else None)
