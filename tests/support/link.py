"""The uplink: a TCP relay in front of Azurite that can be slow, cut, or silent. One thread with an event loop of its own."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

from tests.support.azurite import Endpoint

CHUNK = 64 * 1024


@dataclass(slots=True)
class Link:
    """All methods may be called from the test's thread; each has taken effect when it returns."""

    target: Endpoint
    loop: asyncio.AbstractEventLoop
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    #: Bytes that went towards Azure, requests and their headers included.
    sent: int = 0
    _rate: float | None = None
    _free_at: float = 0.0
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

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
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        if self._server:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = {writer}
        self._open.add(writer)
        with suppress(OSError):
            upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self.target.port)
            ends.add(upstream)
            self._open.add(upstream)
            both = [
                asyncio.ensure_future(self._pump(reader, upstream, self._pace)),
                asyncio.ensure_future(self._pump(upstream_reader, writer, self._pass)),
            ]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for pump in both:
                pump.cancel()
            await asyncio.wait(both)
        for end in ends:
            self._open.discard(end)
            end.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: Callable[[int], Coroutine[None, None, None]]
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK):
                await gate(len(chunk))
                writer.write(chunk)
                await writer.drain()

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
    link = Link(target, loop)
    try:
        link.mend()
        link.release()
        yield link
    finally:
        link.cut()
        asyncio.run_coroutine_threadsafe(_drain(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _drain() -> None:
    """Lets every relay see that its connection is gone, so that no task outlives the loop."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
