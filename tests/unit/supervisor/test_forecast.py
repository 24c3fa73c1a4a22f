"""Forecasts: how long the backlog takes, when a disk is full, and what is not known and so not said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfsw.actors.messages import ArrivalsCounted
from nfsw.supervisor.counters import Counters
from nfsw.supervisor.forecast import ArrivalCount, DiskTrend, backlog
from nfsw.supervisor.status import Disk

GIB = 2**30


def watched(*free: int, step_s: float = 60.0, later_s: float = 0.0) -> Disk:
    """A disk that had so much free, one sample a step, and was asked about so long after the last one."""
    trend = DiskTrend()
    for number, bytes_free in enumerate(free):
        trend.note(1000 * GIB, bytes_free, number * step_s)
    disk = trend.disk((len(free) - 1) * step_s + later_s)
    assert disk is not None
    return disk


# --- The backlog ---


def test_a_backlog_takes_its_bytes_over_the_rate() -> None:
    assert backlog(3, 1000, 50.0, None).eta_s == 20


def test_an_empty_backlog_takes_no_time_whatever_the_rate() -> None:
    assert backlog(0, 0, None, None).eta_s == backlog(1, 0, 0.0, None).eta_s == 0


def test_a_rate_that_is_not_known_or_zero_has_no_end_in_sight() -> None:
    assert backlog(3, 1000, None, None).eta_s is None
    assert backlog(3, 1000, 0.0, None).eta_s is None


def test_what_is_claimed_is_no_longer_what_was_counted_in_incoming() -> None:
    totals = Counters()
    totals.claimed["incoming"], totals.bytes_claimed = 5, 500  # before it was counted
    arrivals = ArrivalCount(totals)
    assert (arrivals.files, arrivals.size, arrivals.counted_at) == (0, 0, None)
    arrivals.note(ArrivalsCounted(10, 1000))
    assert (arrivals.files, arrivals.size) == (10, 1000)
    totals.claimed["incoming"], totals.bytes_claimed = 8, 800
    assert (arrivals.files, arrivals.size) == (7, 700)
    totals.claimed["incoming"], totals.bytes_claimed = 80, 8000
    assert (arrivals.files, arrivals.size) == (0, 0), "never less than nothing"
    arrivals.note(ArrivalsCounted(2, 20))
    assert (arrivals.files, arrivals.size) == (2, 20)
    arrivals.forget()
    assert (arrivals.files, arrivals.size, arrivals.counted_at) == (0, 0, None)


# --- Disks ---


def test_a_disk_that_fills_steadily_is_full_when_what_is_free_is_used_up() -> None:
    disk = watched(*(100 * GIB - minute * GIB for minute in range(11)))
    assert disk.free == 90 * GIB
    assert disk.filling == pytest.approx(GIB / 60)
    assert disk.full_in_s == pytest.approx(90 * 60)


def test_a_disk_that_empties_or_stays_as_it_is_does_not_fill() -> None:
    empties = watched(*(100 * GIB + minute * GIB for minute in range(11)))
    assert empties.filling == pytest.approx(-GIB / 60)
    assert empties.full_in_s is None
    assert watched(*[100 * GIB] * 11).full_in_s is None


def test_a_disk_that_takes_more_than_a_month_does_not_fill() -> None:
    assert watched(*(100 * GIB - minute * 2**20 for minute in range(11))).full_in_s is None


def test_a_file_that_comes_and_one_that_goes_are_no_trend() -> None:
    disk = watched(*(100 * GIB - (minute % 4) * 5 * GIB for minute in range(60)))
    assert disk.full_in_s is None or disk.full_in_s > 24 * 3600


def test_a_disk_that_has_been_watched_for_less_than_five_minutes_has_no_forecast() -> None:
    assert watched(100 * GIB, 90 * GIB, 80 * GIB).filling is None
    assert watched(100 * GIB, 90 * GIB, 80 * GIB).full_in_s is None
    assert DiskTrend().disk(0.0) is None


def test_a_sample_that_is_old_has_no_forecast_any_more_and_time_that_passes_counts() -> None:
    free = [100 * GIB - minute * GIB for minute in range(11)]
    assert watched(*free, later_s=600).full_in_s == pytest.approx(80 * 60)
    assert watched(*free, later_s=901).full_in_s is None


def test_only_the_last_hour_counts() -> None:
    disk = watched(*(500 * GIB - minute * GIB for minute in range(100)), *[401 * GIB] * 61)
    assert disk.full_in_s is None


def test_a_disk_of_another_size_is_another_disk() -> None:
    trend = DiskTrend()
    for minute in range(11):
        trend.note(1000, 900 - minute, minute * 60.0)
    trend.note(2000, 100, 660.0)
    disk = trend.disk(660.0)
    assert disk is not None
    assert (disk.size, disk.free, disk.filling, disk.full_in_s) == (2000, 100, None, None)


@given(st.lists(st.tuples(st.floats(0.01, 1e6), st.integers(0, 2**62)), min_size=1, max_size=300))
def test_whatever_is_measured_a_forecast_is_a_time_to_come(samples: list[tuple[float, int]]) -> None:
    trend, now = DiskTrend(), 0.0
    for pause, free in samples:
        now += pause
        trend.note(2**63, free, now)
    disk = trend.disk(now)
    assert disk is not None
    assert disk.full_in_s is None or 0 <= disk.full_in_s <= 30 * 86_400
