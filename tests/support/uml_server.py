"""The NFS server of the guest, as something that a test can take away and give back. Runs in the guest."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

_LEASES = Path("/proc/sys/fs/leases-enable")


def stop() -> None:
    """The server is shut down: callers are refused, and wait. Its state is lost; what is in the export stays."""
    _run("rpc.nfsd", "0")


def start() -> None:
    _run("rpc.nfsd", "-N", "3", "-V", "4.1", "--no-udp", "4")


def cut() -> None:
    """The wire to the server is cut: packets vanish, nobody is told. The server keeps its state."""
    _tc("qdisc add dev lo clsact")
    for side in ("sport", "dport"):
        _tc(f"filter add dev lo ingress protocol ip u32 match ip {side} 2049 0xffff action drop")


def mend() -> None:
    _tc("qdisc del dev lo clsact")


@contextlib.contextmanager
def distant(round_trip_s: float) -> Iterator[None]:
    """The server is this far away, for every client. The rest of the loopback network is as near as ever."""
    _tc("qdisc add dev lo root handle 1: prio bands 4 priomap" + " 0" * 16)
    try:
        _tc(f"qdisc add dev lo parent 1:4 netem limit 10000 delay {round_trip_s / 2 * 1_000_000:.0f}us")
        for side in ("sport", "dport"):
            _tc(f"filter add dev lo parent 1: protocol ip u32 match ip {side} 2049 0xffff flowid 1:4")
        yield
    finally:
        _tc("qdisc del dev lo root")


@contextlib.contextmanager
def without_leases() -> Iterator[None]:
    """It grants no delegations, and so no client has leases."""
    _LEASES.write_text("0")
    try:
        yield
    finally:
        _LEASES.write_text("1")


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


def _tc(words: str) -> None:
    _run("tc", *words.split())


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
