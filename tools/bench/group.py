"""The processes of one measured side: started, counted, weighed and killed together. Runs in the benchmark's process.

Where a control group (v2) can be made the kernel does the counting: every process that was ever started is in it, ended ones too.
Elsewhere /proc is added up: what lives and bears our mark, with the children that it has reaped, and what we have reaped ourselves.
"""

import os
import resource
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, Self
from uuid import uuid4

from tests.support.processes import marked, pss_bytes

MARK = "NFSW_BENCH_MARK"
CHECKOUT = Path(__file__).parents[2]
STOP_WITHIN_S = 10.0


class Group(Protocol):
    """A context manager: no process outlives it."""

    @property
    def counted_by(self) -> str: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def spawn(self, command: Sequence[str], settings: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]: ...
    def pids(self) -> list[int]: ...
    def cpu_seconds(self) -> float:
        """User and system, of all its processes since the group was made."""
        ...

    def kill(self) -> None:
        """SIGKILL to all of them; returns when they are gone."""
        ...


def new_group() -> Group:
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    for root in (Path(fields[1]) for fields in mounts if fields[2] == "cgroup2"):
        own = next((line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")), "/")
        folder = root / own.lstrip("/") / f"bench-{uuid4().hex}"
        with suppress(OSError):
            folder.mkdir()
            if (folder / "cgroup.kill").exists() and os.access(folder / "cgroup.procs", os.W_OK):
                return ControlGroup(folder)
            folder.rmdir()
    return MarkedGroup()


def pss_of(pids: Sequence[int]) -> int:
    """Bytes, of those that still live."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            total += pss_bytes(pid)
    return total


class _Base:
    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def _spawn(self, command: Sequence[str], settings: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        """Nothing of the caller's environment but the way to programs."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                env={"PATH": os.environ["PATH"], "HOME": str(log.parent), **settings},
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def _reap(self) -> None:
        for process in self._started:
            process.wait(STOP_WITHIN_S)


class ControlGroup(_Base):
    counted_by = "control group"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.folder.rmdir()

    def spawn(self, command: Sequence[str], settings: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        # The process enters the group before it becomes the program.
        enter = ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self.folder / "cgroup.procs")]
        return self._spawn([*enter, *command], settings, log)

    def pids(self) -> list[int]:
        return [int(line) for line in (self.folder / "cgroup.procs").read_text().split()]

    def cpu_seconds(self) -> float:
        first = (self.folder / "cpu.stat").read_text().split()
        return int(first[first.index("usage_usec") + 1]) / 1e6

    def kill(self) -> None:
        (self.folder / "cgroup.kill").write_text("1")
        self._reap()
        while "populated 1" in (self.folder / "cgroup.events").read_text():
            os.sched_yield()


class MarkedGroup(_Base):
    counted_by = "/proc"

    def __init__(self) -> None:
        super().__init__()
        self._mark = uuid4().hex
        self._reaped_before = _reaped()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def spawn(self, command: Sequence[str], settings: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        return self._spawn(command, {**settings, MARK: self._mark}, log)

    def pids(self) -> list[int]:
        return [process.pid for process in marked(f"{MARK}={self._mark}")]

    def cpu_seconds(self) -> float:
        return sum(_with_children(pid) for pid in self.pids()) + _reaped() - self._reaped_before

    def kill(self) -> None:
        while left := self.pids():
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._reap()
        self._reap()


def _with_children(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0  # it ended; whoever reaps it has its time
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def _reaped() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
