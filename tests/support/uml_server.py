"""The NFS server of the guest, as something that a test can take away and give back. Runs in the guest."""

import contextlib
import subprocess
from collections.abc import Iterator

_DROP = "u32 match ip {side} 2049 0xffff action drop"


def stop() -> None:
    """The server is shut down: callers are refused, and wait. Its state is lost; what is in the export stays."""
    _run("rpc.nfsd", "0")


def start() -> None:
    _run("rpc.nfsd", "-N", "3", "-V", "4.1", "--no-udp", "4")


def cut() -> None:
    """The wire to the server is cut: packets vanish, nobody is told. The server keeps its state."""
    _run("tc", "qdisc", "add", "dev", "lo", "clsact")
    for side in ("sport", "dport"):
        _run("tc", "filter", "add", "dev", "lo", "ingress", "protocol", "ip", *_DROP.format(side=side).split())


def mend() -> None:
    _run("tc", "qdisc", "del", "dev", "lo", "clsact")


@contextlib.contextmanager
def stopped() -> Iterator[None]:
    stop()
    try:
        yield
    finally:
        start()


@contextlib.contextmanager
def unreachable() -> Iterator[None]:
    cut()
    try:
        yield
    finally:
        mend()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
