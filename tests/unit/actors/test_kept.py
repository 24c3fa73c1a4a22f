"""Notes about kept files: whole or not there, and what is no note of ours proves nothing."""

from pathlib import Path

import pytest

from nfsw.actors.call_board import CallBoard
from nfsw.actors.files import FileRef, Fingerprint
from nfsw.actors.kept import (
    folders_with_notes,
    holds_kept_files_alone,
    noted_files,
    noted_marks,
    read_note,
    remove_folder_of_notes,
    remove_note,
    sweeping,
    write_note,
)
from nfsw.actors.nfs import Nfs
from nfsw.actors.tree import NfsTree
from tests.support.mortal_nfs import EventfulNfs, Killed, killed
from tests.support.share import DATE, Share

FILE = FileRef(DATE, "s", "a")
DEEP = FileRef(DATE, "s", "run/1/b.bin")
MARKED = Fingerprint(10, -5, 2**63, 1_800_000_000_000_000_001)


def test_what_is_noted_is_read_again(nfs: Nfs, share: Share) -> None:
    for file in (FILE, DEEP):
        write_note(nfs, file, MARKED)
        assert read_note(nfs, file) == MARKED
    assert folders_with_notes(nfs) == [(DATE, "s")]
    assert noted_files(nfs, DATE, "s") == {"a", "run/1/b.bin"}
    assert noted_marks(nfs, DATE, "s", "") == {"a.completed", "run"}
    assert noted_marks(nfs, DATE, "s", "run/1/") == {"b.bin.completed"}
    assert set(share.files()) == {f".nfsw/kept/{file.blob}.completed" for file in (FILE, DEEP)}


def test_a_note_takes_the_place_of_an_older_one(nfs: Nfs) -> None:
    write_note(nfs, FILE, MARKED)
    write_note(nfs, FILE, MARKED._replace(size=11))
    assert read_note(nfs, FILE) == MARKED._replace(size=11)


@pytest.mark.parametrize("number", range(12))
def test_killed_at_any_call_there_is_a_whole_note_or_none(tree: NfsTree, board: CallBoard, share: Share, number: int) -> None:
    dying = EventfulNfs(tree, board)
    dying.before[number] = killed
    try:
        write_note(dying, FILE, MARKED)
    except Killed:
        assert read_note(dying, FILE) in (None, MARKED)
        assert noted_files(dying, DATE, "s") <= {"a"}
        assert not share.claimed("a.completed").exists()
    write_note(Nfs(tree, board), FILE, MARKED)
    assert read_note(Nfs(tree, board), FILE) == MARKED


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"junk",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{" * 900,
        b'{"size": 10, "mtime_ns": 1, "inode": 2}',
        b'{"size": 10, "mtime_ns": 1, "inode": 2, "ctime_ns": "3"}',
        b'{"size": true, "mtime_ns": 1, "inode": 2, "ctime_ns": 3}',
        b'{"size": 10, "mtime_ns": 1, "inode": 2, "ctime_ns": 3, "more": 4}',
    ],
)
def test_what_is_no_note_of_ours_proves_nothing(nfs: Nfs, tree: NfsTree, text: bytes) -> None:
    write_note(nfs, FILE, MARKED)
    Path(tree.kept_note(FILE)).write_bytes(text)
    assert read_note(nfs, FILE) is None


def test_a_link_is_no_note(nfs: Nfs, tree: NfsTree) -> None:
    write_note(nfs, DEEP, MARKED)
    Path(tree.kept_note(FILE)).symlink_to(tree.kept_note(DEEP))
    with pytest.raises(OSError, match="symbolic links"):
        read_note(nfs, FILE)


def test_its_folder_goes_with_the_last_note_and_not_before(nfs: Nfs, share: Share) -> None:
    write_note(nfs, FILE, MARKED)
    write_note(nfs, DEEP, MARKED)
    remove_note(nfs, FILE)
    remove_folder_of_notes(nfs, DATE, "s")
    assert noted_files(nfs, DATE, "s") == {"run/1/b.bin"}
    remove_note(nfs, DEEP)
    remove_folder_of_notes(nfs, DATE, "s")
    assert share.folders() == {".nfsw", ".nfsw/kept", ".nfsw/probes"}
    assert folders_with_notes(nfs) == []


def test_a_folder_holds_kept_files_alone_only_if_each_of_its_files_is_noted(nfs: Nfs, share: Share) -> None:
    assert not holds_kept_files_alone(nfs, DATE, "s")
    share.written(share.claimed("a.completed"))
    assert not holds_kept_files_alone(nfs, DATE, "s")
    write_note(nfs, FILE, MARKED)
    assert holds_kept_files_alone(nfs, DATE, "s")
    share.written(share.claimed("run/1/b.bin.completed"))
    assert not holds_kept_files_alone(nfs, DATE, "s")
    write_note(nfs, DEEP, MARKED)
    assert holds_kept_files_alone(nfs, DATE, "s")
    share.written(share.claimed("run/b"))
    assert not holds_kept_files_alone(nfs, DATE, "s")


def test_one_pod_at_a_time_ends_kept_files_and_all_of_them_know_the_servers_time(nfs: Nfs, tree: NfsTree, board: CallBoard) -> None:
    write_note(nfs, FILE, MARKED)
    made_ns = Path(tree.kept_note(FILE)).stat().st_ctime_ns
    with sweeping(nfs) as (alone, now_ns), sweeping(Nfs(tree, board)) as (other, now_there_ns):
        assert (alone, other) == (True, False)
        assert made_ns <= now_ns <= now_there_ns
    with sweeping(nfs) as (alone, _):
        assert alone
