"""`status --watch` without a terminal: one line for each thing that changed, none when nothing did."""

import dataclasses

import pytest

from nfsw.live import PROGRESS_S, LineScreen
from nfsw.supervisor.status import Status
from tests.support.memory_service import ACTIVE, BUSY, HUNG, IDLE, in_flight


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


def test_at_first_everything_is_told_and_then_nothing(reader: Reader) -> None:
    assert reader.read(IDLE) == [
        "no session is active",
        "uploads running",
        "0 queued, 0 staging, 0 uploading, 0 completed, 0 failed, 0 refused",
    ]
    assert reader.read(IDLE) == []


def test_a_session_that_starts_and_a_pause_are_told(reader: Reader) -> None:
    reader.read(IDLE)
    assert reader.read(ACTIVE)[0].startswith("session s1, active")
    assert reader.read(dataclasses.replace(ACTIVE, uploads="paused")) == ["uploads paused"]


def test_a_file_is_told_when_it_comes_when_its_state_changes_and_when_it_goes(reader: Reader) -> None:
    reader.read(ACTIVE)
    moving = dataclasses.replace(ACTIVE, in_flight=(in_flight(),))
    assert reader.read(moving) == ["a.bin: uploading, 10% of 10.0 GiB, 113 MiB/s, 1 min 22 s left"]
    failing = dataclasses.replace(ACTIVE, in_flight=(in_flight(error="timed out", retry_in_s=3.0),))
    assert reader.read(failing) == ["a.bin: waiting, 10% of 10.0 GiB, next attempt, in 3 s", "a.bin: attempt 1: timed out"]
    assert reader.read(ACTIVE) == ["a.bin: no longer in flight (20260131/s1)"]


def test_mere_progress_is_told_now_and_then(reader: Reader) -> None:
    for done in range(100):
        reader.now += PROGRESS_S / 10
        reader.screen.show(dataclasses.replace(ACTIVE, in_flight=(in_flight(done=done),)))
    told = [line for line in reader.new() if line.startswith("a.bin")]
    assert len(told) == 10


def test_a_file_that_stands_still_is_not_told_again(reader: Reader) -> None:
    moving = dataclasses.replace(ACTIVE, in_flight=(in_flight(),))
    reader.read(moving)
    reader.now += 10 * PROGRESS_S
    assert reader.read(moving) == []


def test_a_wait_is_told_once_though_its_seconds_go_on(reader: Reader) -> None:
    reader.read(BUSY)
    assert [line for line in reader.read(HUNG) if line.startswith("waiting")] == [
        "waiting for: scanner has waited for NFS in scandir incoming/s1 for 42 s; a file of 3.0 GiB waits for room in staging"
    ]
    later = tuple(reason.replace("42", "43") for reason in HUNG.waiting_for)
    assert reader.read(dataclasses.replace(HUNG, waiting_for=later)) == []
    assert reader.read(BUSY) == ["no longer waiting"]


def test_a_service_that_is_gone_is_told_once_and_its_return_too(reader: Reader) -> None:
    reader.read(ACTIVE)
    reader.screen.lost("cannot reach http://x: Connection refused")
    reader.screen.lost("cannot reach http://x: Connection refused")
    assert reader.new() == ["cannot reach http://x: Connection refused; trying again"]
    assert reader.read(ACTIVE) == ["the service answers again"]


def test_hostile_names_make_no_line_of_their_own(reader: Reader) -> None:
    assert all(line.isprintable() for line in reader.read(BUSY) + reader.read(ACTIVE))
