"""When a folder was looked at and when a name left it, as the kernel tells it: how the scans of a service are seen from outside.

The benchmark's process, a thread of its own. inotify sees every local caller, on a real NFS mount too.
"""

import ctypes
import os
import select
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

IN_OPEN, IN_MOVED_FROM, IN_DELETE, IN_ISDIR = 0x20, 0x40, 0x200, 0x40000000
HEAD = struct.Struct("iIII")


@dataclass(frozen=True, slots=True)
class Seen:
    at: float  # time.monotonic(), a thread's wake-up after the fact
    name: str  # empty: the folder itself


class Watching:
    """A context manager. `scans`: the folder was opened; `departures`: a name was moved out of it or removed."""

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._inotify = libc.inotify_init1(os.O_CLOEXEC)
        if self._inotify < 0 or libc.inotify_add_watch(self._inotify, os.fsencode(folder), IN_OPEN | IN_MOVED_FROM | IN_DELETE) < 0:
            raise OSError(ctypes.get_errno(), f"cannot watch {folder}")
        self._ended, self._end = os.pipe()
        self._thread = threading.Thread(target=self._read, name="inotify")
        self.scans: list[Seen] = []
        self.departures: list[Seen] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._end)
        self._thread.join()
        os.close(self._ended)
        os.close(self._inotify)

    def _read(self) -> None:
        while True:
            ready, _, _ = select.select([self._inotify, self._ended], [], [])
            if self._ended in ready:
                return
            now, data, at = time.monotonic(), os.read(self._inotify, 65536), 0
            while at < len(data):
                _watch, mask, _cookie, length = HEAD.unpack_from(data, at)
                name = os.fsdecode(data[at + HEAD.size : at + HEAD.size + length].rstrip(b"\0"))
                at += HEAD.size + length
                if mask & IN_OPEN and mask & IN_ISDIR and not name:
                    self.scans.append(Seen(now, name))
                elif mask & (IN_MOVED_FROM | IN_DELETE) and not mask & IN_ISDIR:
                    self.departures.append(Seen(now, name))
