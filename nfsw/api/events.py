"""The status as server-sent events, for the status page. Main process; costs nothing while nobody listens."""

import asyncio
from collections.abc import AsyncIterator, Mapping

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from nfsw.api.answers import encode
from nfsw.api.throughput import Throughput
from nfsw.supervisor.service import Service

#: Seconds between two statuses. They come even when nothing changed: that is how the page knows that the line is alive.
INTERVAL_S = 1.0
#: A timer may fire that much early, in seconds.
_EARLY_S = 0.01


def add_events(app: FastAPI, service: Service, throughput: Throughput) -> None:
    feed = Feed(service, throughput)

    # Not in the OpenAPI schema: 3.1 has no words for a stream, and tools that try every path would read it for ever.
    @app.get("/v1/watch/events", include_in_schema=False)
    async def events(request: Request) -> Response:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        if request.method == "HEAD":  # which a stream without an end would never answer
            return Response(None, headers=headers, media_type="text/event-stream")
        return StreamingResponse(feed.stream(), headers=headers, media_type="text/event-stream")


class Feed:
    """What all streams say. It is encoded once a second, by whichever stream is the first to need it: a status may be 250 KiB long."""

    def __init__(self, service: Service, throughput: Throughput) -> None:
        self._service = service
        self._throughput = throughput
        self._latest: Mapping[str, bytes] = {}
        self._next_at = 0.0  # when there is to be another one, in seconds of the loop's clock

    async def stream(self) -> AsyncIterator[bytes]:
        """`limits` and `throughput` at first and when they change, `status` every time."""
        told: Mapping[str, bytes] = {}
        while True:
            latest = self._encoded()
            yield b"".join(event for name, event in latest.items() if name == "status" or event != told.get(name))
            told = latest
            await asyncio.sleep(self._next_at - asyncio.get_running_loop().time())

    def _encoded(self) -> Mapping[str, bytes]:
        now = asyncio.get_running_loop().time()
        if now >= self._next_at - _EARLY_S:
            self._latest = {
                "limits": _event("limits", self._service.limits()),
                "throughput": _event("throughput", self._throughput.history()),
                "status": _event("status", self._service.status()),
            }
            self._next_at = now + INTERVAL_S
        return self._latest


def _event(name: str, value: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), encode(value))
