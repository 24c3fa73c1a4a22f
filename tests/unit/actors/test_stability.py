"""When a file counts as finished: every rule on numbers alone."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfsw.actors.files import Fingerprint
from nfsw.actors.stability import Stability, StabilityTracker

AGE = 5.0
OLD = Fingerprint(10, 1, 7, 1)


def changed(quiet: StabilityTracker, now: float, **what: int) -> None:
    quiet.see(quiet.fingerprint._replace(**what), now)


def test_one_scan_is_never_enough() -> None:
    quiet = StabilityTracker(OLD, 0.0)
    assert quiet.verdict(1000.0, AGE) is Stability.WAIT


def test_after_two_equal_scans_a_look_past_the_cache_is_asked_for() -> None:
    quiet = StabilityTracker(OLD, 0.0)
    quiet.see(OLD, 2.0)
    assert quiet.verdict(2.0, AGE) is Stability.LOOK


def test_the_age_counts_from_the_first_fresh_look_and_not_from_the_first_sight() -> None:
    quiet = StabilityTracker(OLD, 0.0)
    quiet.see(OLD, 100.0)
    quiet.see_fresh(OLD, 100.0)
    assert quiet.verdict(104.9, AGE, looked=True) is Stability.WAIT
    assert quiet.verdict(105.0, AGE) is Stability.LOOK
    assert quiet.verdict(105.0, AGE, looked=True) is Stability.STABLE


@pytest.mark.parametrize("what", [{"size": 11}, {"mtime_ns": 2}, {"mtime_ns": -(10**18)}, {"inode": 8}])
def test_any_change_starts_over(what: dict[str, int]) -> None:
    quiet = StabilityTracker(OLD, 0.0)
    quiet.see_fresh(OLD, 0.0)
    changed(quiet, 4.0, **what)
    assert quiet.verdict(1000.0, AGE, looked=True) is Stability.WAIT, "one scan has seen the file so"
    quiet.see(quiet.fingerprint, 6.0)
    assert quiet.verdict(1000.0, AGE) is Stability.LOOK, "the fresh look was at another version"


def test_a_fresh_look_that_finds_another_file_starts_over() -> None:
    quiet = StabilityTracker(OLD, 0.0)
    quiet.see(OLD, 2.0)
    quiet.see_fresh(OLD._replace(size=11), 2.0)
    assert quiet.verdict(1000.0, AGE, looked=True) is Stability.WAIT
    quiet.see(OLD._replace(size=11), 4.0)
    assert quiet.verdict(7.0, AGE, looked=True) is Stability.STABLE


def test_an_mtime_in_the_past_or_in_the_future_changes_nothing() -> None:
    for mtime_ns in (0, -1, 4_000_000_000 * 10**9):
        quiet = StabilityTracker(OLD._replace(mtime_ns=mtime_ns), 50.0)
        quiet.see_fresh(quiet.fingerprint, 50.0)
        quiet.see(quiet.fingerprint, 52.0)
        assert quiet.verdict(52.0, AGE, looked=True) is Stability.WAIT
        assert quiet.verdict(55.0, AGE, looked=True) is Stability.STABLE


#: What happens to a file from one moment to the next: a change, a scan by the cache, a fresh look, time.
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.just(0.0)),
        st.tuples(st.sampled_from(["scan", "stale scan", "look"]), st.just(0.0)),
        st.tuples(st.just("time"), st.floats(0.1, 4.0)),
    ),
    max_size=40,
)


@given(EVENTS)
def test_whatever_happens_a_stable_file_has_not_changed_for_the_age(events: list[tuple[str, float]]) -> None:
    """`stale scan`: the attribute cache answers with the version before the present one."""
    now, changed_at, present, before = 0.0, -math.inf, OLD, OLD
    quiet = StabilityTracker(OLD, now)
    for what, seconds in events:
        match what:
            case "change":
                before, present, changed_at = present, present._replace(size=present.size + 1), now
            case "scan":
                quiet.see(present, now)
            case "stale scan":
                quiet.see(before, now)
            case "look":
                quiet.see_fresh(present, now)
                if quiet.verdict(now, AGE, looked=True) is Stability.STABLE:
                    assert quiet.fingerprint == present
                    assert now - changed_at >= AGE
            case _:
                now += seconds
