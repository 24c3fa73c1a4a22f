"""The sniper freezes a process as soon as a name appears in, or goes from, a folder. A process of its own, at real-time priority.

What it waits for lasts tens of microseconds, so it shares its interpreter with nobody. It reads one order a line and answers
with one line: the name that it saw when it sent SIGSTOP, or null. Whoever gave the order looks whether it was soon enough.

    {"pid": 12, "folder": "/share/.processing/20260131/s", "event": "link", "suffix": "", "within": 5.0}
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

_EVENTS = {"link": 0x100, "moved": 0x80, "deleted": 0x200}  # IN_CREATE, IN_MOVED_TO, IN_DELETE of inotify(7)
_EVENT = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)


class Sniper:
    """The harness's side."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-Su", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            pipe.close()

    def freeze(self, pid: int, folder: Path, event: str, *, suffix: str = "", within: float) -> str | None:
        """The name at which `pid` was stopped; None: nothing happened in time, or the process is gone."""
        order = {"pid": pid, "folder": str(folder), "event": event, "suffix": suffix, "within": within}
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        name: str | None = json.loads(self._process.stdout.readline())
        return name


def main() -> None:
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(_freeze(**order)), flush=True)


def _freeze(pid: int, folder: str, event: str, suffix: str, within: float) -> str | None:
    fd = _libc.inotify_init1(os.O_CLOEXEC)
    try:
        target = os.pidfd_open(pid)
    except ProcessLookupError:
        os.close(fd)
        return None
    try:
        if _libc.inotify_add_watch(fd, os.fsencode(folder), _EVENTS[event]) < 0:
            return None
        deadline = time.monotonic() + within
        end = os.fsencode(suffix)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        while (left := deadline - time.monotonic()) > 0:
            if not poll.poll(left * 1000):
                break
            events = os.read(fd, 65536)
            # Stopped first and read afterwards: every microsecond counts, and a wrong event is let go again.
            try:
                signal.pidfd_send_signal(target, signal.SIGSTOP)
            except ProcessLookupError:
                return None
            name = _last_name(events, end)
            if name is not None:
                return name
            signal.pidfd_send_signal(target, signal.SIGCONT)
        return None
    finally:
        os.close(fd)
        os.close(target)


def _last_name(events: bytes, suffix: bytes) -> str | None:
    last, place = None, 0
    while place < len(events):
        *_, length = _EVENT.unpack_from(events, place)
        name = events[place + _EVENT.size : place + _EVENT.size + length].rstrip(b"\0")
        if name.endswith(suffix):
            last = os.fsdecode(name)
        place += _EVENT.size + length
    return last


if __name__ == "__main__":
    main()
