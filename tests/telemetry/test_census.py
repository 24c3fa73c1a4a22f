"""The census: a claimed file is counted in once and out once, whatever the actors say again."""

from nfsw.actors.files import Arrival, FileRef
from nfsw.supervisor.census import Census

A, B = FileRef("20260131", "s", "a"), FileRef("20260131", "s", "b")


def test_a_file_is_taken_on_once() -> None:
    census = Census()

    assert census.take_on(A)
    assert not census.take_on(A)
    assert census.take_on(B)
    assert len(census) == 2


def test_a_file_is_closed_once() -> None:
    census = Census()
    census.take_on(A)

    assert census.close(A)
    assert not census.close(A)
    assert len(census) == 0


def test_a_file_that_was_closed_and_comes_again_is_another_one() -> None:
    census = Census()
    census.take_on(A)
    census.close(A)

    assert census.take_on(A)


def test_what_was_never_claimed_is_not_closed() -> None:
    census = Census()

    assert not census.close(Arrival("s", "a"))
    assert not census.close(A)
