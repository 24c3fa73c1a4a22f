"""`status --watch` in a terminal: the picture fits it, and nothing in a name reaches it as a command."""

import dataclasses
import io
import re

import pytest
from rich.console import Console
from rich.live import Live

from nfsw.live import LiveScreen, picture
from nfsw.supervisor.status import Status
from tests.support.memory_service import ACTIVE, BUSY, HUNG, IDLE, in_flight


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
