"""Child processes for tests of the file system: started as fresh interpreters, looked at through /proc, always reaped."""

import contextlib
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path


class NotSaid(Exception):
    """The child did not say it in time."""


class Child:
    """A Python program that talks in lines: it prints, we read; we write, it reads."""

    def __init__(self, program: str, *arguments: str | Path) -> None:
        command = [sys.executable, "-Su", "-c", program, *map(str, arguments)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    @property
    def pid(self) -> int:
        return self._process.pid

    def says(self, within_s: float = 20.0) -> str:
        """The next line of the child. NotSaid when none comes in time."""
        assert self._process.stdout is not None
        line = bytearray()
        deadline = time.monotonic() + within_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise NotSaid(f"nothing in {within_s} s: {self.state()} in {self.waits_in()}")
                if not (byte := self._process.stdout.read(1)):
                    raise NotSaid(f"the child has ended with {self._process.wait()}")
                line += byte
        return line.decode().strip()

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    def state(self) -> str | None:
        return state_of(self.pid)

    def waits_in(self) -> str:
        """The kernel function in which it waits."""
        return Path(f"/proc/{self.pid}/wchan").read_text()

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)

    def gone_within(self, seconds: float) -> float | None:
        """After how many seconds it was reaped; None: not in time."""
        begun = time.monotonic()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        return time.monotonic() - begun

    def close(self) -> None:
        self.kill()
        self.gone_within(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def state_of(pid: int) -> str | None:
    """The letter of /proc/PID/stat: R runs, S sleeps, D waits uninterruptibly, Z is dead and not reaped. None: there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return None


def in_the_kernel(pid: int) -> bool:
    """Whether a thread of it waits uninterruptibly. After SIGKILL the other threads are gone, and its main thread may be a zombie."""
    try:
        states = [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in Path(f"/proc/{pid}/task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return "D" in states


@contextlib.contextmanager
def child(program: str, *arguments: str | Path) -> Iterator[Child]:
    started = Child(program, *arguments)
    try:
        yield started
    finally:
        started.close()
