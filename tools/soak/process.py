"""One process of the service that is to be stopped or killed: held by its descriptor, so that no other can be hit in its place."""

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ACTORS = b"nfsw.actors"


@dataclass(frozen=True, slots=True)
class Process:
    name: str  # main, or the actor
    pid: int
    _fd: int

    def stop(self) -> bool:
        """Whether it was there to be stopped."""
        return self._send(signal.SIGSTOP)

    def go_on(self) -> None:
        self._send(signal.SIGCONT)

    def kill(self) -> bool:
        """Whether it was there to be killed."""
        return self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> bool:
        try:
            signal.pidfd_send_signal(self._fd, number)
        except ProcessLookupError:
            return False
        return True


@contextlib.contextmanager
def held(main: int, name: str) -> Iterator[Process | None]:
    """The main process `main` itself, or its child `name`; None when there is none just now. It runs on afterwards."""
    pid = main if name == "main" else children(main).get(name)
    fd = _open(pid) if pid else None
    if pid is None or fd is None:
        yield None
        return
    try:
        # The number may have become another process's before it was opened.
        if name == "main" or children(main).get(name) == pid:
            process = Process(name, pid, fd)
            try:
                yield process
            finally:
                process.go_on()
        else:
            yield None
    finally:
        os.close(fd)


def children(main: int) -> dict[str, int]:
    """Of `nfsw serve`, from /proc: the service is not asked. The name is an argument of each child's command."""
    found: dict[str, int] = {}
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{main}/task/{main}/children").read_text().split():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
                if _ACTORS in words:
                    found[words[words.index(_ACTORS) + 1].decode()] = int(child)
    return found


def _open(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None
