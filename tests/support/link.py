"""The uplink: a TCP relay in front of Azurite that can be slow, cut, or silent. One thread with an event loop of its own."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial

from tests.support.azurite import Endpoint
from tests.support.ports import listening, reserved_port

CHUNK = 64 * 1024
#: What a packet carries on a wire. Loopback's packets are of 64 KiB.
_SEGMENT = 1448
#: What a connection over a limited link has under way, in bytes. A large buffer that is full opens again in jumps of its size.
_UNDER_WAY = 8 * 1024


@dataclass(slots=True)
class Link:
    """All methods may be called from the test's thread; each has taken effect when it returns."""

    target: Endpoint
    loop: asyncio.AbstractEventLoop
    port: int
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    #: Bytes that went towards Azure, requests and their headers included.
    sent: int = 0
    _rate: float | None = None
    _free_at: float = 0.0
    _listening: socket.socket | None = None
    _relays: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def endpoint(self) -> Endpoint:
        return replace(self.target, port=self.port)

    def limit(self, bytes_per_s: float | None) -> None:
        """For everything that goes towards Azure together; answers come back at full speed."""
        self._do(lambda: setattr(self, "_rate", bytes_per_s))

    def cut(self) -> None:
        """Connections break, new ones are refused."""
        self._run(self._cut())

    def mend(self) -> None:
        self._run(self._listen())

    def hold(self) -> None:
        """Connections stay and new ones are accepted, but nothing comes through."""
        self._do(self.flowing.clear)

    def release(self) -> None:
        self._do(self.flowing.set)

    async def _listen(self) -> None:
        self._listening = listening(self.port)
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHUNK)  # what is not passed on yet has not been sent either
        self._listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT)
        self._listening.setblocking(False)
        self.loop.add_reader(self._listening, self._accept, self._listening)

    async def _cut(self) -> None:
        if self._listening:
            self.loop.remove_reader(self._listening)
            self._listening.close()
            self._listening = None
        for relay in self._relays:
            relay.cancel()
        if self._relays:
            await asyncio.wait(self._relays)

    def _accept(self, listening: socket.socket) -> None:
        """No step lies between a connection and its relay: an `asyncio.Server` that is closed in that step leaves its peer hanging."""
        with suppress(BlockingIOError):
            accepted, _ = listening.accept()
            accepted.setblocking(False)
            if self._rate is not None:
                accepted.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UNDER_WAY)
            relay = self.loop.create_task(self._relay(accepted))
            self._relays.add(relay)
            relay.add_done_callback(partial(self._relayed, accepted))

    def _relayed(self, accepted: socket.socket, relay: "asyncio.Task[None]") -> None:
        self._relays.discard(relay)
        accepted.close()

    async def _relay(self, accepted: socket.socket) -> None:
        """Plain sockets: a stream would take in all that has come, and what it holds would count as sent."""
        with socket.socket() as upstream, suppress(OSError):
            upstream.setblocking(False)
            await self.loop.sock_connect(upstream, ("127.0.0.1", self.target.port))
            both = [
                asyncio.ensure_future(self._pump(accepted, upstream, self._pace)),
                asyncio.ensure_future(self._pump(upstream, accepted, self._pass)),
            ]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in both:
                    pump.cancel()
                await asyncio.wait(both)

    async def _pump(self, source: socket.socket, to: socket.socket, gate: Callable[[int], Coroutine[None, None, None]]) -> None:
        with suppress(OSError):
            while chunk := await self.loop.sock_recv(source, self._chunk()):
                await gate(len(chunk))
                await self.loop.sock_sendall(to, chunk)

    def _chunk(self) -> int:
        """Bytes that go at a time: many connections share a limited link evenly, as packets do."""
        return CHUNK if self._rate is None else max(_SEGMENT, min(CHUNK, int(self._rate / 64)))

    async def _pass(self, _: int) -> None:
        await self.flowing.wait()

    async def _pace(self, size: int) -> None:
        await self.flowing.wait()
        if self._rate:
            now = self.loop.time()
            self._free_at = max(now, self._free_at) + size / self._rate
            await asyncio.sleep(self._free_at - now)
        self.sent += size

    def _do(self, change: Callable[[], object]) -> None:
        async def apply() -> None:
            change()

        self._run(apply())

    def _run(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self.loop).result(10)


@contextmanager
def link_to(target: Endpoint) -> Iterator[Link]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="link", daemon=True)
    thread.start()
    with reserved_port() as port:
        link = Link(target, loop, port)
        try:
            link.mend()
            link.release()
            yield link
        finally:
            link.cut()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
