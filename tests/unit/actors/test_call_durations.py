"""The tally of calls: each in its kind and class, added up over threads and read through the board."""

import os
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfsw.actors.call_board import CallBoard
from nfsw.actors.call_durations import BOUNDS_S, KINDS, Durations, added
from tests.support.faketime import FakeClock

SLOTS = 3


@pytest.fixture
def ends() -> Iterator[tuple[CallBoard, CallBoard]]:
    fd = CallBoard.create(SLOTS)
    child, main = CallBoard(fd, SLOTS), CallBoard(fd, SLOTS)
    os.close(fd)
    yield child, main
    child.close()
    main.close()


def call(board: CallBoard, clock: FakeClock, kind: str, seconds: float, slot: int = 0) -> None:
    board.enter(slot, f"{kind} a")
    clock.advance(seconds)
    board.leave(slot, kind)


def test_nothing_is_told_of_kinds_that_nobody_called(ends: tuple[CallBoard, CallBoard]) -> None:
    assert ends[1].calls() == {}


def test_each_call_is_counted_in_its_kind_and_class(ends: tuple[CallBoard, CallBoard]) -> None:
    child, main = ends
    with FakeClock() as clock:
        for seconds in (BOUNDS_S[0], BOUNDS_S[0] * 1.01, 1000.0):
            call(child, clock, "link", seconds)
        call(child, clock, "statx", 0.0)
    told = main.calls()
    assert set(told) == {"link", "statx"}
    assert told["link"].counts == (1, 1, *[0] * (len(BOUNDS_S) - 2), 1)
    assert told["link"].seconds == pytest.approx(1000.0002, abs=0.001)
    assert told["statx"].counts[0] == told["statx"].calls == 1


def test_a_kind_that_is_new_is_counted_with_the_others(ends: tuple[CallBoard, CallBoard]) -> None:
    child, main = ends
    with FakeClock() as clock:
        call(child, clock, "a kind to come", 0.5)
    assert list(main.calls()) == ["other"]


def test_threads_are_added_up_and_none_of_their_calls_is_lost(ends: tuple[CallBoard, CallBoard]) -> None:
    child, main = ends

    def work(slot: int) -> None:
        for _ in range(500):
            child.enter(slot, "read a")
            child.leave(slot, "read")

    threads = [threading.Thread(target=work, args=(slot,)) for slot in range(SLOTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert main.calls()["read"].calls == 500 * SLOTS


TALLIES = st.dictionaries(
    st.sampled_from(KINDS[:4]),
    st.builds(Durations, st.tuples(*[st.integers(0, 9)] * (len(BOUNDS_S) + 1)), st.integers(0, 100).map(float)),
)


@given(st.lists(TALLIES, max_size=4))
def test_sums_do_not_depend_on_order(tallies: list[dict[str, Durations]]) -> None:
    assert added(*tallies) == added(*reversed(tallies))
    assert {kind: durations.calls for kind, durations in added(*tallies).items()} == {
        kind: sum(one[kind].calls for one in tallies if kind in one) for kind in {kind for one in tallies for kind in one}
    }
