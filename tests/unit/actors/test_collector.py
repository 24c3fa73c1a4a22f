"""The Collector deletes what was sent, and nothing that was not, however often it is killed over it."""

import contextlib
import errno
import os
from pathlib import Path

import pytest

from nfsw.actors.board import Board
from nfsw.actors.files import FileRef
from nfsw.actors.messages import Complete, FileChanged, FileCompleted, FileTroubled, Unstage, Unstaged
from nfsw.actors.staging_folder import staged_files
from nfsw.actors.tree import NfsTree, StagingTree
from tests.support.collecting import FILE, Collecting
from tests.support.mortal_nfs import ERRORS, EventfulNfs, Killed, killed, refused
from tests.support.share import DATE, Share, fingerprint
from tests.support.told import Told

#: More than it makes for one file.
CALLS = 10


@pytest.fixture
def collecting(share: Share, tree: NfsTree, staging: StagingTree, board: Board, monkeypatch: pytest.MonkeyPatch) -> Collecting:
    return Collecting(share, tree, staging, board, monkeypatch)


def test_a_sent_file_is_deleted_with_its_staged_copy(collecting: Collecting, share: Share, staging: StagingTree) -> None:
    assert collecting.hear(Complete(FILE, collecting.sent())) == [Unstaged(FILE), FileCompleted(FILE)]
    assert share.files() == {}
    assert staged_files(staging) == []


def test_it_is_marked_before_it_is_deleted(collecting: Collecting, share: Share) -> None:
    fp = collecting.sent()
    seen: list[set[str]] = []
    collecting.nfs.at["unlink", f".processing/{DATE}/s/a.completed"] = lambda: seen.append(set(share.files()))
    collecting.hear(Complete(FILE, fp))
    assert seen == [{f".processing/{DATE}/s/a.completed"}]


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_call_it_ends_when_it_is_told_again(collecting: Collecting, share: Share, staging: StagingTree, after: bool) -> None:
    deaths = 0
    for number in range(CALLS):
        fp = collecting.sent()
        collecting.live()
        (collecting.nfs.after if after else collecting.nfs.before)[number] = killed
        try:
            collecting.hear(Complete(FILE, fp))
        except Killed:
            deaths += 1
        collecting.live()
        assert collecting.hear(Complete(FILE, fp))[-1] == FileCompleted(FILE)
        assert share.files() == {}
        assert staged_files(staging) == []
    assert 4 <= deaths < CALLS


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_call_the_sweep_ends_it_or_it_is_sent_again(collecting: Collecting, share: Share, after: bool) -> None:
    """The whole service was killed: nobody remembers that the file was sent, but for its mark."""
    for number in range(CALLS):
        fp = collecting.sent()
        collecting.live()
        (collecting.nfs.after if after else collecting.nfs.before)[number] = killed
        with contextlib.suppress(Killed):
            collecting.hear(Complete(FILE, fp))
        collecting.live()
        collecting.sweep()
        assert set(share.files()) <= {f".processing/{DATE}/s/a"}, "a mark is never left"
        collecting.hear(Complete(FILE, fp))
        assert share.files() == {}


@pytest.mark.parametrize("code", ERRORS)
@pytest.mark.parametrize("after", [False, True])
def test_an_error_at_any_call_is_told_and_the_file_ends_when_it_is_tried_again(
    collecting: Collecting, share: Share, code: int, after: bool
) -> None:
    troubles = 0
    for number in range(CALLS):
        fp = collecting.sent()
        collecting.live()
        (collecting.nfs.after if after else collecting.nfs.before)[number] = refused(code)
        told = collecting.hear(Complete(FILE, fp))
        if told.of(FileTroubled):
            troubles += 1
            assert errno.errorcode[code] in told.of(FileTroubled)[0].error
            collecting.live()
            told = collecting.hear(Complete(FILE, fp))
        assert told[-1] == FileCompleted(FILE)
        assert share.files() == {}
    assert troubles >= 4


def test_a_replayed_rename_that_says_gone_is_looked_at(collecting: Collecting, share: Share) -> None:
    fp = collecting.sent()
    collecting.nfs.after[2] = refused(errno.ENOENT)
    assert collecting.hear(Complete(FILE, fp))[-1] == FileCompleted(FILE)
    assert collecting.nfs.calls[2] == "rename"
    assert share.files() == {}


def test_a_file_that_has_gone_is_complete(collecting: Collecting, share: Share) -> None:
    fp = collecting.sent()
    share.claimed("a").unlink()
    assert collecting.hear(Complete(FILE, fp))[-1] == FileCompleted(FILE)


def test_a_source_that_changed_after_its_upload_is_given_back_untouched(collecting: Collecting, share: Share) -> None:
    fp = collecting.sent()
    share.written(share.claimed("a"), b"changed")
    assert collecting.hear(Complete(FILE, fp)) == [FileChanged(FILE)]
    assert share.files() == {f".processing/{DATE}/s/a": b"changed"}


def late_writer(share: Share, nfs: EventfulNfs, number: int) -> None:
    """Has had the file open all the time, and writes before this call."""
    fd = os.open(share.claimed("a"), os.O_WRONLY | os.O_APPEND)

    def write() -> None:
        os.write(fd, b" and more")
        os.close(fd)

    nfs.before[number] = write


def test_a_link_that_was_carried_out_and_asked_for_again_leaves_no_file_in_hand(collecting: Collecting, share: Share) -> None:
    """The answer of a replayed request: nothing may end without a word, or the file would be in hand for ever."""
    fp = collecting.sent()
    late_writer(share, collecting.nfs, LAST_LOOK)
    source = share.claimed("a")
    collecting.nfs.at["link", f".processing/{DATE}/s/a"] = lambda: os.link(source.with_name("a.completed"), source)
    assert [type(word) for word in collecting.hear(Complete(FILE, fp))] == [FileTroubled]
    assert source.read_bytes().endswith(b" and more")
    assert collecting.hear(Complete(FILE, fp)) == [FileChanged(FILE)]


#: The look at the mark is the last one before it is deleted.
LAST_LOOK = 3


@pytest.mark.parametrize("number", range(LAST_LOOK + 1))
@pytest.mark.parametrize("death", [None, *range(1, 6)])
def test_a_writer_that_goes_on_has_its_last_bytes_sent_again(collecting: Collecting, share: Share, number: int, death: int | None) -> None:
    """Before any call up to the last look, and with a Collector that is killed some calls later: the file is a claimed one again."""
    fp = collecting.sent()
    late_writer(share, collecting.nfs, number)
    if death is not None:
        collecting.nfs.before[number + death] = killed
    told = Told()
    with contextlib.suppress(Killed):
        told += collecting.hear(Complete(FILE, fp))
    collecting.live()
    told += collecting.sweep()
    told += collecting.hear(Complete(FILE, fp))
    assert FileChanged(FILE) in told
    assert FileCompleted(FILE) not in told
    collecting.sweep()
    assert share.claimed("a").read_bytes().endswith(b" and more")
    assert set(share.files()) <= {f".processing/{DATE}/s/a", f".processing/{DATE}/s/a.completed"}
    again = fingerprint(share.claimed("a"))
    assert collecting.hear(Complete(FILE, again))[-1] == FileCompleted(FILE)
    assert share.files() == {}


def test_an_older_mark_of_the_name_does_not_stand_in_the_way(collecting: Collecting, share: Share) -> None:
    share.written(share.claimed("a.completed"), b"of an earlier file")
    assert collecting.hear(Complete(FILE, collecting.sent()))[-1] == FileCompleted(FILE)
    assert share.files() == {}


def test_unstage_removes_the_staged_copy_alone(collecting: Collecting, share: Share, staging: StagingTree) -> None:
    collecting.sent()
    other = FileRef(DATE, "s", "b")
    collecting.sent(other)
    assert collecting.hear(Unstage(FILE)) == [Unstaged(FILE)]
    assert [name for _, _, name, _ in staged_files(staging)] == ["b"]
    assert len(share.files()) == 2
    assert collecting.hear(Unstage(FILE)) == [Unstaged(FILE)], "twice is no harm"


def test_a_staged_copy_that_cannot_be_removed_holds_nothing_up(
    collecting: Collecting, share: Share, staging: StagingTree, caplog: pytest.LogCaptureFixture
) -> None:
    """Its room counts as taken until a sweep gets rid of it."""
    fp = collecting.sent()
    Path(staging.copy(FILE)).unlink()
    Path(staging.copy(FILE)).mkdir()
    assert collecting.hear(Complete(FILE, fp)) == [FileCompleted(FILE)]
    assert share.files() == {}
    assert "cannot remove the staged copy" in caplog.text
