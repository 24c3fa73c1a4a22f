"""The sweep: what a crash left is ended, folders and staged copies that stand for nothing go, and no others."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from nfsw.actors.call_board import CallBoard
from nfsw.actors.files import FileRef
from nfsw.actors.messages import CompleteFile, DiskName, ReportAgain, RuleFound, Unstaged
from nfsw.actors.stability import Rule
from nfsw.actors.staging_folder import staged_files
from nfsw.actors.tree import NfsTree, StagingTree
from tests.support.collecting import FILE, SENT, Collecting
from tests.support.mortal_nfs import Killed, killed, refused
from tests.support.share import DATE, Share


@pytest.fixture
def collecting(share: Share, tree: NfsTree, staging: StagingTree, board: CallBoard, monkeypatch: pytest.MonkeyPatch) -> Collecting:
    return Collecting(share, tree, staging, board, monkeypatch)


def marked(collecting: Collecting, file: FileRef = FILE) -> Path:
    """A crash left it: sent, marked, not deleted."""
    sent = collecting.sent(file)
    path = collecting.share.claimed(file.name, file.session, file.date)
    collecting.nfs.at["unlink", f"{path.relative_to(collecting.share.root)}.completed"] = killed
    with pytest.raises(Killed):
        collecting.hear(CompleteFile(file, sent))
    collecting.restart()
    return path.with_name(path.name + ".completed")


def test_a_mark_that_was_left_is_ended(collecting: Collecting, share: Share, staging: StagingTree) -> None:
    marked(collecting)
    assert collecting.sweep() == [Unstaged(FILE)]
    assert share.files() == {}
    assert staged_files(staging) == []


def test_without_a_staged_copy_it_becomes_a_claimed_file_again(collecting: Collecting, share: Share) -> None:
    """The pod's staging is empty after it was moved to another node: nobody knows what was sent, but Azure, which is asked."""
    share.written(share.claimed("a.completed"))
    assert collecting.sweep() == [ReportAgain(FILE)]
    assert set(share.files()) == {f".processing/{DATE}/s/a"}


def test_until_it_is_known_whether_leases_are_granted_no_mark_is_touched(collecting: Collecting, share: Share) -> None:
    marked(collecting)
    collecting.rule = None
    collecting.restart()
    assert collecting.sweep() == []
    collecting.hear(RuleFound(Rule.TIME, "by a test"))
    assert collecting.sweep() == [Unstaged(FILE)]


@pytest.mark.parametrize("damage", [b"", b"junk\n", b"\xff\xfe\n", bytes(100)])
def test_a_manifest_that_is_unreadable_tells_nothing_of_the_version(
    collecting: Collecting, share: Share, staging: StagingTree, damage: bytes
) -> None:
    marked(collecting)
    Path(staging.manifest(FILE)).write_bytes(damage)
    assert collecting.sweep() == [ReportAgain(FILE)]
    assert share.files() == {f".processing/{DATE}/s/a": SENT}


def test_one_that_was_changed_after_it_was_marked_becomes_a_claimed_file_again(collecting: Collecting, share: Share) -> None:
    share.written(marked(collecting), b"changed")
    assert collecting.sweep() == [ReportAgain(FILE)]
    assert share.files() == {f".processing/{DATE}/s/a": b"changed"}


@pytest.mark.parametrize("number", range(12))
def test_killed_at_any_call_it_is_a_claimed_file_again_in_the_end(collecting: Collecting, share: Share, number: int) -> None:
    share.written(marked(collecting), b"changed")
    collecting.nfs.before[number] = killed
    try:
        collecting.sweep()
    except Killed:
        collecting.restart()
        collecting.sweep()
    assert share.files()[f".processing/{DATE}/s/a"] == b"changed"


def test_a_file_that_is_being_sent_again_keeps_its_staged_copy(collecting: Collecting, share: Share, staging: StagingTree) -> None:
    """It was given back, and a crash left its mark beside it: two names of one file."""
    collecting.sent()
    os.link(share.claimed("a"), share.claimed("a.completed"))
    for _ in range(2):
        assert collecting.sweep() == []
    assert len(staged_files(staging)) == 1
    assert share.claimed("a").read_bytes() == SENT


def test_only_sessions_that_are_held_are_swept(collecting: Collecting, share: Share) -> None:
    collecting.hold("s", "adopted")
    for session in ("s", "adopted", "another pod's"):
        share.written(share.claimed("a.completed", session))
    collecting.sweep()
    assert set(share.files()) == {f".processing/{DATE}/{found}" for found in ("s/a", "adopted/a", "another pod's/a.completed")}


def test_empty_folders_go_but_for_the_newest_of_a_recorded_session(collecting: Collecting, share: Share) -> None:
    collecting.hold("s", "adopted", recorded=("s",))
    for date in ("20260101", "20260102", "20260103"):
        for session in ("s", "adopted", "another pod's"):
            share.claimed("", session, date).mkdir(parents=True)
    share.written(share.claimed("a", "s", "20260101"))
    share.claimed("", "adopted", "20251231").mkdir(parents=True)
    collecting.sweep()
    assert {folder.removeprefix(".processing/") for folder in share.folders()} == {
        ".processing",
        "20260101",
        "20260101/s",
        "20260101/another pod's",
        "20260102",
        "20260102/another pod's",
        "20260103",
        "20260103/s",
        "20260103/another pod's",
    }


def test_a_session_that_is_not_recorded_any_more_loses_its_last_folder(collecting: Collecting, share: Share) -> None:
    share.claimed("").mkdir(parents=True)
    collecting.sweep()
    assert f".processing/{DATE}/s" in share.folders()
    collecting.hold("s", recorded=())
    collecting.sweep()
    assert share.folders() == {".processing"}


def test_what_is_no_date_or_no_file_of_ours_is_left_alone(collecting: Collecting, share: Share) -> None:
    junk = [share.claimed("a.completed", date="not a date"), share.claimed("a.completed/inside a folder"), share.claimed("a.tmp")]
    for path in junk:
        share.written(path)
    share.claimed("link.completed").symlink_to("/etc/passwd")
    collecting.sweep()
    assert all(path.exists() for path in junk)
    assert share.claimed("link.completed").is_symlink()


def test_a_staged_copy_whose_file_has_gone_is_removed_and_told(collecting: Collecting, share: Share, staging: StagingTree) -> None:
    gone, there, done = (FileRef(DATE, "s", name) for name in ("gone", "there", "another pod's"))
    for file in (gone, there, done):
        collecting.sent(file)
    share.claimed("gone").unlink()
    assert collecting.sweep() == [Unstaged(gone)]
    assert {name for _, _, name, _ in staged_files(staging)} == {"there", "another pod's"}


def test_marks_and_staged_copies_whose_names_are_not_utf_8_are_told_as_text(collecting: Collecting, share: Share) -> None:
    """nfsw makes none. One that somebody else has put there must not end the Collector again and again."""
    share.written(share.claimed("caf\udce9.completed"))
    assert collecting.sweep() == [ReportAgain(FileRef(DATE, "s", "caf\\xe9"))]
    collecting.sent(FileRef(DATE, "s", "gone\udce9"))
    share.claimed("gone\udce9").unlink()
    assert collecting.sweep() == [Unstaged(FileRef(DATE, "s", "gone\\xe9"))]
    assert collecting.sweep() == []


@pytest.mark.parametrize(
    "call",
    [
        ("scandir", f".processing/{DATE}/bad"),
        ("rmdir", f".processing/{DATE}/bad"),
        ("statx", f".processing/{DATE}/bad/a"),
        ("scandir", f".processing/{DATE}"),
    ],
)
def test_what_cannot_be_swept_holds_nothing_else_up(
    collecting: Collecting, share: Share, staging: StagingTree, caplog: pytest.LogCaptureFixture, call: tuple[str, str]
) -> None:
    collecting.hold("bad", "s", "t", recorded=())
    for session in ("bad", "s", "t"):
        share.claimed("", session).mkdir(parents=True)
        marked(collecting, FileRef("20250101", session, "a"))
    collecting.hold("bad", "s", "t", recorded=())
    collecting.sent(FileRef(DATE, "bad", "a"))
    orphan = FileRef(DATE, "t", "orphan")
    collecting.sent(orphan)
    share.claimed("orphan", "t").unlink()
    collecting.nfs.at[call] = refused(errno.EIO)
    assert Unstaged(orphan) in collecting.sweep()
    assert "EIO" in caplog.text
    assert not [path for path in share.files() if path.endswith(".completed")]
    assert not collecting.nfs.at


# --- The disks ---


def test_each_sweep_measures_the_disks_and_one_that_is_not_there_yet_is_left_out(
    collecting: Collecting, share: Share, staging: StagingTree
) -> None:
    shutil.rmtree(staging.root, ignore_errors=True)
    assert collecting.sweep() == []
    [export] = collecting.measured
    disk = os.statvfs(share.root)
    assert (export.disk, export.size) == (DiskName.EXPORT, disk.f_blocks * disk.f_frsize)
    assert 0 < export.free <= export.size
    os.makedirs(staging.root)
    collecting.sweep()
    assert [measured.disk for measured in collecting.measured] == [DiskName.STAGING, DiskName.EXPORT]


def test_a_disk_that_cannot_be_measured_keeps_nobody_from_sweeping(collecting: Collecting, share: Share) -> None:
    marked(collecting)
    collecting.nfs.at["statvfs", str(share.root)] = refused(errno.EIO)
    assert collecting.sweep() == [Unstaged(FILE)]
    assert [measured.disk for measured in collecting.measured] == [DiskName.STAGING]
