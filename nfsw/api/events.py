"""The status as server-sent events, for the status page. Main process; costs nothing while nobody listens."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from nfsw.api.answers import encode
from nfsw.api.throughput import Throughput
from nfsw.supervisor.service import Service

#: Seconds between two statuses. They come even when nothing changed: that is how the page knows that the line is alive.
INTERVAL_S = 1.0


def add_events(app: FastAPI, service: Service, throughput: Throughput) -> None:
    # Not in the OpenAPI schema: 3.1 has no words for a stream, and tools that try every path would read it for ever.
    @app.get("/v1/watch/events", include_in_schema=False)
    async def events(request: Request) -> Response:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        if request.method == "HEAD":  # which a stream without an end would never answer
            return Response(None, headers=headers, media_type="text/event-stream")
        return StreamingResponse(_stream(service, throughput), headers=headers, media_type="text/event-stream")


async def _stream(service: Service, throughput: Throughput) -> AsyncIterator[bytes]:
    """`limits` and `throughput` at first and when they change, `status` every time."""
    told: dict[str, bytes] = {}
    while True:
        for name, value in (("limits", service.limits()), ("throughput", throughput.history())):
            if told.get(name) != (data := encode(value)):
                told[name] = data
                yield _event(name, data)
        yield _event("status", encode(service.status()))
        await asyncio.sleep(INTERVAL_S)


def _event(name: str, data: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)
