"""The status as server-sent events, with the throughput of the last minutes, for the status page. Main process."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from nfsw.api.encoding import to_json
from nfsw.supervisor.service import Service

#: Seconds between two statuses. They come even when nothing changed: that is how the page knows that the line is alive.
INTERVAL_S = 1.0
#: How much too early a timer may fire, in seconds.
_EARLY_S = 0.01
#: Files in flight, and refused ones, that an event has at most: what the page has room for. Some of the readers are phones.
LISTED = 100


class Feed:
    """The events that all streams send: encoded once a second, by the first stream that needs them; without a stream not at all."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._latest: Mapping[str, bytes] = {}
        self._next_at = 0.0  # when there is to be another one, in seconds of the loop's clock

    async def stream(self) -> AsyncIterator[bytes]:
        """`limits` and `throughput` at first and when they change, `status` every time."""
        sent: Mapping[str, bytes] = {}
        while True:
            latest = self._encoded()
            yield b"".join(event for name, event in latest.items() if name == "status" or event != sent.get(name))
            sent = latest
            await asyncio.sleep(self._next_at - asyncio.get_running_loop().time())

    def _encoded(self) -> Mapping[str, bytes]:
        now = asyncio.get_running_loop().time()
        if now >= self._next_at - _EARLY_S:
            status = self._service.status()
            status = replace(status, in_flight=status.in_flight[:LISTED], refused=status.refused[:LISTED])
            events = {"limits": self._service.limits(), "throughput": self._service.throughput(), "status": status}
            self._latest = {name: b"event: %s\ndata: %s\n\n" % (name.encode(), to_json(value)) for name, value in events.items()}
            self._next_at = now + INTERVAL_S
        return self._latest


def add_stream(app: FastAPI, service: Service) -> None:
    feed = Feed(service)

    # Not in the OpenAPI document: 3.1 has no words for a stream, and tools that try every path would read it for ever.
    @app.get("/v1/watch/events", include_in_schema=False)
    async def events(request: Request) -> Response:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        if request.method == "HEAD":  # which a stream without an end would never answer
            return Response(None, headers=headers, media_type="text/event-stream")
        return StreamingResponse(feed.stream(), headers=headers, media_type="text/event-stream")
