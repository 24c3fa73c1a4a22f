"""The tally: how many NFS calls of each kind took how long, counted where the call was made and read where it is exported.

One for each thread of a child, in the child's board. Only that thread writes it, so nothing is locked and no count is lost.
The main process adds them up, a little before or after an update of theirs: a number that is off by one call for an instant.
"""

import mmap
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

#: The kinds of calls that `nfs` announces. One that is not here is counted as the last.
KINDS = (
    "statx",
    "stat",
    "scandir",
    "statvfs",
    "open",
    "close",
    "lease",
    "fstat",
    "lstat",
    "fadvise",
    "read",
    "create",
    "write",
    "flock",
    "utime",
    "link",
    "rename",
    "unlink",
    "mkdir",
    "rmdir",
    "other",
)
#: Upper bounds of the classes of duration, in seconds, from a look at the client's cache to a hang. One more class lies above them.
BOUNDS_S = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)

_BOUNDS_NS = tuple(round(bound * 1e9) for bound in BOUNDS_S)
_CLASSES = len(BOUNDS_S) + 1
_WIDTH = _CLASSES + 1  # the classes, and the sum in nanoseconds
_ROWS = {kind: number * _WIDTH for number, kind in enumerate(KINDS)}
#: Bytes of shared memory for one.
DURATIONS_SIZE = 8 * _WIDTH * len(KINDS)


@dataclass(frozen=True, slots=True)
class Durations:
    """Of the calls of one kind."""

    counts: tuple[int, ...]  # by class
    seconds: float  # all together

    @property
    def calls(self) -> int:
        return sum(self.counts)

    def __add__(self, other: "Durations") -> "Durations":
        counts = tuple(one + two for one, two in zip(self.counts, other.counts, strict=True))
        return Durations(counts, self.seconds + other.seconds)


type DurationsByCall = dict[str, Durations]


def added(*tallies: DurationsByCall) -> DurationsByCall:
    """By kind; a kind that nobody called is not in it."""
    total: DurationsByCall = {}
    for one in tallies:
        for kind, durations in one.items():
            total[kind] = total[kind] + durations if kind in total else durations
    return total


class CallDurations:
    def __init__(self, memory: mmap.mmap, offset: int) -> None:
        self._cells = memoryview(memory)[offset : offset + DURATIONS_SIZE].cast("Q")

    def count(self, kind: str, nanoseconds: int) -> None:
        row = _ROWS.get(kind, _ROWS["other"])
        self._cells[row + bisect_left(_BOUNDS_NS, nanoseconds)] += 1
        self._cells[row + _CLASSES] += nanoseconds

    def read(self) -> DurationsByCall:
        cells = self._cells.tolist()
        return {
            kind: Durations(tuple(cells[row : row + _CLASSES]), cells[row + _CLASSES] / 1e9)
            for kind, row in _ROWS.items()
            if any(cells[row : row + _CLASSES])
        }

    def close(self) -> None:
        """The memory can be closed after that, not before."""
        self._cells.release()


def added_up(tallies: Iterable[CallDurations]) -> DurationsByCall:
    return added(*(tally.read() for tally in tallies))
