"""The body of a request: JSON, of a bounded size, and there within a bounded time. Main process.

FastAPI bounds no time, and its `max_body_size` answers in plain text. Hence a request class of our own, in a route class of our own.
"""

import asyncio
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

#: Many times what any real body needs.
LARGEST_BODY = 64 * 1024
#: Seconds for a body to arrive. One that never does would hold its connection for ever.
BODY_S = 30.0

#: The rest of a body that was not read to its end still stands in the connection, which is of no further use.
_CLOSE = {"Connection": "close"}


class BoundedRequest(Request):
    async def body(self) -> bytes:
        """Raises HTTPException."""
        if not hasattr(self, "_body"):
            self._body = await self._read()
            # A web page can make a browser send any other type to another origin without asking first, so no other one is taken for JSON.
            media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
            if self._body and media_type != "application/json":
                raise HTTPException(HTTPStatus.BAD_REQUEST, "the body must be JSON, sent with Content-Type: application/json")
        return self._body

    async def json(self) -> Any:
        """Raises HTTPException."""
        try:
            return msgspec.json.decode(await self.body())
        except msgspec.DecodeError as error:
            raise HTTPException(HTTPStatus.BAD_REQUEST, f"the body is not valid JSON: {error}") from None

    async def _read(self) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_S):
                async for part in self.stream():
                    body += part
                    if len(body) > LARGEST_BODY:
                        detail = f"the body is larger than {LARGEST_BODY} bytes"
                        raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, _CLOSE)
        except TimeoutError:
            raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, f"the body did not arrive within {BODY_S:.0f} s", _CLOSE) from None
        except ClientDisconnect:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "the body ended early") from None
        return bytes(body)


class BoundedRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_bounded(request: Request) -> Response:
            return await handle(BoundedRequest(request.scope, request.receive))

        return handle_bounded
