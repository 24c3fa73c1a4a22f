"""Who may send now: APP_WORKERS files at a time, in the order of their places. Uploader process, one event loop.

A file that has failed before steps back behind files that have not, so that one that fails for ever, or hangs in every
attempt, takes no slot from the others while they want it. Among equals the oldest goes first.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count

from nfsw.actors.send_window import Place


class UploadSlots:
    def __init__(self, size: int) -> None:
        self._free = size
        self._waiting: list[tuple[Place, int, asyncio.Future[None]]] = []
        self._order = count()

    @asynccontextmanager
    async def turn(self, place: Place) -> "AsyncIterator[Turn]":
        """A slot for the body. `place`: the file's in the line."""
        turn = Turn(self, place)
        await turn.begin()
        try:
            yield turn
        finally:
            turn.end()

    async def acquire(self, place: Place) -> None:
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (place, next(self._order), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()
            raise

    def release(self) -> None:
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class Turn:
    def __init__(self, slots: UploadSlots, place: Place) -> None:
        self._slots = slots
        self._place = place
        self._holds = False

    async def begin(self) -> None:
        await self._slots.acquire(self._place)
        self._holds = True

    def end(self) -> None:
        if self._holds:
            self._slots.release()
        self._holds = False

    async def step_aside(self, until: Callable[[], Awaitable[object]]) -> None:
        """Leaves the slot to others while there is nothing to send."""
        self.end()
        await until()
        await self.begin()
