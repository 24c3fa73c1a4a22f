"""A proxy in front of Azurite that does to requests what networks and services do, and notes every request.

It runs in a thread with an event loop of its own. All public methods may be called from the test's thread.
"""

import asyncio
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from tests.support.azurite import Endpoint
from tests.support.ports import listening, reserved_port
from tests.support.proxy_http import HEAD_LIMIT, Head, Hungup, body_of, has_body, read_head
from tests.support.proxy_rules import (
    Answer,
    Delay,
    Fault,
    Hold,
    LoseAnswer,
    NoAnswer,
    Request,
    Reset,
    Rewrite,
    Rule,
    SignInPage,
    StopReading,
    Truncate,
)

#: Bytes that a peer which stops reading may hold back in its socket: small, so that the sender notices soon.
_RECEIVE_BUFFER = 64 * 1024
_PAGE = b"<!DOCTYPE html><html><body>Welcome to the hotel. Please sign in.</body></html>"
_SIGN_IN = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_PAGE), _PAGE)


type Witness = Callable[[Request], Awaitable[None]]


class FaultProxy:
    def __init__(self, target: Endpoint, loop: asyncio.AbstractEventLoop, port: int, witness: Witness | None = None) -> None:
        self._target = target
        self._witness = witness
        self._loop = loop
        self._port = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._rules: list[Rule] = []
        self._requests: list[Request] = []

    # What the test says

    @property
    def endpoint(self) -> Endpoint:
        return replace(self._target, port=self._port)

    @contextmanager
    def failing(
        self, fault: Fault, *, method: str = "*", comp: str | None = "*", blob: str = "*", skip: int = 0, times: int | None = None
    ) -> Iterator[Rule]:
        """In force until the block is left. The first rule that meets a request decides."""
        rule = Rule(fault, method, comp, blob, skip, times)
        self._rules.append(rule)
        try:
            yield rule
        finally:
            self._rules.remove(rule)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Connections end, new ones are refused."""
        self.close()
        try:
            yield
        finally:
            self.listen()

    # What the test asks

    def requests(self, blob: str | None = None) -> list[Request]:
        return [request for request in self._requests if blob is None or request.blob == blob]

    def latest(self, count: int) -> list[Request]:
        """The last so many, those that are still on their way among them."""
        return self._requests[-count:]

    def commits(self) -> Counter[str]:
        """How often each blob was written: put as a whole, or made of its blocks."""
        return Counter(request.blob for request in self._requests if request.commits)

    def sent_again(self, blob: str) -> int:
        """Bytes of a blob that arrived though Azurite had acknowledged them before."""
        acknowledged: set[str | None] = set()
        again = 0
        for request in self.requests(blob):
            if request.carries_data and request.block in acknowledged:
                again += request.received
            if request.carries_data and request.status == 201:
                acknowledged.add(request.block)
        return again

    # How it works

    def listen(self) -> None:
        self._do(self._listen())

    def close(self) -> None:
        self._do(self._close())

    def _do(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _listen(self) -> None:
        server = listening(self._port)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._server = await asyncio.start_server(self._accepted, sock=server, limit=HEAD_LIMIT)

    async def _close(self) -> None:
        if self._server:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        try:
            # Cancelled by `close`; asyncio of Python 3.12 logs an error when a connection's task ends as cancelled.
            with suppress(Hungup, OSError, asyncio.CancelledError):
                while await self._serve(reader, writer):
                    pass
        finally:
            _reset(writer)
            self._connections.discard(connection)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer. Whether the connection can take another."""
        head = await read_head(reader)
        request = Request.of(head, time.monotonic())
        rule = next((rule for rule in self._rules if rule.meets(request)), None)
        request.fault = rule.fault if rule else None
        self._requests.append(request)
        match request.fault:
            case Answer() as words:
                await self._take(request, head, reader, head.length)
                writer.write(_in_words(words, head.method))
                await writer.drain()
                return True
            case SignInPage():
                await self._take(request, head, reader, head.length)
                writer.write(_SIGN_IN)
                await writer.drain()
                return False
            case Reset(after):
                await self._take(request, head, reader, after)
                return False
            case StopReading(after):
                await self._take(request, head, reader, after)
                await asyncio.Event().wait()  # the stream's buffer fills, then the socket's, then the sender's
            case NoAnswer():
                await self._take(request, head, reader, head.length)
                await asyncio.Event().wait()
            case Delay(seconds):
                await asyncio.sleep(seconds)
            case Hold():
                while rule in self._rules:  # noqa: ASYNC110 - the test's thread takes it away
                    await asyncio.sleep(0.02)
        # A connection for each request: one that is kept may be closed by Azurite just now, which would be a fault that no test asked for.
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self._target.port, limit=HEAD_LIMIT)
        try:
            upstream.write(head.raw)
            async for piece in body_of(head, reader):
                request.received += len(piece)
                upstream.write(piece)
                await upstream.drain()
            answer = await read_head(upstream_reader)
            request.status = answer.status
            if self._witness:
                await self._witness(request)
            return await self._return(request, answer, upstream_reader, writer)
        finally:
            upstream.transport.abort()

    async def _return(self, request: Request, answer: Head, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Azurite's answer on its way back. Whether the connection can take another request."""
        if isinstance(request.fault, Rewrite):
            answer = answer.rewritten(request.fault.fields)
        pieces = _whole(request.method, answer, upstream)
        match request.fault:
            case LoseAnswer(silent):
                async for _ in pieces:
                    pass
                if silent:
                    await asyncio.Event().wait()
                return False
            case Truncate(size):
                whole = b"".join([piece async for piece in pieces])
                writer.write(whole[:size])
                await writer.drain()
                writer.write_eof()
                await asyncio.sleep(0.1)  # the reset that follows would overtake the end
                return False
        async for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return True

    async def _take(self, request: Request, head: Head, reader: asyncio.StreamReader, size: int) -> None:
        """Reads so much of the body, or what there is of it."""
        if not size or not (head.length or head.chunked):
            return
        async for piece in body_of(head, reader):
            request.received += len(piece)
            if request.received >= size:
                return


async def _whole(method: str, head: Head, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    yield head.raw
    if has_body(method, head):
        async for piece in body_of(head, reader):
            yield piece


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _in_words(answer: Answer, method: str) -> bytes:
    """An error as Azure words it."""
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{answer.code}</Code><Message>as the test says</Message></Error>'.encode()
    fields = {"Content-Type": "application/xml", "Content-Length": str(len(body)), "x-ms-error-code": answer.code}
    fields |= {"x-ms-request-id": "as-the-test-says", **answer.fields}
    head = f"HTTP/1.1 {answer.status} Fault\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
    return head.encode() + (b"" if method == "HEAD" else body)


@contextmanager
def fault_proxy(target: Endpoint, witness: Witness | None = None) -> Iterator[FaultProxy]:
    """`witness`: awaited, in the proxy's loop, after Azurite has carried a request out and before the answer goes back."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fault-proxy", daemon=True)
    thread.start()
    with reserved_port() as port:
        proxy = FaultProxy(target, loop, port, witness)
        try:
            proxy.listen()
            yield proxy
        finally:
            proxy.close()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
