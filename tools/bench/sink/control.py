"""The sink's second port: its counters as JSON, a reset, and the cap. Sink process.

GET /totals, GET /blobs, POST /reset, PUT /containers/<name>, PUT /cap with {"bytes_per_s": number or null}.
"""

import json
import resource
import time

from tools.bench.sink.bucket import Bucket
from tools.bench.sink.http import Body, Exchange, Request, Response
from tools.bench.sink.ledger import Blob, Ledger


class ControlApi:
    def __init__(self, ledger: Ledger, bucket: Bucket) -> None:
        self._ledger = ledger
        self._bucket = bucket

    def begin(self, request: Request) -> Exchange:
        return Exchange(lambda body: self._answer(request, body), keep=True)

    def _answer(self, request: Request, body: Body) -> Response:
        match request.method, request.path:
            case "GET", "/totals":
                return _json(self._totals())
            case "GET", "/blobs":
                return _json([_described(container, name, blob) for (container, name), blob in self._ledger.blobs.items()])
            case "POST", "/reset":
                self._ledger.forget()
                return _json({})
            case "PUT", path if path.startswith("/containers/"):
                self._ledger.containers.add(path.removeprefix("/containers/"))
                return _json({})
            case "PUT", "/cap":
                self._bucket.rate = json.loads(body.content)["bytes_per_s"]
                return _json({})
            case _:
                return Response(404)

    def _totals(self) -> dict[str, object]:
        totals, used = self._ledger.totals, resource.getrusage(resource.RUSAGE_SELF)
        return {
            "received": totals.received,
            "committed": totals.committed,
            "first_at": totals.first_at,
            "last_at": totals.last_at,
            "requests": dict(self._ledger.requests),
            "cpu_s": used.ru_utime + used.ru_stime,
            "now": time.monotonic(),
        }


def _described(container: str, name: str, blob: Blob) -> dict[str, object]:
    done = blob.committed
    return {
        "container": container,
        "name": name,
        "received": blob.received,
        "commits": blob.commits,
        "size": done.size if done else None,
        "headers": dict(done.headers) if done else {},
        "committed_at": done.at if done else None,
        "put": blob.whole.received,
        "parts": {block: {"received": part.received, "completed": part.completed} for block, part in blob.parts.items()},
        "order": list(done.blocks) if done else [],
        "sizes": blob.sizes,
        "staged": blob.staged,
    }


def _json(value: object) -> Response:
    return Response(200, {"Content-Type": "application/json"}, json.dumps(value).encode())
