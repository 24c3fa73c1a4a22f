"""What the Scanner tells of how much lies in `incoming`: the backlog of the status."""

from collections.abc import Iterator

import pytest

from nfsw.actors.call_board import CallBoard
from nfsw.actors.messages import ArrivalsCounted, FileStable
from nfsw.actors.tree import NfsTree
from tests.support.faketime import FakeClock
from tests.support.share import Share
from tests.support.watching import LARGEST, Watching


@pytest.fixture
def watching(tree: NfsTree, board: CallBoard) -> Iterator[Watching]:
    with FakeClock() as clock:
        yield Watching(tree.root, board, clock)


def test_how_much_lies_in_incoming_is_counted_at_each_look_and_told_when_it_changes(watching: Watching, share: Share) -> None:
    watching.tick()
    assert watching.counted == [ArrivalsCounted(0, 0)]
    share.written(share.incoming("a"), b"12345")
    share.written(share.incoming(".hidden"), b"not taken")
    share.written(share.incoming("refused.completed"), b"not taken either")
    share.written(share.claimed("c"), b"claimed")
    watching.tick()
    share.written(share.incoming("b"), b"123")
    watching.ticks(20)
    assert watching.counted[1:] == [ArrivalsCounted(1, 5), ArrivalsCounted(2, 8)], "stable or not"
    share.incoming("a").unlink()
    watching.tick()
    assert watching.counted[-1] == ArrivalsCounted(1, 3)


def test_a_file_that_is_refused_for_its_size_is_not_counted(watching: Watching, share: Share) -> None:
    share.written(share.incoming("a"), bytes(LARGEST + 1))
    share.written(share.incoming("b"), b"123")
    watching.ticks(20)
    assert watching.counted[-1] == ArrivalsCounted(1, 3)


def test_the_count_comes_before_the_files_which_may_take_hours_to_be_taken(watching: Watching, share: Share) -> None:
    share.written(share.incoming("a"), b"12345")
    watching.told.clear()
    for _ in range(10):
        watching.clock.advance(2.0)
        watching.scanner.on_tick(watching.told)
    kinds = [type(message) for message in watching.told if isinstance(message, ArrivalsCounted | FileStable)]
    assert kinds == [ArrivalsCounted, FileStable]


def test_the_count_of_another_session_begins_anew(watching: Watching, share: Share) -> None:
    share.written(share.incoming("a"), b"12345")
    watching.tick()
    watching.watch("t")
    watching.tick()
    assert watching.counted[-1] == ArrivalsCounted(0, 0)
    watching.watch("s")
    watching.tick()
    assert watching.counted[-1] == ArrivalsCounted(1, 5), "said again, though it is what it was"
