"""Health: which condition gives which word and from when on, which one is the reason, and since when each of them is so."""

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from nfsw.supervisor.health import RULES, Condition, Conditions, Finding, Health, HealthState, Kind, health
from tests.support.faketime import clock

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
OK, WAITING, TROUBLE = HealthState


def condition(kind: Kind, text: str = "something is so", detail: str | None = None) -> Condition:
    return Condition(kind, RULES[kind].state, text, detail, NOON)


def test_there_is_a_rule_for_each_kind() -> None:
    assert list(RULES) == list(Kind)


@pytest.mark.parametrize(
    ("kind", "at_once", "after_s", "later"),
    [
        (Kind.RESTART, TROUBLE, 0, TROUBLE),
        (Kind.HANG, TROUBLE, 0, TROUBLE),
        (Kind.STARTING, WAITING, 300, TROUBLE),
        (Kind.AZURE, WAITING, 60, TROUBLE),
        (Kind.CLOCK, TROUBLE, 0, TROUBLE),
        (Kind.NFS, TROUBLE, 0, TROUBLE),
        (Kind.LINK, TROUBLE, 0, TROUBLE),
        (Kind.EXPORT, TROUBLE, 0, TROUBLE),
        (Kind.FAILED, WAITING, 1800, TROUBLE),
        (Kind.STALLED, OK, 1800, TROUBLE),
        (Kind.REFUSED, TROUBLE, 0, TROUBLE),
        (Kind.PAUSED, WAITING, 1_000_000, WAITING),
        (Kind.ROOM, WAITING, 3600, TROUBLE),
        (Kind.DRAINING, WAITING, 1_000_000, WAITING),
        (Kind.SESSION, WAITING, 1_000_000, WAITING),
        (Kind.OPEN, OK, 21_600, WAITING),
        (Kind.MARKER, OK, 21_600, WAITING),
        (Kind.NAME, WAITING, 1_000_000, WAITING),
    ],
)
def test_each_kind_gives_its_word_at_once_and_another_one_after_its_time(
    kind: Kind, at_once: HealthState, after_s: float, later: HealthState
) -> None:
    assert RULES[kind].after(0) is (at_once if after_s else later)
    assert RULES[kind].after(max(0, after_s - 1)) is (at_once if after_s else later)
    assert RULES[kind].after(after_s) is later


def test_without_a_condition_all_is_well_and_the_given_sentence_says_what_goes_on() -> None:
    assert health((), "No file waits to be sent.") == Health(OK, "No file waits to be sent.", None)


def test_writers_that_have_files_open_are_no_reason_to_worry() -> None:
    assert health([condition(Kind.OPEN)], "well") == Health(OK, "well", None)


def test_the_worst_condition_is_the_reason_and_of_several_the_most_important_one() -> None:
    conditions = [condition(Kind.FAILED), condition(Kind.REFUSED, "1 file is refused", "a: no"), condition(Kind.PAUSED)]
    assert health(conditions, "well") == Health(TROUBLE, "1 file is refused: a: no.", NOON)
    conditions = [condition(Kind.FAILED, "the next attempt of 1 file that failed", "503"), condition(Kind.PAUSED, "uploads are paused")]
    assert health(conditions, "well") == Health(WAITING, "Waiting for the next attempt of 1 file that failed: 503.", NOON)
    assert health(conditions[1:], "well").reason == "Uploads are paused."


def kinds(conditions: Iterable[Condition]) -> list[tuple[Kind, HealthState, float]]:
    """With how many seconds ago each began when it was found first: the wall clock of a test stands still."""
    now = datetime.now(UTC)
    return [(one.kind, one.state, round((now - one.since).total_seconds(), -1)) for one in conditions]


async def test_a_condition_lasts_from_when_it_was_found_first_until_it_is_not_found_once() -> None:
    conditions, failed, paused = Conditions(), Finding(Kind.FAILED, "a"), Finding(Kind.PAUSED, "b")
    conditions.judged([failed])
    clock().advance(1200)
    assert kinds(conditions.judged([paused, failed])) == [(Kind.FAILED, WAITING, 0), (Kind.PAUSED, WAITING, 0)]
    clock().advance(600)
    assert kinds(conditions.judged([paused, failed])) == [(Kind.FAILED, TROUBLE, 0), (Kind.PAUSED, WAITING, 0)]
    conditions.judged([paused])
    assert kinds(conditions.judged([failed])) == [(Kind.FAILED, WAITING, 0)]


async def test_what_is_known_to_have_begun_before_it_was_found_has_lasted_since_then() -> None:
    conditions, since = Conditions(), clock().now()
    clock().advance(40)
    assert kinds(conditions.judged([Finding(Kind.HANG, "a", since)])) == [(Kind.HANG, TROUBLE, 40)]
    clock().advance(10)
    assert kinds(conditions.judged([Finding(Kind.HANG, "another one", since + 30)])) == [(Kind.HANG, TROUBLE, 20)]


async def test_the_time_that_is_said_does_not_flicker() -> None:
    conditions, finding = Conditions(), Finding(Kind.HANG, "a", clock().now() - 0.5)
    [first] = conditions.judged([finding])
    for _ in range(10):
        clock().advance(0.3)
        [later] = conditions.judged([finding])
        assert later.since == first.since
