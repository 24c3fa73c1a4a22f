"""The `nfsw` command: what it prints, where, and its exit codes."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from nfsw.cli import FAILED, main
from tests.support.memory_service import BUSY, MemoryService
from tests.support.serving import served
from tests.support.waiting import until

CHECKOUT = Path(__file__).parents[3]
NFSW = [sys.executable, "-m", "nfsw"]


@pytest.fixture
def service() -> MemoryService:
    return MemoryService()


@pytest.fixture
def url(service: MemoryService) -> Iterator[str]:
    with served(service) as url:
        yield url


def test_start_prints_the_session_and_its_state(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", "s1", "--url", url]) == 0
    assert capsys.readouterr().out.startswith("session s1, active since ")


def test_start_without_a_name_prints_the_one_it_got(url: str, service: MemoryService, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", "--url", url]) == 0
    assert service.now.session is not None
    assert service.now.session.name in capsys.readouterr().out


def test_stop_prints_what_is_left(url: str, service: MemoryService, capsys: pytest.CaptureFixture[str]) -> None:
    service.now = BUSY
    assert main(["stop", "--url", url]) == 0
    assert capsys.readouterr().out.startswith("session s1, draining since ")


def test_abandon_says_where_the_file_is_and_what_is_noted(url: str, service: MemoryService, capsys: pytest.CaptureFixture[str]) -> None:
    service.now = BUSY
    assert main(["abandon", "s1", "lidar.dat", "--date", "20260131", "--url", url]) == 0
    assert capsys.readouterr().out == "abandoned; it stays under .processing, and .nfsw/abandoned has a note of it\n"
    assert "lidar.dat" in [one.file for one in service.now.refused]


@pytest.mark.parametrize("arguments", [["stop"], ["start", "a/b"], ["start", "x" * 129], ["abandon", "s1", "a"]], ids=repr)
def test_a_no_is_one_line_on_stderr(url: str, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--url", url]) == FAILED
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(r"nfsw: [^\n]+\n", said.err)


@pytest.mark.parametrize("arguments", [["start"], ["stop"], ["status"], ["status", "--json"], ["status", "--watch"]], ids=repr)
def test_without_a_service_one_line_says_so(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--url", "http://127.0.0.1:9"]) == FAILED
    assert capsys.readouterr().err == "nfsw: cannot reach http://127.0.0.1:9: Connection refused\n"


def test_without_a_url_the_service_is_where_its_settings_say(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APP_PORT", url.rpartition(":")[2])
    monkeypatch.setenv("APP_HOST", "127.0.0.1")
    assert main(["start", "s1"]) == 0
    assert capsys.readouterr().out.startswith("session s1, active since ")


def test_a_port_that_is_none_is_one_line_unless_there_is_a_url(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APP_PORT", "80x")
    assert main(["status"]) == 2
    assert re.fullmatch(r"nfsw: APP_PORT is '80x'[^\n]+\n", capsys.readouterr().err)
    assert main(["status", "--url", url]) == 0


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["status", "--url", "box"], ["start", "a", "b"], ["serve", "now"]], ids=repr)
def test_bad_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "usage: nfsw" in capsys.readouterr().err


def test_status_as_json_is_what_the_service_said(url: str, service: MemoryService, capsys: pytest.CaptureFixture[str]) -> None:
    service.now = BUSY
    assert main(["status", "--json", "--url", url]) == 0
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert json.loads(printed)["in_flight"][-1]["file"] == BUSY.in_flight[-1].file


def test_the_help_of_serve_has_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["serve", "--help"])
    assert left.value.code == 0
    printed = capsys.readouterr().out
    assert "APP_NFS_ROOT " in printed
    assert "(default: /mnt/nfs)" in printed


def test_a_client_starts_without_the_libraries_of_the_service() -> None:
    heavy = "{'fastapi', 'pydantic', 'uvicorn', 'rich', 'azure', 'asyncio'}"
    script = f"import sys; from nfsw.cli import main; main(['status', '--url', 'http://127.0.0.1:9']); print({heavy} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def test_a_reader_that_has_enough_is_no_error(url: str, service: MemoryService) -> None:
    service.now = BUSY
    watching = subprocess.Popen(
        [*NFSW, "status", "--watch", "--json", "--url", url], cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert watching.stdout is not None
    assert watching.stdout.readline().startswith(b"{")
    watching.stdout.close()
    assert watching.wait(timeout=20) == 0
    assert watching.stderr is not None
    assert watching.stderr.read() == b""
    watching.stderr.close()


def test_a_full_disk_is_one_line(url: str) -> None:
    with Path("/dev/full").open("wb") as full:
        run = subprocess.run([*NFSW, "status", "--url", url], cwd=CHECKOUT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (run.returncode, run.stderr) == (FAILED, "nfsw: cannot write: No space left on device\n")


class Terminal:
    """`nfsw status --watch` in a pseudo-terminal, and what it put there."""

    def __init__(self, url: str, *, term: str = "xterm-256color") -> None:
        self._ours, theirs = pty.openpty()
        os.set_blocking(self._ours, False)
        environment = {**os.environ, "TERM": term, "COLUMNS": "100", "LINES": "30"}
        self.process = subprocess.Popen(
            [*NFSW, "status", "--watch", "--url", url], cwd=CHECKOUT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        self.seen = b""

    def shows(self, text: str) -> None:
        def there() -> bool:
            with suppress(BlockingIOError, OSError):  # nothing new; or the other end is closed
                self.seen += os.read(self._ours, 65536)
            return text.encode() in self.seen

        until(there, within=20, what=lambda: f"{text!r} is shown: {self.seen!r}")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@contextmanager
def terminal(url: str, *, term: str = "xterm-256color") -> Iterator[Terminal]:
    opened = Terminal(url, term=term)
    try:
        yield opened
    finally:
        opened.close()


def test_a_terminal_shows_files_live_and_ctrl_c_is_a_clean_end(url: str, service: MemoryService) -> None:
    service.now = BUSY
    with terminal(url) as shown:
        shown.shows("camera-left")
        shown.shows("\x1b[?25l")
        shown.process.send_signal(signal.SIGINT)
        assert shown.process.wait(timeout=10) == 0
        shown.shows("\x1b[?25h")  # the cursor is back
        assert b"Traceback" not in shown.seen
        assert b"\x1b[2J" not in shown.seen, "the name of a file reached the terminal as a command"


def test_a_dumb_terminal_gets_plain_lines(url: str, service: MemoryService) -> None:
    service.now = BUSY
    with terminal(url, term="dumb") as shown:
        shown.shows("lidar.dat: staging")
        assert b"\x1b" not in shown.seen


def test_a_watch_outlives_a_restart_of_the_service(port: int) -> None:
    with served(MemoryService(), port) as url:
        watching = subprocess.Popen(
            [*NFSW, "status", "--watch", "--url", url], cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert watching.stdout is not None
        assert watching.stdout.readline().endswith(": No session is active in this pod.\n")
    lines = iter(watching.stdout.readline, "")
    assert any(line.endswith("Connection refused; trying again\n") for line in lines)
    with served(MemoryService(BUSY), port):
        assert any(line.endswith("the service answers again\n") for line in lines)
        assert any("session s1, active since" in line for line in lines)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(timeout=10) == 0
    watching.stdout.close()
