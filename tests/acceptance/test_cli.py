"""`nfsw start`, `stop` and `status` against a running service, and against none."""

import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.azurite import CHECKOUT
from tests.support.content import MIB, some_bytes
from tests.support.link import Link
from tests.support.service import Service, clean_environment, run_nfsw
from tests.support.site import Site
from tests.support.waiting import until


@pytest.fixture(scope="module")
def service(module_site: Site) -> Service:
    return module_site.serve()


def nfsw(service: Service, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_nfsw(home, *arguments, "--url", service.url)


def test_a_session_is_started_shown_and_stopped(service: Service, tmp_path: Path) -> None:
    started = nfsw(service, tmp_path, "start", "from-the-cli")
    assert started.returncode == 0, started
    assert "from-the-cli" in started.stdout

    shown = nfsw(service, tmp_path, "status")
    assert shown.returncode == 0, shown
    assert "from-the-cli" in shown.stdout
    assert "active" in shown.stdout

    again = nfsw(service, tmp_path, "start", "another")
    assert again.returncode not in {0, 2}, again
    assert "from-the-cli" in again.stderr
    assert "Traceback" not in again.stderr

    assert nfsw(service, tmp_path, "stop").returncode == 0
    until(lambda: service.status()["session"] is None, within=20, what="the session has ended")
    assert nfsw(service, tmp_path, "stop").returncode not in {0, 2}


def test_start_without_a_name_tells_the_name_it_got(service: Service, tmp_path: Path) -> None:
    started = nfsw(service, tmp_path, "start")
    assert started.returncode == 0, started
    assert service.status()["session"]["name"] in started.stdout
    assert nfsw(service, tmp_path, "stop").returncode == 0
    until(lambda: service.status()["session"] is None, within=20, what="the session has ended")


def test_a_bad_name_is_told_in_words(service: Service, tmp_path: Path) -> None:
    run = nfsw(service, tmp_path, "start", "a/b")
    assert run.returncode != 0
    assert run.stderr.count("\n") == 1, run
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("command", ["start", "stop", "status"])
def test_without_a_service_one_line_says_so(tmp_path: Path, command: str) -> None:
    run = run_nfsw(tmp_path, command, "--url", "http://127.0.0.1:9")
    assert run.returncode != 0
    assert run.stderr.count("\n") == 1, run
    assert "127.0.0.1:9" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("arguments", [[], ["--help"], ["nonsense"], ["start", "--help"]], ids=repr)
def test_usage_is_told(tmp_path: Path, arguments: list[str]) -> None:
    run = run_nfsw(tmp_path, *arguments)
    assert "usage" in (run.stdout + run.stderr).lower()
    assert run.returncode == (0 if "--help" in arguments else 2), run


def watch(service: Service, folder: Path, output: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "nfsw", "status", "--watch", "--url", service.url],
        env=clean_environment(folder, {"TERM": "xterm", "COLUMNS": "120", "LINES": "40"}),
        cwd=CHECKOUT,
        stdin=output,
        stdout=output,
        stderr=output,
    )


def test_status_watch_shows_each_file_without_a_terminal_in_plain_lines(linked: Site, link: Link, tmp_path: Path) -> None:
    service = linked.serve()
    service.start_session("s")
    link.limit(2 * MIB)
    with (tmp_path / "watch.out").open("w+b") as output:
        process = watch(service, tmp_path, output.fileno())
        try:
            linked.write("s", "watched.bin", some_bytes(1, 4 * MIB))
            shown = Path(output.name)
            until(lambda: b"watched.bin" in shown.read_bytes(), within=30, what=lambda: f"the file is shown: {shown.read_bytes()!r}")
            assert b"\x1b" not in shown.read_bytes(), "no terminal, no escape codes"
        finally:
            process.terminate()
            process.wait()
    linked.all_arrived()


def test_status_watch_shows_live_progress_in_a_terminal(linked: Site, link: Link, tmp_path: Path) -> None:
    service = linked.serve()
    service.start_session("s")
    link.limit(2 * MIB)
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    process = watch(service, tmp_path, theirs)
    os.close(theirs)
    screen = bytearray()

    def shows(text: bytes) -> bool:
        with suppress(BlockingIOError):  # nothing new
            screen.extend(os.read(ours, 65536))
        return text in screen

    try:
        linked.write("s", "watched.bin", some_bytes(1, 6 * MIB))
        until(lambda: shows(b"watched.bin"), within=30, what=lambda: f"the file is shown: {screen!r}")
        until(lambda: shows(b"%") or shows(b"MiB") or shows(b"MB"), within=30, what=lambda: f"its progress is shown: {screen!r}")
    finally:
        process.terminate()
        process.wait()
        os.close(ours)
    linked.all_arrived()
