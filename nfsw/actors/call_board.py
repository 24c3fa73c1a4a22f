"""The board: shared memory in which a child shows which NFS call each of its threads is in, and that its loop turns.

The main process reads it without asking the child, so it knows of a hang even when the child cannot answer. A hang is
read off, never reported. One board for each life of a child; all times are CLOCK_MONOTONIC, which all processes share.
What the calls took is counted in the same memory, for the main process to export: it costs the child no message.

Nothing is locked. Each time is one aligned 8-byte cell, which is written by one store and read by one load, so the reader
sees the old value or the new one and never a mixture of both. (`struct` reads and writes byte by byte, zeroes first: a
time that is read in between may be hours old, and the supervisor would kill a healthy child for it.)
"""

import mmap
import os
import time
from dataclasses import dataclass

from nfsw.actors.call_durations import DURATIONS_SIZE, CallDurations, DurationsByCall, added_up

#: Bytes for each thread: a cell with the time at which its call began (ns; 0: it is in none), one with the length of the text, the text.
_SLOT_SIZE = 256
_TEXT_SIZE = _SLOT_SIZE - 16
#: Bytes in front of the slots. The first cell holds the time of the latest heartbeat (ns; 0: none yet).
_HEAD_SIZE = 64


@dataclass(frozen=True, slots=True)
class Call:
    """A call that has not come back."""

    what: str
    seconds: float  # so far


class CallBoard:
    """`fd` is a memory file that both processes map. The child writes, the main process reads."""

    def __init__(self, fd: int, slots: int) -> None:
        self.slots = slots
        self._memory = mmap.mmap(fd, _size(slots))
        self._cells = memoryview(self._memory).cast("Q")
        self._tallies = [CallDurations(self._memory, _offset(slots) + slot * DURATIONS_SIZE) for slot in range(slots)]
        self._latest_beat = 0

    @staticmethod
    def create(slots: int) -> int:
        """A new, empty board; returns its descriptor. Main process. Raises OSError."""
        fd = os.memfd_create("nfsw-board")
        os.ftruncate(fd, _size(slots))
        return fd

    def close(self) -> None:
        for tally in self._tallies:
            tally.close()
        self._cells.release()
        self._memory.close()

    # The child's side.

    def beat(self) -> None:
        """The loop has turned."""
        self._cells[0] = time.monotonic_ns()

    def enter(self, slot: int, what: str) -> None:
        """The thread that has this slot is about to make a call. The text comes first: it belongs to a time that is not 0."""
        text = what.encode("utf-8", "backslashreplace")[:_TEXT_SIZE]
        at = _offset(slot)
        self._memory[at + 16 : at + 16 + len(text)] = text
        self._cells[at // 8 + 1] = len(text)
        self._cells[at // 8] = time.monotonic_ns()

    def leave(self, slot: int, call: str) -> None:
        """`call`: its kind alone, such as `link`."""
        cell = _offset(slot) // 8
        since = self._cells[cell]
        self._cells[cell] = 0
        self._tallies[slot].count(call, time.monotonic_ns() - since)

    # The main process's side.

    def silent_s(self) -> float | None:
        """Seconds since the loop's latest turn; None before the first. Time goes forward: a 0 after a heartbeat is no news."""
        self._latest_beat = max(self._latest_beat, self._cells[0])
        return (time.monotonic_ns() - self._latest_beat) / 1e9 if self._latest_beat else None

    def finished(self) -> int:
        """Calls that came back so far."""
        return sum(durations.calls for durations in self.calls().values())

    def calls(self) -> DurationsByCall:
        """What the calls that came back so far took."""
        return added_up(self._tallies)

    def oldest(self) -> Call | None:
        """The call that has lasted longest."""
        begun = [(since, slot) for slot in range(self.slots) if (since := self._cells[_offset(slot) // 8])]
        now = time.monotonic_ns()
        for since, slot in sorted(begun):
            text = self._text(slot)
            if self._cells[_offset(slot) // 8] == since:  # else it came back meanwhile, and the text may be the next call's
                return Call(text, (now - since) / 1e9)
        return None

    def _text(self, slot: int) -> str:
        at = _offset(slot)
        length = self._cells[at // 8 + 1]
        return self._memory[at + 16 : at + 16 + length].decode("utf-8", "replace")


def _size(slots: int) -> int:
    return _offset(slots) + slots * DURATIONS_SIZE


def _offset(slot: int) -> int:
    return _HEAD_SIZE + slot * _SLOT_SIZE
