"""`status --watch`: plain lines, one for each thing that changed; in a terminal a picture that fits it."""

import dataclasses
import io
import re

import pytest
from rich.console import Console
from rich.live import Live

from nfsw.live import PROGRESS_S, LineScreen, LiveScreen, picture
from nfsw.supervisor.status import Status
from tests.support.memory_service import ACTIVE, BUSY, HUNG, IDLE, in_flight

# --- Plain lines ---


class Reader:
    """A line screen, what it wrote without the time of day, and a clock that stands still unless told."""

    def __init__(self) -> None:
        self.now = 100.0
        self._written: list[str] = []
        self.screen = LineScreen(self._written.append, lambda: self.now)

    def read(self, status: Status) -> list[str]:
        self.screen.show(status)
        return self.new()

    def new(self) -> list[str]:
        lines = [line.partition(" ")[2] for line in self._written]
        self._written.clear()
        return lines


@pytest.fixture
def reader() -> Reader:
    return Reader()


def test_at_first_everything_is_printed_and_then_nothing(reader: Reader) -> None:
    [health, *lines] = reader.read(IDLE)
    assert re.fullmatch(r"Waiting since .*: No session is active in this pod\.", health)
    assert lines == [
        "no session is active",
        "uploads running",
        "0 queued, 0 staging, 0 uploading, 0 completed, 0 failed, 0 refused",
    ]
    assert reader.read(IDLE) == []


def test_a_session_that_starts_and_a_pause_are_printed(reader: Reader) -> None:
    reader.read(IDLE)
    health, session = reader.read(ACTIVE)
    assert health == "OK: No file waits to be sent."
    assert session.startswith("session s1, active")
    assert reader.read(dataclasses.replace(ACTIVE, uploads="paused")) == ["uploads paused"]


def test_a_file_has_a_line_when_it_appears_when_its_state_changes_and_when_it_is_gone(reader: Reader) -> None:
    reader.read(ACTIVE)
    moving = dataclasses.replace(ACTIVE, in_flight=(in_flight(),))
    assert reader.read(moving) == ["a.bin: uploading, 10% of 10.0 GiB, 113 MiB/s, 1 min 22 s left"]
    failing = dataclasses.replace(ACTIVE, in_flight=(in_flight(error="timed out", retry_in_s=3.0),))
    assert reader.read(failing) == ["a.bin: waiting, 10% of 10.0 GiB, next attempt, in 3 s", "a.bin: attempt 1: timed out"]
    assert reader.read(ACTIVE) == ["a.bin: no longer in flight (20260131/s1)"]


def test_progress_alone_is_printed_every_ten_seconds(reader: Reader) -> None:
    for done in range(100):
        reader.now += PROGRESS_S / 10
        reader.screen.show(dataclasses.replace(ACTIVE, in_flight=(in_flight(done=done),)))
    printed = [line for line in reader.new() if line.startswith("a.bin")]
    assert len(printed) == 10


def test_a_file_that_makes_no_progress_is_not_printed_again(reader: Reader) -> None:
    moving = dataclasses.replace(ACTIVE, in_flight=(in_flight(),))
    reader.read(moving)
    reader.now += 10 * PROGRESS_S
    assert reader.read(moving) == []


def test_a_reason_to_wait_is_printed_once_though_its_seconds_change(reader: Reader) -> None:
    reader.read(BUSY)
    assert [line for line in reader.read(HUNG) if line.startswith("waiting")] == [
        "waiting for: scanner has waited for NFS in scandir incoming/s1 for 42 s; a file of 3.0 GiB waits for room in staging"
    ]
    later = tuple(reason.replace("42", "43") for reason in HUNG.waiting_for)
    health = dataclasses.replace(HUNG.health, reason=HUNG.health.reason.replace("42", "43"))
    assert reader.read(dataclasses.replace(HUNG, waiting_for=later, health=health)) == []
    assert reader.read(BUSY) == ["OK: 8 files are on the way to Azure.", "no longer waiting"]


def test_a_service_that_is_gone_is_reported_once_and_so_is_its_return(reader: Reader) -> None:
    reader.read(ACTIVE)
    reader.screen.lost("cannot reach http://x: Connection refused")
    reader.screen.lost("cannot reach http://x: Connection refused")
    assert reader.new() == ["cannot reach http://x: Connection refused; trying again"]
    assert reader.read(ACTIVE) == ["the service answers again"]


def test_hostile_names_make_no_line_of_their_own(reader: Reader) -> None:
    assert all(line.isprintable() for line in reader.read(BUSY) + reader.read(ACTIVE))


# --- The picture ---


def drawn(status: Status, width: int, height: int = 24) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, color_system=None)
    with console.capture() as capture:
        for line in picture(status, width, height):
            console.print(line)
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("status", [IDLE, BUSY, HUNG], ids=["idle", "busy", "hung"])
def test_every_line_fits_the_terminal(status: Status, width: int) -> None:
    for line in drawn(status, width):
        assert len(line) <= width
        assert line.isprintable()


def test_each_file_has_its_row() -> None:
    rows = drawn(BUSY, 120)
    assert any(line.startswith("camera-left") and line.endswith("10%  113 MiB/s  1 min 22 s") for line in rows)
    assert any("attempt 4: 503 ServerBusy" in line for line in rows)
    assert any(line.startswith("radar sweep.bin") and "again in        17 s" in line for line in rows)


@pytest.mark.parametrize("height", [8, 12, 24, 50])
@pytest.mark.parametrize("files", [0, 1, 3, 8, 30, 200])
def test_more_files_than_lines_are_cut_short_and_counted(files: int, height: int) -> None:
    flights = tuple(in_flight(f"{number}.bin", error="timed out" if number % 3 == 0 else None) for number in range(files))
    lines = drawn(dataclasses.replace(ACTIVE, in_flight=flights), 80, height)
    assert len(lines) <= height
    shown = sum(line.split()[0].endswith(".bin") for line in lines)
    more = next((int(found[1]) for line in lines if (found := re.match(r"and (\d+) more in flight", line))), 0)
    assert shown + more == files


def test_files_that_the_status_does_not_list_are_counted_too() -> None:
    status = dataclasses.replace(BUSY, files=dataclasses.replace(BUSY.files, uploading=2004))
    assert "and 2000 more in flight" in drawn(status, 120, 40)
    assert len(drawn(status, 120, 12)) <= 12


def test_a_lost_service_leaves_the_last_picture_and_says_so() -> None:
    output = io.StringIO()
    with Live(console=Console(width=80, height=24, file=output, force_terminal=True, color_system=None), auto_refresh=False) as live:
        screen = LiveScreen(live)
        screen.show(BUSY)
        output.truncate(0)
        screen.lost("cannot reach http://x: Connection refused")
    assert "camera-left" in output.getvalue()
    assert "cannot reach http://x: Connection refused; trying again" in output.getvalue()
