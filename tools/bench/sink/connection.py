"""One connection of the sink, from accept to close. Sink process, its only thread.

`serve()` reads like blocking code: it is a generator that yields when the socket would block, and the server goes on with it when it
is ready. A body that nobody wants is not even copied out of the kernel (MSG_TRUNC); over TLS it has to be, one record at a time.
"""

import mmap
import select
import socket
import ssl
from collections.abc import Generator

from tools.bench.sink.bucket import Bucket
from tools.bench.sink.http import Api, BadRequest, Body, Exchange, Response, parse_head

type Waiting = Generator[int, None, None]
type WaitingBytes = Generator[int, None, bytes]

HEAD_LIMIT = 64 * 1024
KEPT_LIMIT = 64 * 1024 * 1024
#: How long one connection may go on reading before the next has its turn: calls, not bytes.
TURN = 64
#: Only its address space is used, its pages are never touched: with MSG_TRUNC the kernel writes nothing.
UNTOUCHED = memoryview(mmap.mmap(-1, 64 * 1024 * 1024))
#: For bytes that have to be looked at. Shared by all connections: nothing in it outlives a call.
SCRATCH = memoryview(bytearray(1024 * 1024))
#: Not an event: ready again at once, the others have their turn first.
AGAIN = 0
#: Not an event either: ready when the bucket is.
THROTTLED = -1


class Closed(Exception):
    """The peer closed the connection."""


class Connection:
    def __init__(self, sock: socket.socket, api: Api, bucket: Bucket) -> None:
        self.sock = sock
        self.bucket = bucket
        self._api = api
        self._truncates = socket.MSG_TRUNC if not isinstance(sock, ssl.SSLSocket) else 0
        self._ahead = b""  # read, but not used yet
        self._calls = 0

    def serve(self) -> Waiting:
        """Answers requests until the peer closes the connection. Yields the epoll events that are waited for, or AGAIN, or THROTTLED."""
        try:
            yield from self._handshake()
            while (yield from self._exchange()):
                pass
        except (Closed, ConnectionError, ssl.SSLError):
            return  # the peer is gone; what it had sent is counted

    def _handshake(self) -> Waiting:
        while isinstance(self.sock, ssl.SSLSocket):
            try:
                self.sock.do_handshake()
            except ssl.SSLWantReadError:
                yield select.EPOLLIN
            except ssl.SSLWantWriteError:
                yield select.EPOLLOUT
            else:
                return

    def _exchange(self) -> Generator[int, None, bool]:
        if not self._ahead and not isinstance(self.sock, ssl.SSLSocket):  # which may hold decrypted bytes that epoll knows nothing of
            yield select.EPOLLIN
        head = yield from self._until(b"\r\n\r\n", HEAD_LIMIT)
        try:
            request = parse_head(head)
        except BadRequest:
            yield from self._send(Response(400, {"Connection": "close"}).encode(head_only=False))
            return False
        exchange = self._api.begin(request)
        if request.expects_continue:
            yield from self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = yield from self._body(exchange, request.length)
        response = exchange.finish(body)
        yield from self._send(response.encode(head_only=request.method == "HEAD"))
        return not request.closes

    def _body(self, exchange: Exchange, length: int | None) -> Generator[int, None, Body]:
        intake = _Intake(exchange)
        if length is not None:
            yield from self._swallow(length, intake)
            return intake.body()
        while True:
            size = int((yield from self._until(b"\r\n", HEAD_LIMIT)).partition(b";")[0], 16)
            if size == 0:
                break
            yield from self._swallow(size, intake)
            yield from self._until(b"\r\n", HEAD_LIMIT)
        while (yield from self._until(b"\r\n", HEAD_LIMIT)):
            pass  # trailers
        return intake.body()

    def _swallow(self, length: int, intake: "_Intake") -> Waiting:
        if self._ahead and length:
            part, self._ahead = self._ahead[:length], self._ahead[length:]
            length -= len(part)
            intake.take(memoryview(part), len(part))
        blind = self._truncates if not intake.looks else 0
        buffer = UNTOUCHED if blind else SCRATCH
        while length:
            count = yield from self._read(buffer, min(length, len(buffer)), blind)
            length -= count
            intake.take(buffer, count)

    def _until(self, mark: bytes, limit: int) -> WaitingBytes:
        while (at := self._ahead.find(mark)) < 0:
            if len(self._ahead) > limit:
                raise Closed
            count = yield from self._read(SCRATCH, HEAD_LIMIT, 0)
            self._ahead += bytes(SCRATCH[:count])
        found, self._ahead = self._ahead[:at], self._ahead[at + len(mark) :]
        return found

    def _read(self, buffer: memoryview, wanted: int, flags: int) -> Generator[int, None, int]:
        while True:
            if self._calls >= TURN:
                self._calls = 0
                yield AGAIN
            self._calls += 1
            while self.bucket.pause() > 0:
                yield THROTTLED
            granted = self.bucket.portion(wanted)
            try:
                # A TLS socket allows no flags, not even none.
                count = self.sock.recv_into(buffer, granted, flags) if flags else self.sock.recv_into(buffer, granted)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._calls = 0
                yield select.EPOLLIN
                continue
            if not count:
                raise Closed
            self.bucket.spend(count)
            return count

    def _send(self, data: bytes) -> Waiting:
        left = memoryview(data)
        while left:
            try:
                left = left[self.sock.send(left) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                yield select.EPOLLOUT


class _Intake:
    """A body on its way: counted, and checked or kept where that is wanted."""

    def __init__(self, exchange: Exchange) -> None:
        self._tally = exchange.tally
        self._size = 0
        self._kept = bytearray() if exchange.keep else None
        self._checksum = exchange.checksum() if exchange.checksum else None
        self.looks = exchange.keep or self._checksum is not None

    def take(self, buffer: memoryview, count: int) -> None:
        self._size += count
        if self._tally is not None:
            self._tally.add(count)
        if self._checksum is not None:
            self._checksum.update(buffer[:count])
        if self._kept is not None:
            self._kept += buffer[:count]
            if len(self._kept) > KEPT_LIMIT:
                raise Closed

    def body(self) -> Body:
        content = bytes(self._kept) if self._kept is not None else b""
        return Body(self._size, content, self._checksum.digest() if self._checksum is not None else None)
