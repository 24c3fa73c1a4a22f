"""The board: what a child shows is what the main process reads, through the same memory, at any instant."""

import os
from collections.abc import Iterator

import pytest

from nfsw.actors.board import Board
from tests.support.faketime import FakeClock

SLOTS = 3


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    with FakeClock() as clock:
        yield clock


@pytest.fixture
def ends() -> Iterator[tuple[Board, Board]]:
    """The child's and the main process's, over one memory."""
    fd = Board.create(SLOTS)
    child, main = Board(fd, SLOTS), Board(fd, SLOTS)
    os.close(fd)
    yield child, main
    child.close()
    main.close()


def test_an_empty_board_tells_of_nothing(ends: tuple[Board, Board]) -> None:
    _, main = ends
    assert main.oldest() is None
    assert main.silent_s() is None
    assert main.finished() == 0


def test_the_call_that_has_lasted_longest_is_read_off(ends: tuple[Board, Board], clock: FakeClock) -> None:
    child, main = ends
    child.enter(2, "link a")
    clock.advance(1.5)
    child.enter(0, "statx b")
    clock.advance(1.0)
    oldest = main.oldest()
    assert oldest is not None
    assert (oldest.what, oldest.seconds) == ("link a", 2.5)
    child.leave(2, "link")
    oldest = main.oldest()
    assert oldest is not None
    assert (oldest.what, oldest.seconds) == ("statx b", 1.0)
    child.leave(0, "statx")
    assert main.oldest() is None
    assert main.finished() == 2


def test_silence_counts_from_the_latest_beat(ends: tuple[Board, Board], clock: FakeClock) -> None:
    child, main = ends
    child.beat()
    clock.advance(3.0)
    assert main.silent_s() == 3.0
    child.beat()
    assert main.silent_s() == 0.0


def test_a_beat_does_not_forget_finished_calls(ends: tuple[Board, Board]) -> None:
    child, main = ends
    for slot in range(SLOTS):
        child.enter(slot, "open")
        child.leave(slot, "open")
    child.beat()
    assert main.finished() == SLOTS


@pytest.mark.parametrize("what", ["", "a" * 1000, "ä" * 1000, "read \N{GRINNING FACE}" * 50, "read \udcff\n"])
def test_a_text_of_any_length_and_kind_is_shown_cut_off(ends: tuple[Board, Board], what: str) -> None:
    child, main = ends
    child.enter(1, what)
    oldest = main.oldest()
    assert oldest is not None
    shown = what.encode("utf-8", "backslashreplace")[:200].decode("utf-8", "ignore")
    assert oldest.what.startswith(shown)
    child.enter(0, "the neighbour")
    child.leave(1, "read")
    oldest = main.oldest()
    assert oldest is not None
    assert oldest.what == "the neighbour"


def test_what_a_dead_child_was_in_stays_to_be_read(ends: tuple[Board, Board]) -> None:
    child, main = ends
    child.enter(0, "rename a")
    child.close()
    oldest = main.oldest()
    assert oldest is not None
    assert oldest.what == "rename a"
