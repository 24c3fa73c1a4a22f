"""One group of checks, watched over by the doctor: a child that hangs is ended, and it is said in which check."""

import contextlib
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from nfsw import run_module
from nfsw.doctor.finding import Finding, Verdict
from nfsw.doctor.plan import Plan

#: Seconds for a child to import what it needs.
_START_S = 60.0
#: Seconds for a child to end.
_END_S = 2.0

_SILENT = {
    "nfs": "check the NFS server and the network; a hard mount waits for ever, and continues when the server answers",
    "staging": "check the disk, and the kernel's messages on this node (dmesg)",
    "azure": "check the network: firewall, proxy, route",
    "otlp": "check the collector; files do not wait for it",
}


def findings(group: str, plan: Plan) -> Iterator[Finding]:
    """Each as it comes."""
    # No stderr of ours: whoever reads it would wait for a child that cannot be killed.
    child = subprocess.Popen(
        run_module.command("nfsw.doctor", group), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert child.stdin is not None
    assert child.stdout is not None
    check, limit_s = f"{group} checks", _START_S
    with child.stdin, child.stdout:
        with contextlib.suppress(BrokenPipeError):  # it has ended, which shows below
            child.stdin.write(json.dumps(asdict(plan)).encode())
            child.stdin.close()
        lines = _Lines(child.stdout.fileno())
        try:
            while line := lines.next(limit_s):
                match json.loads(line):
                    case {"begins": str(check), "limit_s": float() | int() as limit_s}:
                        continue
                    case {"found": [name, verdict, said, remedy]}:
                        yield Finding(name, Verdict(verdict), said, remedy)
                        check, limit_s = f"{group} clean-up", plan.limit_s
            if child.wait(_END_S):
                yield Finding(
                    check, Verdict.FAIL, f"the process of the checks ended with exit code {child.returncode}", "please report this"
                )
        except (TimeoutError, subprocess.TimeoutExpired):
            child.kill()
            yield Finding(check, Verdict.FAIL, f"no answer within {limit_s:g} s{_fate(child)}", _SILENT[group])


class _Lines:
    """What a pipe says, a line at a time."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._read = b""

    def next(self, within_s: float) -> bytes:
        """Empty at the end. Raises TimeoutError."""
        deadline = time.monotonic() + within_s
        while b"\n" not in self._read:
            ready, _, _ = select.select([self._fd], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            if not (more := os.read(self._fd, 65_536)):
                return b""
            self._read += more
        line, _, self._read = self._read.partition(b"\n")
        return line


def _fate(child: "subprocess.Popen[Any]") -> str:
    try:
        child.wait(_END_S)
    except subprocess.TimeoutExpired:
        return f"; process {child.pid} cannot be killed: it is blocked in the kernel"
    return ""
