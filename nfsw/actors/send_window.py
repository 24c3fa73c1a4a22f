"""The send window: how many bytes of blocks are leaving at a time, and whose block goes next. Uploader process, one event loop.

Files are sent in turn. The oldest file's blocks go first, and the next file's only when the oldest cannot fill the uplink, so on a
slow uplink files end one after the other instead of all at the end. What fills the uplink is measured: blocks whose bodies have
not left may hold what leaves in two seconds, so a fast uplink is given as many blocks as there are, and on a slow one a pause,
a limit or a crash finds little on its way.

One block in eight is the one of the file with the least left to send. So a small file never waits for a large one to end: whatever
is ahead of it, it is sent with at least an eighth of the uplink.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

#: Seconds of the uplink's rate that may be leaving at a time.
_WINDOW_S = 2.0
#: Seconds over which the rate is measured, at most and at least.
_MEASURED_S = 2.0
_SHORTEST_S = 0.05
#: Blocks that may be leaving whatever the rate is: while one waits for its answer another one fills the uplink.
_LEAST_BLOCKS = 2
#: Of so many blocks one is the smallest file's.
_SHARE = 8


class Place(NamedTuple):
    """Where a file stands in the line; the least one goes first."""

    failed: bool  # in an earlier attempt: it lets others go first, so that one that fails for ever does not hold them up
    mtime_ns: int
    name: str


@dataclass(slots=True, eq=False)
class _Waiter:
    place: Place
    length: int  # bytes of the block
    left_of_file: int  # bytes of the file that are still to be sent
    turn: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Leaving:
    """One block on its way: `sent` is called for each piece that has left, `done` when there is nothing more to come."""

    def __init__(self, window: "SendWindow", length: int) -> None:
        self._window = window
        self._length = length
        self._left = length  # bytes that have not left; a piece may leave twice, then it is 0 early

    def sent(self, size: int) -> None:
        """`size` bytes more have left."""
        counts = self._length if 0 < self._left <= size else 0  # as a whole, once it has left: a block cut short is sent anew
        self._left = max(0, self._left - size)
        self._window.has_left(counts, size)

    def done(self) -> None:
        self._window.ends(self._length if self._left else 0)
        self._left = 0


class SendWindow:
    """`clock` tells seconds, monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._leaving = 0  # bytes of blocks that have not left as a whole
        self._blocks = 0  # that have not ended
        self._begun = 0  # blocks, ever
        self._waiting: list[_Waiter] = []
        self._samples: deque[tuple[float, int]] = deque()  # when, and bytes that left then
        self._measured = 0  # bytes in all samples

    async def enter(self, place: Place, length: int, left_of_file: int) -> Leaving:
        """Returns when a block of `length` bytes may begin to leave. `left_of_file`: bytes of its file that are not sent yet."""
        if self._waiting or not self._has_room():
            waiter = _Waiter(place, length, left_of_file)
            self._waiting.append(waiter)
            try:
                await waiter.turn
            except asyncio.CancelledError:
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
                else:
                    self.ends(length)
                raise
        else:
            self._begin(length)
        return Leaving(self, length)

    def has_left(self, of_blocks: int, size: int) -> None:
        """`size` bytes went through the uplink; `of_blocks`: bytes of the block that is on its way no more."""
        now = self._clock()
        self._samples.append((now, size))
        self._measured += size
        while now - self._samples[0][0] > _MEASURED_S:
            self._measured -= self._samples.popleft()[1]
        self._leaving -= of_blocks
        self._admit()

    def ends(self, unsent: int) -> None:
        """A block needs nothing more; `unsent`: its bytes, if they have not all left."""
        self._leaving -= unsent
        self._blocks -= 1
        self._admit()

    def _begin(self, length: int) -> None:
        self._leaving += length
        self._blocks += 1
        self._begun += 1

    def _admit(self) -> None:
        while self._waiting and self._has_room():
            smallest = self._begun % _SHARE == _SHARE - 1
            chosen = min(self._waiting, key=_by_size if smallest else _by_place)
            self._waiting.remove(chosen)
            self._begin(chosen.length)
            chosen.turn.set_result(None)

    def _has_room(self) -> bool:
        return self._blocks < _LEAST_BLOCKS or self._leaving < self._rate() * _WINDOW_S

    def _rate(self) -> float:
        """Bytes per second that have left of late; 0.0 when nothing has."""
        now = self._clock()
        if not self._samples or now - self._samples[-1][0] > _MEASURED_S:
            return 0.0
        since, before = self._samples[0]  # these left before that moment
        return (self._measured - before) / max(_SHORTEST_S, now - since)


def _by_place(waiter: _Waiter) -> tuple[Place, int]:
    return waiter.place, -waiter.left_of_file  # of one file the block that comes first


def _by_size(waiter: _Waiter) -> tuple[bool, int, Place]:
    return waiter.place.failed, waiter.left_of_file, waiter.place
