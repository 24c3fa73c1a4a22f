"""The children in which the checks run: one that dies is reported, and none holds up the doctor's end."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.azurite import CHECKOUT
from tests.support.doctor import SMALL
from tests.support.fuse import FaultyFileSystem
from tests.support.link import Link
from tests.support.service import clean_environment
from tests.support.site import Site
from tests.support.waiting import until


@contextmanager
def doctor(home: Path, settings: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """One that waits for a check for as long as it takes."""
    command = [sys.executable, "-m", "nfsw", "doctor", "--timeout", "600"]
    with subprocess.Popen(command, env=clean_environment(home, settings), cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def children(process: subprocess.Popen[str]) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def test_a_child_that_dies_is_reported_and_the_next_group_is_checked(site: Site, link: Link, tmp_path: Path) -> None:
    link.hold()
    with doctor(tmp_path, site.settings(**SMALL, APP_AZURE_CONNECTION_STRING=link.endpoint.connection_string)) as process:
        assert process.stdout is not None
        while "Azure credentials" not in (line := process.stdout.readline()):
            assert line, "the doctor ended early"
        [child] = children(process)
        subprocess.run(["kill", "-KILL", str(child)], check=True)
        rest = process.stdout.read()
        assert process.wait() == 1
    assert "the process of the checks ended with exit code -9" in rest
    assert "OTLP" in rest


def test_ctrl_c_ends_the_doctor_while_a_child_is_blocked_in_the_kernel(site: Site, disk: FaultyFileSystem, tmp_path: Path) -> None:
    with disk.hanging() as fault, doctor(tmp_path, site.settings(**SMALL, APP_NFS_ROOT=str(disk.mount))) as process:
        until(fault.hits, within=30, what="a call hangs")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130
