"""The tests' own watch."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import stopwatch
from tests.support.faketime import FakeClock
from tests.support.stopwatch import Stopwatch


@pytest.fixture
def pressure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(stopwatch, "_PRESSURE", tmp_path)
    return tmp_path


def waited(pressure: Path, *, cpu_us: int, io_us: int) -> None:
    for resource, total in {"cpu": cpu_us, "io": io_us}.items():
        (pressure / resource).write_text(
            f"some avg10=0.00 avg60=0.00 avg300=0.00 total={total}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9\n"
        )


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    """In this thread alone: a server that another file's tests have left running would sleep for hours."""
    with FakeClock() as own:
        yield own


def test_time_in_which_somebody_waited_for_the_machine_does_not_count(pressure: Path, clock: FakeClock) -> None:
    waited(pressure, cpu_us=1_000_000, io_us=0)
    watch = Stopwatch()
    clock.advance(3.0)
    waited(pressure, cpu_us=2_500_000, io_us=500_000)

    assert watch.wall_s == pytest.approx(3.0)
    assert watch.seconds == pytest.approx(1.0)


def test_on_an_idle_machine_it_is_a_watch(pressure: Path, clock: FakeClock) -> None:
    waited(pressure, cpu_us=1, io_us=2)
    watch = Stopwatch()
    clock.advance(3.0)

    assert watch.seconds == pytest.approx(3.0)


def test_where_the_kernel_does_not_tell_it_is_a_watch_too(pressure: Path, clock: FakeClock) -> None:
    watch = Stopwatch()
    clock.advance(3.0)

    assert watch.seconds == pytest.approx(3.0)


def test_it_never_runs_backwards(pressure: Path, clock: FakeClock) -> None:
    """Processor and disk may be waited for at the same time."""
    waited(pressure, cpu_us=0, io_us=0)
    watch = Stopwatch()
    clock.advance(1.0)
    waited(pressure, cpu_us=900_000, io_us=900_000)

    assert watch.seconds == 0.0
