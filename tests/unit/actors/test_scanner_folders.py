"""What the Scanner finds in folders of a session: files at any depth, what is refused, and what is bounded."""

import errno
import os
from collections.abc import Sequence

import pytest

from nfsw.actors.call_board import CallBoard
from nfsw.actors.files import Arrival, File, FileRef
from nfsw.actors.messages import (
    DisplacedFile,
    FileGone,
    FileRefused,
    FileStable,
    HiddenFiles,
    RefusalLifted,
    ReportAgain,
    ScanFailed,
    SessionFound,
)
from nfsw.actors.tree import NfsTree
from tests.support.faketime import FakeClock
from tests.support.mortal_nfs import EventfulNfs, refused
from tests.support.share import DATE, Share
from tests.support.watching import AGE_S, LARGEST, POLL_S, Watching

SOON = AGE_S + 2 * POLL_S


@pytest.fixture
def watching(tree: NfsTree, board: CallBoard, clock: FakeClock) -> Watching:
    return Watching(tree.root, board, clock, recursive=True)


@pytest.fixture
def flat(tree: NfsTree, board: CallBoard, clock: FakeClock) -> Watching:
    return Watching(tree.root, board, clock)


@pytest.fixture
def eventful(tree: NfsTree, board: CallBoard, monkeypatch: pytest.MonkeyPatch) -> EventfulNfs:
    """To be asked for before `watching`."""
    nfs = EventfulNfs(tree, board)
    monkeypatch.setattr("nfsw.actors.scanner.Nfs", lambda *_: nfs)
    return nfs


def refusals(told: Sequence[object]) -> dict[File, str]:
    return {message.file: message.reason for message in told if isinstance(message, FileRefused)}


def test_files_at_any_depth_are_reported_by_their_path_the_oldest_of_all_first(watching: Watching, share: Share) -> None:
    for age, name in enumerate(("z/young", "a", "m/n/o/old", "b/oldest")):
        share.written(share.incoming(name))
        os.utime(share.incoming(name), (1_000_000 - age, 1_000_000 - age))
    assert watching.stable(SOON) == ["b/oldest", "m/n/o/old", "a", "z/young"]
    assert watching.stable(60) == [], "each version once"


def test_without_the_setting_folders_in_incoming_are_ignored(flat: Watching, share: Share) -> None:
    share.written(share.incoming("a/b"))
    share.incoming("a/link").symlink_to(".")
    share.incoming("link").symlink_to("a")
    share.written(share.incoming("c"))
    assert [message for message in flat.ticks(60) if not isinstance(message, FileStable)] == []
    assert flat.stable(60) == []


@pytest.mark.parametrize("recursive", [True, False])
def test_what_was_claimed_in_a_folder_is_found_whatever_the_setting_says_now(
    tree: NfsTree, board: CallBoard, clock: FakeClock, share: Share, recursive: bool
) -> None:
    watching = Watching(tree.root, board, clock, recursive=recursive)
    share.written(share.claimed("a/b/c"))
    told = [message.file for message in watching.ticks(SOON) if isinstance(message, FileStable)]
    assert told == [FileRef(DATE, "s", "a/b/c")]


def test_a_session_is_not_over_while_a_folder_of_it_holds_a_file(watching: Watching, share: Share) -> None:
    for session in ("s", "of nobody"):
        share.claimed("a/b", session).mkdir(parents=True)
    assert {found.name: found.files for found in watching.looked()} == {"s": False, "of nobody": False}
    for session in ("s", "of nobody"):
        share.written(share.claimed("a/b/c", session))
    assert {found.name: found.files for found in watching.looked()} == {"s": True, "of nobody": True}


def test_a_displaced_name_is_told_by_its_path_and_a_newer_file_of_it_waits(watching: Watching, share: Share) -> None:
    share.written(share.root / ".nfsw/aside/s/1/a/b/c")
    share.written(share.incoming("a/b/c"))
    assert set(watching.ticks(SOON)) == {DisplacedFile("s", "a/b/c", "1")}
    (share.root / ".nfsw/aside/s/1/a/b/c").unlink()
    assert watching.stable(SOON + POLL_S) == ["a/b/c"]


def test_a_claimed_file_of_a_folder_that_was_to_be_reported_again_and_is_gone_is_said_to_be_gone(watching: Watching, share: Share) -> None:
    file, other = FileRef(DATE, "s", "a/b"), FileRef(DATE, "s", "a/c")
    share.written(share.claimed("a/b"))
    share.claimed("x").mkdir()
    watching.stable(SOON)
    watching.hear(ReportAgain(other))
    assert FileGone(other) in watching.tick()
    share.claimed("a/b").unlink()
    share.claimed("a").rmdir()
    watching.hear(ReportAgain(file))
    assert watching.tick() == [FileGone(file)]


def test_folders_are_refused_with_a_reason_once_and_hold_up_nothing(watching: Watching, share: Share) -> None:
    for name in ("good/a", "bad./b", "bad.completed/c", "good/in.side./d", ".hidden/e"):
        share.written(share.incoming(name))
    share.incoming("link").symlink_to("good")
    told = watching.ticks(60)
    assert set(refusals(told)) == {Arrival("s", name) for name in ("bad.", "bad.completed", "good/in.side.", "link")}
    assert [message.file.name for message in told if isinstance(message, FileStable)] == ["good/a"]
    assert len(told) == 5, "each of them once"
    assert share.incoming("bad./b").exists()


def test_a_refusal_of_a_folder_is_lifted_when_it_is_gone_or_the_session_is_not_watched_any_more(watching: Watching, share: Share) -> None:
    share.incoming("bad.").mkdir(parents=True)
    share.incoming("link").symlink_to("/")
    watching.tick()
    share.incoming("bad.").rename(share.incoming("good"))
    assert watching.tick() == [RefusalLifted(Arrival("s", "bad."))]
    watching.watch(None, "s")
    assert watching.tick() == [RefusalLifted(Arrival("s", "link"))]
    watching.watch("s")
    assert set(refusals(watching.tick())) == {Arrival("s", "link")}


def test_a_name_in_a_folder_is_refused_for_what_it_and_its_path_are(watching: Watching, share: Share) -> None:
    long = "/".join(["a" * 240] * 4)
    for name in ("a/b.", f"{long}/{'c' * 60}", f"{long}/c"):
        share.written(share.incoming(name))
    told = watching.ticks(60)
    reasons = refusals(told)
    assert set(reasons) == {Arrival("s", "a/b."), Arrival("s", f"{long}/{'c' * 60}")}
    assert "1035" in reasons[Arrival("s", f"{long}/{'c' * 60}")]
    assert [message.file.name for message in told if isinstance(message, FileStable)] == [f"{long}/c"]


def test_a_file_of_a_folder_that_can_never_be_staged_is_refused_by_its_path(watching: Watching, share: Share) -> None:
    share.written(share.incoming("a/b"), bytes(LARGEST + 1))
    assert set(refusals(watching.ticks(60))) == {Arrival("s", "a/b")}
    share.incoming("a/b").unlink()
    share.incoming("a").rmdir()
    assert watching.tick() == [RefusalLifted(Arrival("s", "a/b"))]


@pytest.mark.parametrize("call", ["scandir", "statx"])
def test_a_folder_that_nobody_may_read_is_refused_and_the_others_are_looked_at(
    eventful: EventfulNfs, watching: Watching, share: Share, call: str
) -> None:
    for name in ("a/b", "c/d"):
        share.written(share.incoming(name))
    told: list[object] = []
    for _ in range(10):
        eventful.at[call, "incoming/s/a" + ("/." if call == "statx" else "")] = refused(errno.EACCES)
        told += watching.tick()
    assert [message.file.name for message in told if isinstance(message, FileStable)] == ["c/d"]
    reasons = refusals(told)
    assert list(reasons) == [Arrival("s", "a")]
    assert "EACCES" in reasons[Arrival("s", "a")]
    assert not any(isinstance(message, ScanFailed) for message in told)
    eventful.at.clear()
    assert RefusalLifted(Arrival("s", "a")) in watching.tick()
    assert watching.stable(SOON) == ["a/b"]


def test_a_folder_that_fails_otherwise_is_said_and_the_others_are_looked_at(
    eventful: EventfulNfs, watching: Watching, share: Share
) -> None:
    for name in ("a/b", "c/d"):
        share.written(share.incoming(name))
    told: list[object] = []
    for _ in range(10):
        eventful.at["scandir", "incoming/s/a"] = refused(errno.EIO)
        told += watching.tick()
    assert [message.file.name for message in told if isinstance(message, FileStable)] == ["c/d"]
    assert sum(isinstance(message, ScanFailed) for message in told) == 10


def test_a_claimed_folder_that_cannot_be_looked_at_keeps_what_is_known_of_it(
    eventful: EventfulNfs, watching: Watching, share: Share
) -> None:
    file = FileRef(DATE, "s", "a/b/c")
    share.written(share.claimed("a/b/c"))
    watching.ticks(SOON)
    watching.hear(ReportAgain(file))
    eventful.at["scandir", f".processing/{DATE}/s/a"] = refused(errno.EIO)
    assert [type(message) for message in watching.tick()] == [ScanFailed]
    assert [message.file for message in watching.ticks(SOON) if isinstance(message, FileStable)] == [file]


def test_hidden_files_of_folders_are_counted(watching: Watching, share: Share) -> None:
    for name in (".a", "b/.c", "b/d/.e", ".f/.g"):
        share.written(share.incoming(name))
    assert watching.ticks(60) == [HiddenFiles(3)]
    share.incoming("b/.c").unlink()
    assert watching.tick() == [HiddenFiles(2)]


def test_of_a_tree_of_any_size_one_scan_looks_at_so_many_folders_and_all_have_their_turn(
    watching: Watching, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nfsw.actors.arrival_folders.FOLDERS_A_SCAN", 3)
    for number in range(20):
        share.written(share.incoming(f"{number:02}/a"))
    share.incoming("99").symlink_to("00")
    share.written(share.claimed("claimed/b"))
    told = watching.ticks(7 * 3 * POLL_S)
    stable = [message.file for message in told if isinstance(message, FileStable)]
    assert {file.name for file in stable} == {"claimed/b", *(f"{number:02}/a" for number in range(20))}
    assert len(stable) == 21
    assert [type(message) for message in told if not isinstance(message, FileStable)] == [FileRefused], "in none of the walks it was lifted"


def test_nothing_is_remembered_of_folders_without_files_that_are_waited_for(
    tree: NfsTree, board: CallBoard, clock: FakeClock, share: Share
) -> None:
    watching = Watching(tree.root, board, clock, ".bin", recursive=True)
    for number in range(50):
        share.written(share.incoming(f"{number}/metadata.yaml"))
    share.written(share.incoming("0/a.bin"))
    watching.ticks(SOON)
    assert {os.path.basename(path) for path in watching.scanner._folders} == {"s", "0"}
    share.incoming("0/a.bin").unlink()
    watching.tick()
    assert {os.path.basename(path) for path in watching.scanner._folders} == {"s"}


def test_no_more_folders_are_refused_by_name_than_the_status_lists(
    watching: Watching, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nfsw.actors.arrival_folders.MOST_REFUSED", 4)
    for number in range(10):
        share.incoming(f"{number}.").mkdir(parents=True)
    told = refusals(watching.ticks(60))
    assert len(told) == 4
    for file in told:
        share.incoming(file.name).rmdir()
    assert [type(message) for message in watching.ticks(2 * POLL_S)].count(FileRefused) == 4, "others have their turn"


def test_folders_of_a_session_that_are_gone_are_forgotten(watching: Watching, share: Share) -> None:
    share.written(share.incoming("a/b."))
    watching.tick()
    share.incoming("a/b.").unlink()
    share.incoming("a").rmdir()
    assert watching.tick() == [RefusalLifted(Arrival("s", "a/b."))]


def test_the_newest_folder_of_a_session_is_its_own_one(watching: Watching, share: Share) -> None:
    share.written(share.claimed("a/b"))
    (found,) = watching.looked()
    assert found == SessionFound("s", DATE, os.stat(share.claimed("")).st_mtime_ns, files=True)
