"""What /proc says of a service's processes: who belongs to it, where it listens, what it costs. Linux only."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from os import sysconf
from pathlib import Path

PROC = Path("/proc")
LISTEN = "0A"


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    command: str


def tied_to_us(command: list[str]) -> list[str]:
    """The command so that the kernel kills its process when ours ends, however that happens: a killed test run cleans up nothing.

    Without util-linux, as it is. To be called from the thread that starts it and lives as long as we do.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", *command] if setpriv else command


def marked(mark: str) -> list[Process]:
    """The living processes that inherited `mark` in their environment, orphans too. A zombie has no environment, so it is not alive."""
    return list(_marked(mark.encode()))


def listening_port(pid: int) -> int | None:
    """The TCP port on which `pid` listens; None: on none yet."""
    try:
        inodes = {link.readlink().name for link in (PROC / str(pid) / "fd").iterdir()}
        table = (PROC / str(pid) / "net/tcp").read_text().splitlines()[1:]
    except OSError:  # it ended, or closed a file while we looked
        return None
    for line in table:
        _, local, _, state, *rest = line.split()
        if state == LISTEN and f"socket:[{rest[5]}]" in inodes:
            return int(local.partition(":")[2], 16)
    return None


def pss_bytes(pid: int) -> int:
    """Its proportional share of memory: shared pages count in part, so the sum over processes is true."""
    found = re.search(r"^Pss:\s+(\d+) kB", (PROC / str(pid) / "smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def cpu_seconds(pid: int) -> float:
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / sysconf("SC_CLK_TCK")


def _marked(mark: bytes) -> Iterator[Process]:
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if mark in (folder / "environ").read_bytes():
                yield Process(int(folder.name), (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip())
        except OSError:  # it ended while we looked, or is another user's
            continue
