"""The records of files: found by name, counted by stage, and what they take in staging."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nfsw.actors.files import Arrival, FileRef, Fingerprint
from nfsw.supervisor.staging_budget import StagingBudget
from nfsw.supervisor.tracked_file import RateMeter, Stage, TrackedFile, TrackedFiles
from tests.support.faketime import FakeClock

LIMIT = 100_000
DATES = ("20260131", "20260201")
NAMES = ("a", "b")


def record(file: Arrival | FileRef, size: int = 10) -> TrackedFile:
    return TrackedFile(file, Fingerprint(size, 1, 1, 1))


@pytest.fixture
def files() -> TrackedFiles:
    return TrackedFiles()


def test_a_claim_gives_the_same_record_its_new_name(files: TrackedFiles) -> None:
    one = files.add(record(Arrival("s", "a")))
    files.rename(one, FileRef(DATES[0], "s", "a"))
    assert files.get(Arrival("s", "a")) is None
    assert files.get(FileRef(DATES[0], "s", "a")) is one
    assert list(files) == [one]


def test_a_name_is_in_process_from_its_claim_on_whatever_the_date(files: TrackedFiles) -> None:
    one = files.add(record(Arrival("s", "a")))
    files.move(one, Stage.QUEUED)
    assert not files.is_claimed(Arrival("s", "a"))
    files.rename(one, FileRef(DATES[0], "s", "a"))
    two = files.add(record(FileRef(DATES[1], "s", "a")))
    files.set_taken_on(two, taken_on=True)
    assert files.is_claimed(Arrival("s", "a"))
    assert not files.is_claimed(Arrival("s", "b"))
    assert not files.is_claimed(Arrival("other", "a"))
    files.remove(one)
    assert files.is_claimed(Arrival("s", "a")), "that of the other date is still there"
    files.remove(two)
    assert not files.is_claimed(Arrival("s", "a"))


def test_what_only_lies_in_staging_is_not_in_the_way_of_a_new_file(files: TrackedFiles) -> None:
    files.add(record(FileRef(DATES[0], "s", "a")))
    assert not files.is_claimed(Arrival("s", "a"))
    assert not files.is_busy("s")


def test_a_file_is_taken_on_once_and_given_up_once(files: TrackedFiles) -> None:
    one = files.add(record(FileRef(DATES[0], "s", "a")))
    assert files.set_taken_on(one, taken_on=True)
    assert not files.set_taken_on(one, taken_on=True)
    assert files.taken_on == 1
    files.remove(one)
    assert files.taken_on == 0
    assert not files.set_taken_on(one, taken_on=False)


@pytest.mark.parametrize(
    ("stage", "attempts", "done"),
    [(Stage.STAGING, 1, 7), (Stage.UPLOADING, 1, 3), (Stage.COMPLETING, 1, 3), (Stage.WAITING, 0, 7), (Stage.WAITING, 1, 3)],
)
def test_what_is_done_of_a_file_is_what_is_staged_until_all_is_and_then_what_has_left(stage: Stage, attempts: int, done: int) -> None:
    one = record(FileRef(DATES[0], "s", "a"))
    one.stage, one.attempts, one.staged, one.left = stage, attempts, 7, 3
    assert one.done == done


_STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "claim", "move", "reserve", "release", "remove"]), st.integers(0, 1), st.integers(0, 60_000)),
    min_size=3,
    max_size=50,
)


@settings(max_examples=150)
@given(_STEPS)
def test_whatever_happens_counts_and_budget_are_the_sums_of_the_records(steps: list[tuple[str, int, int]]) -> None:
    files = TrackedFiles()
    budget = StagingBudget(files, LIMIT, None)
    for step, number, size in steps:
        arrival, file = Arrival("s", NAMES[number]), FileRef(DATES[0], "s", NAMES[number])
        one = files.get(file) or files.get(arrival)
        if one is None:
            one = files.add(record(arrival, size))
        match step:
            case "claim" if one.file == arrival:
                files.rename(one, file)
            case "move":
                files.move(one, list(Stage)[size % len(Stage)])
            case "reserve" if budget.fits(one):
                budget.reserve(one, budget.need(one))
                assert budget.used <= LIMIT
            case "release":
                budget.release(one)
            case "remove":
                budget.release(one)
                files.remove(one)
        assert budget.used == sum(each.reserved for each in files)
        for stage in Stage:
            assert files.count(stage) == sum(each.stage is stage for each in files)
        for name in NAMES:
            claimed = [each for each in files if each.file == FileRef(DATES[0], "s", name) and each.stage is not Stage.UNSEEN]
            assert files.is_claimed(Arrival("s", name)) == bool(claimed)


def test_only_what_has_lain_long_enough_and_waits_is_evicted_and_what_is_about_to_be_used_comes_last(files: TrackedFiles) -> None:
    with FakeClock() as clock:
        budget = StagingBudget(files, LIMIT, None)
        for stage in reversed(Stage):
            one = files.add(record(FileRef(DATES[0], "s", stage.value)))
            files.move(one, stage)
            budget.reserve(one, 1)
        assert list(budget.evictable()) == []
        clock.advance(30.0)
        assert [one.stage for one in budget.evictable()] == [Stage.WAITING, Stage.UNSEEN, Stage.QUEUED]


# --- Rates ---


def test_a_rate_is_that_of_the_last_seconds() -> None:
    meter = RateMeter()
    for second in range(21):
        meter.note(second * 100 if second <= 10 else 1000 + (second - 10) * 10, float(second))
    assert meter.rate(20.0) == pytest.approx(10.0)


def test_one_look_makes_no_rate() -> None:
    meter = RateMeter()
    assert meter.rate(5.0) == 0.0
    meter.note(1000, 5.0)
    assert meter.rate(6.0) == 0.0


def test_what_does_not_move_any_more_has_no_rate() -> None:
    meter = RateMeter()
    for second in range(5):
        meter.note(second * 100, float(second))
    assert meter.rate(4.5) > 0
    assert meter.rate(9.1) == 0.0


def test_what_begins_anew_is_measured_anew() -> None:
    meter = RateMeter()
    for second in range(5):
        meter.note(1000 + second * 100, float(second))
    meter.note(0, 5.0)
    assert meter.rate(5.5) == 0.0
    meter.note(50, 6.0)
    assert meter.rate(6.0) == pytest.approx(50.0)


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 10**12)), max_size=60))
def test_no_rate_is_negative_or_endless_whatever_the_looks(looks: list[tuple[float, int]]) -> None:
    meter = RateMeter()
    now = 1000.0
    for pause, done in looks:
        now += pause
        meter.note(done, now)
        assert 0.0 <= meter.rate(now) <= done * 1000


def test_many_looks_a_second_do_not_fill_the_memory() -> None:
    meter = RateMeter()
    for look in range(100_000):
        meter.note(look, look / 10_000)
    assert len(meter._samples) < 100
    assert meter.rate(10.0) == pytest.approx(10_000, rel=0.05)
