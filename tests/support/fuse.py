"""A mounted folder whose calls hang or fail when a test says so: the test's side of fuse_server.py."""

import contextlib
import errno
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.azurite import CHECKOUT

#: Seconds for the file system to come up.
UP_WITHIN = 20.0


def unfit() -> str | None:
    """Why nothing can be mounted on this machine; None when it can."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "no access to /dev/fuse"
    if not shutil.which("fusermount3"):
        return "not installed: fusermount3 (Debian: fuse3)"
    return None


class Fault:
    """A rule that is in force until it is withdrawn."""

    def __init__(self, file_system: "FaultyFileSystem", number: int) -> None:
        self._file_system = file_system
        self._number = number

    def hits(self) -> int:
        """How many calls have met it so far."""
        return int(self._file_system.ask({"hits": self._number}))


class FaultyFileSystem:
    """`mount` is where the calls go wrong, `behind` the same files with nothing in between.

    While something hangs a test works `behind`: the kernel locks a folder during a call in it, and who then waits for that
    lock at `mount` is as unkillable as the one who hangs.
    """

    def __init__(self, mount: Path, behind: Path, control: socket.socket) -> None:
        self.mount = mount
        self.behind = behind
        self._lines = control.makefile("rw")
        self._rules = 0

    @contextlib.contextmanager
    def failing(self, error: int, *calls: str, path: str = "*", times: int | None = None, done: bool = False) -> Iterator[Fault]:
        """These calls answer `error` (errno); `done`: though they were carried out. `path` is a pattern below the mount."""
        with self._rule(error, calls, path, times, done=done) as fault:
            yield fault

    @contextlib.contextmanager
    def hanging(self, *calls: str, path: str = "*", times: int | None = None) -> Iterator[Fault]:
        """These calls (none: all) are not answered. On leaving, those that hang are carried out."""
        with self._rule(0, calls, path, times, done=False) as fault:
            yield fault

    @contextlib.contextmanager
    def _rule(self, error: int, calls: tuple[str, ...], path: str, times: int | None, *, done: bool) -> Iterator[Fault]:
        self._rules += 1
        number = self._rules
        self.ask({"add": number, "calls": calls or ("*",), "path": path, "error": error, "done": done, "times": times})
        try:
            yield Fault(self, number)
        finally:
            self.ask({"withdraw": number})

    def ask(self, request: dict[str, Any]) -> Any:
        self._lines.write(json.dumps(request) + "\n")
        self._lines.flush()
        return self.answer()

    def answer(self) -> Any:
        line = self._lines.readline()
        if not line:
            raise OSError(errno.ENOTCONN, "the FUSE server has ended")
        return json.loads(line)["ok"]

    def close(self) -> None:
        self._lines.close()


@contextlib.contextmanager
def faulty_file_system(folder: Path) -> Iterator[FaultyFileSystem]:
    """Mounted below `folder`. On leaving, calls that still hang end with an error, and nothing is mounted any more."""
    mount, behind = folder / "mount", folder / "behind"
    mount.mkdir(parents=True)
    behind.mkdir()
    ours, theirs = socket.socketpair()
    ours.settimeout(UP_WITHIN)
    with contextlib.ExitStack() as undo:
        undo.callback(ours.close)
        with theirs, (folder / "fuse.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fuse_server", behind, mount, str(theirs.fileno())],
                cwd=CHECKOUT,
                env={"PATH": os.environ["PATH"], "FUSE_LIBRARY_NAME": "fuse3"},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        undo.callback(_unmount, mount)
        undo.callback(process.wait)
        undo.callback(process.kill)  # the kernel then answers all that hangs with ENOTCONN
        file_system = FaultyFileSystem(mount, behind, ours)
        undo.callback(file_system.close)
        try:
            file_system.answer()
        except OSError as error:
            raise RuntimeError((folder / "fuse.log").read_text()) from error
        yield file_system


def _unmount(mount: Path) -> None:
    """Lazily: somebody may still be in there. Not mounted any more is fine too, as after a server that left by itself."""
    done = subprocess.run(["fusermount3", "-u", "-z", mount], capture_output=True, text=True, check=False, timeout=20)
    if done.returncode and os.path.ismount(mount):
        raise RuntimeError(f"still mounted: {mount}: {done.stderr}")
