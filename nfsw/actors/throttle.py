"""How fast bytes may leave: a token bucket for the whole service, and a tap that shuts. Uploader process, one event loop."""

import asyncio
import math
from collections.abc import Callable

#: Seconds of the limit that may go at once. Small against the ten seconds over which the limit is kept.
_BURST_S = 0.25
#: Seconds of the limit that one request may carry, if it cannot be cut up.
_AT_ONCE_S = 0.5
#: A piece of a block, in bytes, when nothing limits it. Larger ones cost more CPU (measured). aiohttp waits for a connection that is
#: full only when it has been given more than 64 KiB.
LARGEST_PIECE = 72 * 1024
_SMALLEST_PIECE = 1024


class Throttle:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rate: int | None = None  # bytes per second
        self._free_at = 0.0  # when what has been let through is paid for
        self._open = asyncio.Event()
        self._open.set()
        self._changed = asyncio.Event()
        self._first = asyncio.Lock()

    @property
    def paused(self) -> bool:
        return not self._open.is_set()

    def set(self, rate: int | None, *, paused: bool) -> None:
        """Takes hold at once, of whoever waits as well."""
        if rate != self._rate:
            self._free_at = self._clock()
            self._rate = rate
        if paused:
            self._open.clear()
        else:
            self._open.set()
        self._changed.set()
        self._changed = asyncio.Event()

    def piece(self) -> int:
        """How many bytes to ask for at a time, so that the limit is kept smoothly."""
        if self._rate is None:
            return LARGEST_PIECE
        return max(_SMALLEST_PIECE, min(LARGEST_PIECE, int(self._rate * _BURST_S)))

    def at_once(self) -> float:
        """How many bytes may leave in one go, so that the limit is kept over ten seconds all the same."""
        return math.inf if self._rate is None else self._rate * _AT_ONCE_S

    async def opened(self) -> None:
        """Returns when uploads are not paused."""
        await self._open.wait()

    async def take(self, size: int) -> None:
        """Returns when `size` more bytes may go. First come, first served."""
        async with self._first:  # the others sleep on: woken all together for each piece, they would cost more than the pieces
            await self._take(size)

    async def _take(self, size: int) -> None:
        while True:
            await self._open.wait()
            if self._rate is None:
                return
            now = self._clock()
            wait = self._free_at - now - _BURST_S
            if wait <= 0:
                self._free_at = max(self._free_at, now) + size / self._rate
                return
            changed = self._changed
            try:
                async with asyncio.timeout(wait):
                    await changed.wait()
            except TimeoutError:
                continue
