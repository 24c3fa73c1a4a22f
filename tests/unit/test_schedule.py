"""The upload limit by time of day: what is a schedule, what it says when, and what is wrong with one that is none."""

from datetime import UTC, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfsw.schedule import BadSchedule, Hours, UploadSchedule

KIB, MIB, GIB = 2**10, 2**20, 2**30


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 1, 31, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "bytes_per_s"),
    [
        ("off", None),
        ("OFF", None),
        ("1", 1),
        ("500", 500),
        ("500B", 500),
        ("500B/s", 500),
        ("2KB/s", 2000),
        ("2KiB/s", 2 * KIB),
        ("2MB", 2_000_000),
        ("2MiB/s", 2 * MIB),
        ("2mib/s", 2 * MIB),
        ("1.5 MiB/s", 3 * MIB // 2),
        ("1GB/s", 10**9),
        ("1 GiB/s", GIB),
        ("  2MiB/s  ", 2 * MIB),
        ("else 2MiB/s", 2 * MIB),
    ],
)
def test_a_rate_alone_holds_all_day(text: str, bytes_per_s: int | None) -> None:
    schedule = UploadSchedule.parse(text)
    assert {schedule.limit(at(hour)) for hour in range(24)} == {bytes_per_s}


def test_hours_hold_from_their_beginning_up_to_their_end() -> None:
    schedule = UploadSchedule.parse("08:00-18:00=2MiB/s, else off")
    assert schedule.limit(at(7, 59)) is None
    assert schedule.limit(at(8)) == 2 * MIB
    assert schedule.limit(at(17, 59)) == 2 * MIB
    assert schedule.limit(at(18)) is None


def test_hours_may_go_over_midnight() -> None:
    schedule = UploadSchedule.parse("22:00-06:00=off, else 1MiB/s")
    assert [schedule.limit(at(hour)) for hour in (21, 22, 23, 0, 5, 6)] == [MIB, None, None, None, None, MIB]


@pytest.mark.parametrize("text", ["00:00-24:00=1KiB", "00:00-00:00=1KiB", "8:00-8:00=1KiB"])
def test_hours_may_be_the_whole_day(text: str) -> None:
    schedule = UploadSchedule.parse(text)
    assert {schedule.limit(at(hour)) for hour in range(24)} == {KIB}


def test_hours_may_end_at_midnight() -> None:
    schedule = UploadSchedule.parse("20:00-24:00=1KiB")
    assert [schedule.limit(at(hour)) for hour in (19, 20, 23, 0)] == [None, KIB, KIB, None]


def test_the_first_hours_that_hold_decide() -> None:
    schedule = UploadSchedule.parse("12:00-13:00=off, 08:00-18:00=2MiB/s, 00:00-24:00=8MiB/s, else 1KiB")
    assert [schedule.limit(at(hour)) for hour in (7, 8, 12, 13, 18)] == [8 * MIB, 2 * MIB, None, 2 * MIB, 8 * MIB]


def test_without_another_word_there_is_no_limit_outside_the_hours() -> None:
    assert UploadSchedule.parse("08:00-18:00=2MiB/s").limit(at(20)) is None


def test_seconds_count() -> None:
    schedule = UploadSchedule.parse("08:00-18:00=2MiB/s")
    assert schedule.limit(datetime(2026, 1, 31, 17, 59, 59, 999_999, tzinfo=UTC)) == 2 * MIB


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("fast", "fast"),
        ("0", "0"),
        ("0.5", "0.5"),
        ("-1", "-1"),
        ("1TB", "1TB"),
        ("1iB", "1iB"),
        ("1e6", "1e6"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("2MiB/h", "2MiB/h"),
        ("", ""),
        (",", ""),
        ("08:00-18:00=", "08:00-18:00="),
        ("08:00-18:00=fast", "fast"),
        ("08:00-25:00=1MiB", "25:00"),
        ("08:60-18:00=1MiB", "08:60"),
        ("8-18=1MiB", "8-18=1MiB"),
        ("1MiB, 08:00-18:00=2MiB", "1MiB"),
        ("else off, 08:00-18:00=2MiB", "else off"),
        ("08:00-18:00=2MiB; else off", "2MiB; else off"),
        ("9" * 400, "999"),
    ],
)
def test_what_is_no_schedule_is_refused_and_the_wrong_part_is_named(text: str, part: str) -> None:
    with pytest.raises(BadSchedule) as wrong:
        UploadSchedule.parse(text)
    assert part in str(wrong.value)


def test_a_schedule_shows_itself_as_it_was_written() -> None:
    text = "08:00-18:00=2MiB/s, else off"
    assert str(UploadSchedule.parse(f" {text} ")) == text
    assert str(UploadSchedule.OFF) == "off"
    assert UploadSchedule.OFF.limit(at(12)) is None


_MINUTES = st.builds(time, st.integers(0, 23), st.integers(0, 59))


@given(_MINUTES, _MINUTES, _MINUTES)
def test_at_any_time_either_the_hours_hold_or_those_from_their_end_to_their_beginning(begin: time, end: time, now: time) -> None:
    hours, others = Hours(begin, end, 1), Hours(end, begin, 1)
    if begin == end:
        assert hours.contains(now)
    else:
        assert hours.contains(now) != others.contains(now)
    assert hours.contains(begin)


@given(st.text(max_size=40))
def test_any_text_is_a_schedule_or_refused(text: str) -> None:
    try:
        schedule = UploadSchedule.parse(text)
    except BadSchedule:
        return
    assert schedule.limit(at(12)) is None or schedule.limit(at(12)) > 0  # type: ignore[operator]
