"""A Scanner that is asked again for what its predecessor was to report, before it has looked at anything."""

from nfsw.actors.call_board import CallBoard
from nfsw.actors.config import ScannerConfig
from nfsw.actors.envelope import Message
from nfsw.actors.files import FileRef
from nfsw.actors.messages import FileGone, ReportAgain, WatchedSessions
from nfsw.actors.scanner import Scanner
from nfsw.actors.tree import NfsTree
from tests.support.share import DATE, Share

GONE, THERE, UNHELD = FileRef(DATE, "s", "gone"), FileRef(DATE, "s", "there"), FileRef(DATE, "other", "a")


def test_a_claimed_file_that_is_no_longer_there_is_said_to_be_gone(tree: NfsTree, board: CallBoard, share: Share) -> None:
    share.written(share.claimed("there"))
    scanner = Scanner(ScannerConfig(tree.root, 2.0, 5.0, 40.0, (), 1000), board)
    told: list[Message] = []
    scanner.on_message(WatchedSessions("s", frozenset({"s"}), frozenset({"s"})), told.append)
    for file in (GONE, THERE, UNHELD):
        scanner.on_message(ReportAgain(file), told.append)
    scanner.on_tick(told.append)
    assert [message for message in told if isinstance(message, FileGone)] == [FileGone(GONE)]


def test_also_if_its_whole_folder_is_gone(tree: NfsTree, board: CallBoard) -> None:
    scanner = Scanner(ScannerConfig(tree.root, 2.0, 5.0, 40.0, (), 1000), board)
    told: list[Message] = []
    scanner.on_message(WatchedSessions("s", frozenset({"s"}), frozenset({"s"})), told.append)
    scanner.on_message(ReportAgain(GONE), told.append)
    scanner.on_tick(told.append)
    assert FileGone(GONE) in told
