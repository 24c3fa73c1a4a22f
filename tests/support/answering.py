"""A server on loopback that gives one answer to whatever it is asked, and keeps what that was."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from nfsw.actors.azure_store import Store
from tests.support.azurite import Endpoint
from tests.support.proxy_http import Hungup, body_of, read_head

#: As Azure names its answers.
REQUEST_ID = "11111111-2222-3333-4444-555555555555"


@dataclass(slots=True)
class Answering:
    status: str = "200 OK"
    fields: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    asked: list[str] = field(default_factory=list)  # heads of requests
    port: int = 0

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.port, None)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await read_head(reader)
            self.asked.append(head.raw.decode())
            async for _ in body_of(head, reader):
                pass
            fields = {"Content-Length": str(len(self.body))} | dict(self.fields)
            lines = [f"HTTP/1.1 {self.status}", *(f"{name}: {value}" for name, value in fields.items())]
            writer.write("\r\n".join([*lines, "", ""]).encode() + (b"" if head.method == "HEAD" else self.body))
            await writer.drain()
        except (Hungup, OSError):
            return  # the client has left
        finally:
            writer.close()


@asynccontextmanager
async def answering(status: str = "200 OK", fields: Mapping[str, str] | None = None, body: bytes = b"") -> AsyncIterator[Answering]:
    """Without other fields than these, but for the length."""
    one = Answering(status, fields or {}, body)
    server = await asyncio.start_server(one.answer, "127.0.0.1")
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()


@asynccontextmanager
async def store_at(endpoint: Endpoint) -> AsyncIterator[Store]:
    """As the service connects to it."""
    store = Store.connect(None, endpoint.connection_string, "container")
    try:
        yield store
    finally:
        await store.close()
