"""The board: what a child shows is what the main process reads, through the same memory, at any instant."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nfsw.actors.call_board import Call, CallBoard
from tests.support.azurite import CHECKOUT
from tests.support.faketime import FakeClock

SLOTS = 3
#: How often the board of a child that writes without a pause is read. NFSW_BOARD_READS=10000000 takes half a minute.
READS = int(os.environ.get("NFSW_BOARD_READS", "100000"))
#: Seconds in which nothing that such a child shows can have been written, however busy the machine: a mixture of two times is hours off.
NEVER_S = 60.0


@pytest.fixture
def ends() -> Iterator[tuple[CallBoard, CallBoard]]:
    """The child's and the main process's, over one memory."""
    fd = CallBoard.create(SLOTS)
    child, main = CallBoard(fd, SLOTS), CallBoard(fd, SLOTS)
    os.close(fd)
    yield child, main
    child.close()
    main.close()


def test_an_empty_board_tells_of_nothing(ends: tuple[CallBoard, CallBoard]) -> None:
    _, main = ends
    assert main.oldest() is None
    assert main.silent_s() is None
    assert main.finished() == 0


def test_the_call_that_has_lasted_longest_is_read_off(ends: tuple[CallBoard, CallBoard], clock: FakeClock) -> None:
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


def test_silence_counts_from_the_latest_beat(ends: tuple[CallBoard, CallBoard], clock: FakeClock) -> None:
    child, main = ends
    child.beat()
    clock.advance(3.0)
    assert main.silent_s() == 3.0
    child.beat()
    assert main.silent_s() == 0.0


def test_a_beat_does_not_forget_finished_calls(ends: tuple[CallBoard, CallBoard]) -> None:
    child, main = ends
    for slot in range(SLOTS):
        child.enter(slot, "open")
        child.leave(slot, "open")
    child.beat()
    assert main.finished() == SLOTS


@pytest.mark.parametrize("what", ["", "a" * 1000, "ä" * 1000, "read \N{GRINNING FACE}" * 50, "read \udcff\n"])
def test_a_text_of_any_length_and_kind_is_shown_cut_off(ends: tuple[CallBoard, CallBoard], what: str) -> None:
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


def test_what_a_dead_child_was_in_stays_to_be_read(ends: tuple[CallBoard, CallBoard]) -> None:
    child, main = ends
    child.enter(0, "rename a")
    child.close()
    oldest = main.oldest()
    assert oldest is not None
    assert oldest.what == "rename a"


WRITER = """
import sys
from nfsw.actors.call_board import CallBoard
board = CallBoard(int(sys.argv[1]), int(sys.argv[2]))
board.beat()
print("writes", flush=True)
while sys.argv[3] == "heartbeats":
    board.beat()
while True:
    board.enter(0, "statx incoming/s/a.bin")
    for _ in range(1000):
        pass
    board.leave(0, "statx")
"""


@contextmanager
def a_child_that_writes(what: str) -> Iterator[CallBoard]:
    """Without a pause."""
    fd = CallBoard.create(SLOTS)
    command = [sys.executable, "-c", WRITER, str(fd), str(SLOTS), what]
    with subprocess.Popen(command, pass_fds=[fd], cwd=CHECKOUT, stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"writes\n"
            yield CallBoard(fd, SLOTS)
        finally:
            writer.kill()
            os.close(fd)


def test_a_heartbeat_is_never_seen_half_written() -> None:
    """A reader that saw none, or an old one, would take the child for dead and kill it."""
    wrong = 0
    with a_child_that_writes("heartbeats") as board:
        for _ in range(READS):
            seconds = board.silent_s()
            wrong += seconds is None or not -NEVER_S < seconds < NEVER_S
    print(f"{wrong} of {READS} reads saw no heartbeat, or half of one")
    assert wrong == 0


def test_the_time_of_a_call_is_never_seen_half_written() -> None:
    """Half a time is a call that has lasted for hours: a hang."""
    calls: list[Call] = []
    with a_child_that_writes("calls") as board:
        while len(calls) < READS // 20:
            if call := board.oldest():
                calls.append(call)
    wrong = [call for call in calls if not -NEVER_S < call.seconds < NEVER_S or call.what != "statx incoming/s/a.bin"]
    print(f"{len(wrong)} of {len(calls)} calls that were seen were half written")
    assert not wrong


def test_a_heartbeat_that_is_gone_is_no_news(ends: tuple[CallBoard, CallBoard], clock: FakeClock) -> None:
    child, main = ends
    child.beat()
    clock.advance(1.0)
    assert main.silent_s() == 1.0
    child._cells[0] = 0
    clock.advance(1.0)
    assert main.silent_s() == 2.0
