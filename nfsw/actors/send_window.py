"""The send window: how many bytes of blocks are leaving at a time, and whose block goes next. Uploader process, one event loop.

Files are sent in turn. The oldest file's blocks go first, and the next file's only when the oldest cannot fill the uplink, so on a
slow uplink files end one after the other instead of all at the end. What fills the uplink is measured: blocks whose bodies have
not left may hold what leaves in two seconds, so a fast uplink is given as many blocks as there are, and on a slow one a pause,
a limit or a crash finds little on its way.

One byte in eight is of the file with the least left to send. So a small file never waits for a large one to end: whatever is ahead of
it, it is sent with at least an eighth of the uplink, at once or when a block that is on its way has left.
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
#: Blocks that may be leaving whatever the rate is.
_LEAST_BLOCKS = 2
#: Seconds without a piece that has left after which a block does not count any more.
_STALLED_S = 2.0
#: Bytes of a block that the kernel and the way may hold. They are taken at once when the block begins, which says nothing of the uplink.
_HELD = 512 * 1024
#: Of so many bytes one is the smallest file's.
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
    turn: "asyncio.Future[Leaving]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Leaving:
    """One block on its way: `sent` is called for each piece that the kernel has taken, `done` when there is nothing more to come."""

    def __init__(self, window: "SendWindow", length: int, now: float) -> None:
        self.length = length
        self.moved_at = now  # when the kernel took a piece of it last
        self._window = window
        self._taken = 0  # bytes, by the kernel
        self._gone = 0  # of these, bytes that went through the uplink for certain

    def sent(self, size: int) -> None:
        """The kernel has taken `size` bytes more."""
        self._taken = min(self.length, self._taken + size)
        self._window.moves(self, self._newly_gone(self._taken - _HELD))

    def done(self) -> None:
        """It was answered, or given up."""
        whole = self._taken == self.length
        self._window.ends(self, self._newly_gone(self.length if whole else 0))

    def _newly_gone(self, gone: int) -> int:
        """The first `gone` bytes of the block are through the uplink: how many of them were not before."""
        more = max(0, gone - self._gone)
        self._gone += more
        return more


class SendWindow:
    """`clock` tells seconds, monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._on_the_way: set[Leaving] = set()
        self._due = 0.0  # bytes that the smallest file may begin to send before the oldest
        self._waiting: list[_Waiter] = []
        self._samples: deque[tuple[float, int]] = deque()  # when, and bytes that left then
        self._measured = 0  # bytes in all samples
        self._looking: asyncio.TimerHandle | None = None

    async def enter(self, place: Place, length: int, left_of_file: int) -> Leaving:
        """Returns when a block of `length` bytes may begin to leave. `left_of_file`: bytes of its file that are not sent yet."""
        if (not self._waiting and self._has_room()) or self._slips_in(length):
            return self._begin(length)
        waiter = _Waiter(place, length, left_of_file)
        self._waiting.append(waiter)
        self._look_again()
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif not waiter.turn.cancelled():
                waiter.turn.result().done()
            raise

    def moves(self, block: Leaving, gone: int) -> None:
        """`gone` bytes more of the block went through the uplink."""
        block.moved_at = self._clock()
        self._count(gone)
        self._admit()

    def ends(self, block: Leaving, gone: int) -> None:
        """The block needs nothing more. `gone`: as for `moves`."""
        self._on_the_way.discard(block)
        self._count(gone)
        self._admit()

    def _count(self, gone: int) -> None:
        if not gone:
            return
        now = self._clock()
        self._samples.append((now, gone))
        self._measured += gone
        while now - self._samples[0][0] > _MEASURED_S:
            self._measured -= self._samples.popleft()[1]

    def _begin(self, length: int) -> Leaving:
        block = Leaving(self, length, self._clock())
        self._on_the_way.add(block)
        return block

    def _admit(self) -> None:
        while self._waiting and self._has_room():
            chosen = self._choose()
            self._waiting.remove(chosen)
            if not chosen.turn.cancelled():  # its file has been given up, and it will hear of that in a moment
                chosen.turn.set_result(self._begin(chosen.length))

    def _slips_in(self, length: int) -> bool:
        """Whether the block is so small that it need not wait for a large one to leave: what it takes is the smallest files' share."""
        if length > min(self._due, self._rate() * _WINDOW_S / _SHARE):
            return False
        self._due -= length
        return True

    def _choose(self) -> _Waiter:
        oldest, smallest = min(self._waiting, key=_by_place), min(self._waiting, key=_by_size)
        if smallest.length <= self._due:
            self._due -= smallest.length
            return smallest
        # What nobody has claimed is kept up to the length of a block: else it would be a whole file's after an hour.
        self._due = min(self._due + oldest.length / (_SHARE - 1), max(oldest.length, smallest.length))
        return oldest

    def _look_again(self) -> None:
        """While blocks wait: those that have stalled meanwhile make room though nothing happens."""
        if self._looking is None and self._waiting:
            self._looking = asyncio.get_running_loop().call_later(_STALLED_S / 2, self._look)

    def _look(self) -> None:
        self._looking = None
        self._admit()
        self._look_again()

    def _has_room(self) -> bool:
        """A block that has not moved for a while fills no uplink: it is its own peer that holds it up."""
        since = self._clock() - _STALLED_S
        leaving = [block.length for block in self._on_the_way if block.moved_at > since]
        return len(leaving) < _LEAST_BLOCKS or sum(leaving) < self._rate() * _WINDOW_S

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
