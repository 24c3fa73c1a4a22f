"""The board: shared memory in which a child shows which NFS call each of its threads is in, and that its loop turns.

The main process reads it without asking the child, so it knows of a hang even when the child cannot answer. A hang is
read off, never reported. One board for each life of a child; all times are CLOCK_MONOTONIC, which all processes share.
What the calls took is counted in the same memory, for the main process to export: it costs the child no message.
"""

import mmap
import os
import struct
import time
from dataclasses import dataclass

from nfsw.actors.tally import TALLY_SIZE, Tallies, Tally, added_up

_SLOT = struct.Struct("=QH246s")  # since when (ns, 0: idle), length of the text, text
_HEAD = struct.Struct("=QQ")  # the loop's latest turn (ns), calls finished so far
_HEAD_SIZE = _SLOT.size


@dataclass(frozen=True, slots=True)
class Call:
    """A call that has not come back."""

    what: str
    seconds: float  # so far


class Board:
    """`fd` is a memory file that both processes map. The child writes, the main process reads."""

    def __init__(self, fd: int, slots: int) -> None:
        self.slots = slots
        self._memory = mmap.mmap(fd, _size(slots))
        self._finished = 0
        self._tallies = [Tally(self._memory, _offset(slots) + slot * TALLY_SIZE) for slot in range(slots)]

    @staticmethod
    def create(slots: int) -> int:
        """A new, empty board; returns its descriptor. Main process."""
        fd = os.memfd_create("nfsw-board")
        os.ftruncate(fd, _size(slots))
        return fd

    def close(self) -> None:
        for tally in self._tallies:
            tally.close()
        self._memory.close()

    # The child's side.

    def beat(self) -> None:
        """The loop has turned."""
        _HEAD.pack_into(self._memory, 0, time.monotonic_ns(), self._finished)

    def enter(self, slot: int, what: str) -> None:
        text = what.encode("utf-8", "backslashreplace")[:246]
        _SLOT.pack_into(self._memory, _offset(slot), time.monotonic_ns(), len(text), text)

    def leave(self, slot: int, call: str) -> None:
        """`call`: its kind alone, such as `link`."""
        since = int.from_bytes(self._memory[_offset(slot) : _offset(slot) + 8], "little")
        self._memory[_offset(slot) : _offset(slot) + 8] = bytes(8)
        self._finished += 1
        self._memory[8:16] = self._finished.to_bytes(8, "little")
        self._tallies[slot].count(call, time.monotonic_ns() - since)

    # The main process's side.

    def silent_s(self) -> float | None:
        """Seconds since the loop's latest turn; None before the first."""
        beat, _ = _HEAD.unpack_from(self._memory, 0)
        return None if not beat else (time.monotonic_ns() - beat) / 1e9

    def finished(self) -> int:
        """Calls that came back so far."""
        _, finished = _HEAD.unpack_from(self._memory, 0)
        return int(finished)

    def calls(self) -> Tallies:
        """What the calls that came back so far took."""
        return added_up(self._tallies)

    def oldest(self) -> Call | None:
        """The call that has lasted longest."""
        oldest: tuple[int, bytes] | None = None
        for slot in range(self.slots):
            since, length, text = _SLOT.unpack_from(self._memory, _offset(slot))
            if since and (oldest is None or since < oldest[0]):
                oldest = since, text[:length]
        if oldest is None:
            return None
        return Call(oldest[1].decode("utf-8", "replace"), (time.monotonic_ns() - oldest[0]) / 1e9)


def _size(slots: int) -> int:
    return _offset(slots) + slots * TALLY_SIZE


def _offset(slot: int) -> int:
    return _HEAD_SIZE + slot * _SLOT.size
