"""The ledger: what is in hand, under which name, and how much of staging is spoken for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nfsw.actors.files import Arrival, File, FileRef, Fingerprint
from nfsw.supervisor.ledger import Entry, Ledger, Meter, Stage
from nfsw.supervisor.status import FileState
from tests.support.faketime import FakeClock

LIMIT = 100
NAMES = ("a", "b", "c")
ARRIVALS: tuple[Arrival, ...] = tuple(Arrival("s", name) for name in NAMES)
CLAIMED: tuple[FileRef, ...] = tuple(FileRef("20260131", "s", name) for name in NAMES)


def entry(file: File, size: int = 10, stage: Stage = Stage.QUEUED) -> Entry:
    return Entry(file, Fingerprint(size, 1, 1, 1), stage)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(LIMIT)


# --- Who is in hand ---


def test_a_file_is_in_hand_from_its_entry_until_it_is_dropped(ledger: Ledger) -> None:
    added = ledger.add(entry(ARRIVALS[0]))
    assert ARRIVALS[0] in ledger
    assert list(ledger) == [added]
    assert ledger.get(ARRIVALS[0]) is added

    assert ledger.drop(ARRIVALS[0]) is added

    assert ARRIVALS[0] not in ledger
    assert list(ledger) == []
    assert ledger.drop(ARRIVALS[0]) is None


def test_a_claim_gives_the_same_entry_its_new_name(ledger: Ledger) -> None:
    added = ledger.add(entry(ARRIVALS[0]))
    added.attempts = 3

    assert ledger.claimed(ARRIVALS[0], CLAIMED[0]) is added

    assert ARRIVALS[0] not in ledger
    assert ledger.get(CLAIMED[0]) is added
    assert added.file == CLAIMED[0]
    assert added.attempts == 3


def test_a_claim_takes_its_room_in_staging_along(ledger: Ledger) -> None:
    ledger.add(entry(ARRIVALS[0]))
    ledger.reserve(ARRIVALS[0], 40)

    ledger.claimed(ARRIVALS[0], CLAIMED[0])
    assert ledger.staging_used == 40
    ledger.release(ARRIVALS[0])
    assert ledger.staging_used == 40, "the room is not the arrival's any more"
    ledger.release(CLAIMED[0])
    assert ledger.staging_used == 0


def test_a_claim_of_a_file_that_nobody_has_in_hand_says_so(ledger: Ledger) -> None:
    assert ledger.claimed(ARRIVALS[0], CLAIMED[0]) is None
    assert CLAIMED[0] not in ledger


def test_a_name_is_in_process_from_its_claim_on_whatever_the_date(ledger: Ledger) -> None:
    ledger.add(entry(ARRIVALS[0]))
    assert not ledger.in_process("s", "a")

    ledger.claimed(ARRIVALS[0], FileRef("20260101", "s", "a"))
    ledger.add(entry(FileRef("20260102", "s", "a")))
    assert ledger.in_process("s", "a")
    assert not ledger.in_process("s", "b")
    assert not ledger.in_process("other", "a")

    ledger.drop(FileRef("20260101", "s", "a"))
    assert ledger.in_process("s", "a"), "the other date's is still in hand"
    ledger.drop(FileRef("20260102", "s", "a"))
    assert not ledger.in_process("s", "a")


def test_a_session_is_busy_while_any_file_of_it_is_in_hand(ledger: Ledger) -> None:
    ledger.add(entry(ARRIVALS[0]))
    assert ledger.of_session("s")
    assert not ledger.of_session("other")
    ledger.drop(ARRIVALS[0])
    assert not ledger.of_session("s")


@pytest.mark.parametrize(
    ("stage", "retry_at", "counts"),
    [
        (Stage.QUEUED, None, False),
        (Stage.STAGING, None, True),
        (Stage.UPLOADING, None, True),
        (Stage.COMPLETING, None, True),
        (Stage.UPLOADING, 1.0, False),
        (Stage.PARKED, 1.0, False),
    ],
)
def test_what_waits_is_not_under_way(ledger: Ledger, stage: Stage, retry_at: float | None, counts: bool) -> None:
    ledger.add(entry(CLAIMED[0], stage=stage)).retry_at = retry_at
    assert ledger.in_flight() == counts


def test_a_file_that_is_found_while_it_is_being_claimed_counts_once(ledger: Ledger) -> None:
    ledger.add(entry(ARRIVALS[0]))
    ledger.add(entry(CLAIMED[0]))
    ledger.claimed(ARRIVALS[0], CLAIMED[0])
    assert len(list(ledger)) == 1
    ledger.drop(CLAIMED[0])
    assert not ledger.in_process("s", "a")


# --- What the status shows of an entry ---


@pytest.mark.parametrize(
    ("stage", "attempts", "state", "done"),
    [
        (Stage.QUEUED, 0, None, 3),
        (Stage.STAGING, 1, FileState.STAGING, 7),
        (Stage.UPLOADING, 1, FileState.UPLOADING, 3),
        (Stage.COMPLETING, 1, FileState.UPLOADING, 3),
        (Stage.PARKED, 0, FileState.STAGING, 3),
        (Stage.PARKED, 1, FileState.UPLOADING, 3),
    ],
)
def test_a_state_and_the_bytes_done_follow_from_the_stage(stage: Stage, attempts: int, state: FileState | None, done: int) -> None:
    seen = entry(CLAIMED[0], stage=stage)
    seen.attempts, seen.staged, seen.left = attempts, 7, 3
    assert (seen.state, seen.done) == (state, done)


# --- Staging ---


def test_what_fits_is_what_the_limit_leaves(ledger: Ledger) -> None:
    ledger.reserve(CLAIMED[0], 60)
    assert ledger.fits(CLAIMED[1], 40)
    assert not ledger.fits(CLAIMED[1], 41)


def test_a_file_has_its_own_room_to_grow_into(ledger: Ledger) -> None:
    ledger.reserve(CLAIMED[0], 60)
    assert ledger.fits(CLAIMED[0], 100)
    ledger.reserve(CLAIMED[0], 100)
    assert ledger.staging_used == 100


def test_what_a_life_of_the_claimer_finds_counts_once(ledger: Ledger) -> None:
    ledger.found_staged(CLAIMED[0], 30)
    ledger.found_staged(CLAIMED[0], 30)
    assert ledger.staging_used == 30


def test_what_is_found_in_staging_is_not_counted_beside_what_is_promised(ledger: Ledger) -> None:
    ledger.reserve(CLAIMED[0], 50)
    ledger.found_staged(CLAIMED[0], 20)
    assert ledger.staging_used == 50


def test_a_claim_takes_the_place_of_what_an_older_file_of_the_name_left_in_staging(ledger: Ledger) -> None:
    """The Claimer discards what is staged of another version before it stages this one."""
    ledger.found_staged(CLAIMED[0], 30)
    ledger.add(entry(ARRIVALS[0]))
    ledger.reserve(ARRIVALS[0], 40)

    ledger.claimed(ARRIVALS[0], CLAIMED[0])

    assert ledger.staging_used == 40
    ledger.release(CLAIMED[0])
    assert ledger.staging_used == 0


def test_only_what_has_lain_long_enough_and_waits_is_idle() -> None:
    with FakeClock() as clock:
        ledger = Ledger(LIMIT)
        for stage in Stage:
            file = FileRef("20260131", "s", stage.value)
            ledger.add(entry(file, stage=stage))
            ledger.reserve(file, 1)
        waiting = FileRef("20260131", "s", "to be sent again later")
        ledger.add(entry(waiting, stage=Stage.UPLOADING)).retry_at = clock.now() + 60
        ledger.reserve(waiting, 1)
        nobodys = FileRef("20260131", "s", "nobody's")
        ledger.found_staged(nobodys, 1)

        assert ledger.idle_staged(30.0) == []
        clock.advance(30.0)
        queued, parked = FileRef("20260131", "s", "queued"), FileRef("20260131", "s", "parked")
        assert ledger.idle_staged(30.0) == [parked, waiting, nobodys, queued], "what is about to be used comes last"

        ledger.still_staged(parked)
        assert parked not in ledger.idle_staged(30.0), "it could not be removed, and is asked for again later"


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "take claimed", "claim", "drop", "release", "release arrival", "found"]),
        st.integers(0, 1),
        st.integers(0, LIMIT),
    ),
    min_size=3,
    max_size=50,
)


@settings(max_examples=150)
@given(_STEPS)
def test_whatever_happens_the_account_is_the_sum_of_what_is_spoken_for_and_no_promise_takes_it_over_the_limit(
    steps: list[tuple[str, int, int]],
) -> None:
    ledger = Ledger(LIMIT)
    books: dict[File, int] = {}  # kept beside the ledger's own, in the plainest way
    for step, number, size in steps:
        arrival, file = ARRIVALS[number], CLAIMED[number]
        match step:
            case "take" | "take claimed":
                taken: File = arrival if step == "take" else file
                before = ledger.staging_used
                ledger.add(entry(taken, size))
                if ledger.fits(taken, size):
                    ledger.reserve(taken, size)
                    books[taken] = size
                    assert ledger.staging_used <= max(LIMIT, before)
            case "claim":
                if ledger.claimed(arrival, file) and arrival in books:
                    books[file] = books.pop(arrival)
            case "drop":
                ledger.drop(file)
            case "release":
                ledger.release(file)
                books.pop(file, None)
            case "release arrival":
                ledger.release(arrival)
                books.pop(arrival, None)
            case "found":
                ledger.found_staged(file, size)
                books.setdefault(file, size)
        assert ledger.staging_used == sum(books.values()) >= 0
        for name in NAMES:
            assert ledger.in_process("s", name) == any(isinstance(one.file, FileRef) and one.file.name == name for one in ledger)


# --- Rates ---


def test_a_rate_is_that_of_the_last_seconds() -> None:
    meter = Meter()
    for second in range(21):
        meter.note(second * 100 if second <= 10 else 1000 + (second - 10) * 10, float(second))
    assert meter.rate(20.0) == pytest.approx(10.0)


def test_one_look_makes_no_rate() -> None:
    meter = Meter()
    assert meter.rate(5.0) == 0.0
    meter.note(1000, 5.0)
    assert meter.rate(6.0) == 0.0


def test_what_does_not_move_any_more_has_no_rate() -> None:
    meter = Meter()
    for second in range(5):
        meter.note(second * 100, float(second))
    assert meter.rate(4.5) > 0
    assert meter.rate(9.1) == 0.0


def test_what_begins_anew_is_measured_anew() -> None:
    meter = Meter()
    for second in range(5):
        meter.note(1000 + second * 100, float(second))
    meter.note(0, 5.0)
    assert meter.rate(5.5) == 0.0
    meter.note(50, 6.0)
    assert meter.rate(6.0) == pytest.approx(50.0)


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 10**12)), max_size=60))
def test_no_rate_is_negative_or_endless_whatever_the_looks(looks: list[tuple[float, int]]) -> None:
    meter = Meter()
    now = 1000.0
    for pause, done in looks:
        now += pause
        meter.note(done, now)
        assert 0.0 <= meter.rate(now) <= done * 1000


def test_many_looks_a_second_do_not_fill_the_memory() -> None:
    meter = Meter()
    for look in range(100_000):
        meter.note(look, look / 10_000)
    assert len(meter._samples) < 100
    assert meter.rate(10.0) == pytest.approx(10_000, rel=0.05)
