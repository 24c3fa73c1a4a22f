"""The end of a file on NFS: nothing is deleted that is not known to be what was sent, or that somebody has open for writing."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nfsw.actors.call_board import CallBoard
from nfsw.actors.completion import Completion, Ending
from nfsw.actors.files import Fingerprint
from nfsw.actors.staging_folder import discard
from nfsw.actors.tree import NfsTree, StagingTree
from tests.support.collecting import FILE, SENT, Collecting
from tests.support.mortal_nfs import Killed, killed
from tests.support.share import DATE, Share, fingerprint

MARK = f".processing/{DATE}/s/a.completed"
SOURCE = f".processing/{DATE}/s/a"


@pytest.fixture
def collecting(share: Share, tree: NfsTree, staging: StagingTree, board: CallBoard, monkeypatch: pytest.MonkeyPatch) -> Collecting:
    return Collecting(share, tree, staging, board, monkeypatch)


def completion(collecting: Collecting, *, leased: bool = True) -> Completion:
    return Completion(collecting.nfs, collecting.staging, FILE, leased=leased)


def write_and_keep_the_mtime(path: Path, content: bytes) -> None:
    """As `touch -r` and some tools that edit metadata do; again if need be, until the kernel's clock has moved on."""
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def opens_for_writing(path: Path) -> Callable[[], None]:
    """A writer's `open` waits for a lease; this one does not, and is refused, but has broken it."""

    def opens() -> None:
        with contextlib.suppress(BlockingIOError):
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))

    return opens


@pytest.fixture
def sent(collecting: Collecting) -> Fingerprint:
    return collecting.sent()


@pytest.mark.parametrize("leased", [True, False])
def test_what_was_sent_is_marked_and_deleted(collecting: Collecting, share: Share, sent: Fingerprint, *, leased: bool) -> None:
    ending, marked_at = completion(collecting, leased=leased).complete(sent)
    assert ending is Ending.DELETED
    assert marked_at is not None
    assert share.files() == {}
    assert ("lease" in collecting.nfs.calls) is leased


@pytest.mark.parametrize("how", ["size", "mtime", "inode", "ctime"])
def test_a_source_that_is_not_what_was_sent_is_not_even_marked(collecting: Collecting, share: Share, sent: Fingerprint, how: str) -> None:
    path = share.claimed("a")
    match how:
        case "size":
            path.write_bytes(b"more than that, " + SENT)
        case "mtime":
            os.utime(path, ns=(0, sent.mtime_ns + 1))
        case "inode":
            share.replaced(path, SENT)
        case _:
            write_and_keep_the_mtime(path, b"THE BYTES THAT WERE SENT")
            assert fingerprint(path).same_but_ctime(sent)
    assert completion(collecting).complete(sent) == (Ending.CHANGED, None)
    assert not {"rename", "link", "unlink"} & set(collecting.nfs.calls)
    assert set(share.files()) == {SOURCE}


def test_a_source_that_is_open_for_writing_is_not_marked(collecting: Collecting, share: Share, sent: Fingerprint) -> None:
    with share.claimed("a").open("ab"):
        assert completion(collecting).complete(sent) == (Ending.OPEN, None)
    assert "rename" not in collecting.nfs.calls
    assert fingerprint(share.claimed("a")) == sent, "what is staged and sent is of use still, if nothing was written"


def test_where_nobody_can_tell_it_is_marked_without_a_lease(collecting: Collecting, share: Share, sent: Fingerprint) -> None:
    with share.claimed("a").open("ab"):
        assert completion(collecting, leased=False).complete(sent)[0] is Ending.DELETED


#: The calls that it takes, on a file system on which our own changes end no lease.
CALLS = ["open", "lease", "statx", "statx", "rename", "statx", "unlink", "close"]
RENAME, LAST_LOOK, UNLINK = 4, 5, 6


def test_each_look_is_made_under_the_lease_and_right_before_the_change(collecting: Collecting, sent: Fingerprint) -> None:
    completion(collecting).complete(sent)
    assert collecting.nfs.calls == CALLS


@pytest.mark.parametrize("number", range(2, UNLINK))
def test_a_writer_that_comes_in_between_goes_first(collecting: Collecting, share: Share, sent: Fingerprint, number: int) -> None:
    """It breaks the lease. The file is a claimed one then, whatever its name was in that moment."""
    collecting.nfs.before[number] = opens_for_writing(share.claimed("a" if number <= RENAME else "a.completed"))
    ending, marked_at = completion(collecting).complete(sent)
    assert ending is Ending.OPEN
    assert (marked_at is not None) == (number >= RENAME)
    assert set(share.files()) == {SOURCE}


@pytest.mark.parametrize("leased", [True, False])
def test_one_that_changes_after_it_was_marked_is_given_back(
    collecting: Collecting, share: Share, sent: Fingerprint, *, leased: bool
) -> None:
    """The name is removed and made again by a writer, so it breaks no lease."""
    number = LAST_LOOK if leased else LAST_LOOK - 2
    collecting.nfs.before[number] = lambda: _assert(share.replaced(share.claimed("a.completed"), b"changed"))
    assert completion(collecting, leased=leased).complete(sent)[0] is Ending.CHANGED
    assert share.files() == {SOURCE: b"changed"}


# --- A mark that a crash left ---


def dies_before(collecting: Collecting, call: str, path: str, sent: Fingerprint) -> None:
    collecting.nfs.at[call, path] = killed
    with pytest.raises(Killed):
        completion(collecting).complete(sent)
    collecting.restart()


def test_killed_before_the_delete_the_mark_is_known_by_its_ctime(collecting: Collecting, share: Share, sent: Fingerprint) -> None:
    dies_before(collecting, "unlink", MARK, sent)
    assert completion(collecting).finish() is Ending.DELETED
    assert share.files() == {}
    assert "read" not in collecting.nfs.calls


def test_killed_before_that_was_noted_it_is_a_claimed_file_again(collecting: Collecting, share: Share, sent: Fingerprint) -> None:
    """What it was in the moment of the rename, nobody has seen."""
    collecting.nfs.after[RENAME] = killed
    with pytest.raises(Killed):
        completion(collecting).complete(sent)
    collecting.restart()
    assert set(share.files()) == {MARK}
    assert completion(collecting).finish() is Ending.CHANGED
    assert share.files() == {SOURCE: SENT}


def test_a_marked_file_that_was_changed_with_its_mtime_kept_is_given_back(collecting: Collecting, share: Share, sent: Fingerprint) -> None:
    dies_before(collecting, "unlink", MARK, sent)
    write_and_keep_the_mtime(share.claimed("a.completed"), b"THE BYTES THAT WERE SENT")
    assert completion(collecting).finish() is Ending.CHANGED
    assert share.files() == {SOURCE: b"THE BYTES THAT WERE SENT"}


@pytest.mark.parametrize("damage", ["no manifest", "unreadable", "of another version"])
def test_without_a_manifest_that_proves_it_nothing_is_deleted(
    collecting: Collecting, share: Share, staging: StagingTree, sent: Fingerprint, damage: str
) -> None:
    """The pod has moved to another node, or staging was lost."""
    dies_before(collecting, "unlink", MARK, sent)
    lines = Path(staging.manifest(FILE))
    match damage:
        case "no manifest":
            discard(staging, FILE)
        case "unreadable":
            lines.write_bytes(b"\xff\n")
        case _:
            text = lines.read_text()
            share.claimed("a.completed").rename(share.claimed("kept"))
            collecting.sent(FILE, b"another version")
            share.claimed("a").unlink()
            share.claimed("kept").rename(share.claimed("a.completed"))
            assert lines.read_text() != text
    assert completion(collecting).finish() is Ending.CHANGED
    assert share.files() == {SOURCE: SENT}


def test_a_mark_that_is_open_for_writing_is_given_back(collecting: Collecting, share: Share, sent: Fingerprint) -> None:
    dies_before(collecting, "unlink", MARK, sent)
    with share.claimed("a.completed").open("ab"):
        assert completion(collecting).finish() is Ending.OPEN
    assert set(share.files()) == {SOURCE}


def test_what_cannot_be_noted_costs_nothing_but_that(collecting: Collecting, share: Share, staging: StagingTree, sent: Fingerprint) -> None:
    """Its room in staging was needed."""
    discard(staging, FILE)
    assert completion(collecting).complete(sent)[0] is Ending.DELETED
    assert share.files() == {}


# --- Two names ---


def test_to_give_back_replaces_nothing(collecting: Collecting, share: Share, sent: Fingerprint) -> None:
    share.claimed("a").rename(share.claimed("a.completed"))
    share.written(share.claimed("a"), b"another file")
    with pytest.raises(FileExistsError):
        completion(collecting).finish()
    assert share.files() == {SOURCE: b"another file", MARK: SENT}


def test_the_second_name_that_a_crash_left_goes(collecting: Collecting, share: Share) -> None:
    collecting.sent()
    os.link(share.claimed("a"), share.claimed("a.completed"))
    assert completion(collecting).complete(fingerprint(share.claimed("a")))[0] is Ending.DELETED
    assert share.files() == {}


def test_a_mark_of_another_file_is_not_deleted(collecting: Collecting, share: Share, sent: Fingerprint) -> None:
    """Nothing proves that it was sent. It cannot come from us."""
    share.written(share.claimed("a.completed"), b"of an earlier file")
    with pytest.raises(FileExistsError):
        completion(collecting).complete(sent)
    assert share.files() == {SOURCE: SENT, MARK: b"of an earlier file"}


def _assert(truth: object) -> None:
    assert truth


@pytest.mark.parametrize("given_back", [False, True])
def test_a_mark_of_which_nfs_says_that_it_is_gone_though_it_is_there_is_no_deleted_file(
    collecting: Collecting, share: Share, sent: Fingerprint, monkeypatch: pytest.MonkeyPatch, *, given_back: bool
) -> None:
    """As an ESTALE that passes: what was not deleted is tried again. Taken for deleted, it would lie there with nobody to see to it."""
    if given_back:
        os.link(share.claimed("a"), share.claimed("a.completed"))
        sent = fingerprint(share.claimed("a"))
    with monkeypatch.context() as stale:
        stale.setattr(collecting.nfs, "unlink", lambda _: False)
        with pytest.raises(OSError, match="still there"):
            completion(collecting).complete(sent)
        assert share.claimed("a.completed").exists()
    if given_back:
        assert completion(collecting).complete(fingerprint(share.claimed("a")))[0] is Ending.DELETED
    else:
        assert completion(collecting).finish() is Ending.DELETED
    assert share.files() == {}
