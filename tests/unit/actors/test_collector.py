"""The Collector deletes what was sent, and nothing that was not, however often it is killed over it."""

import contextlib
import errno
import os
import threading
from pathlib import Path

import pytest

from nfsw.actors.board import Board
from nfsw.actors.files import FileRef
from nfsw.actors.messages import Complete, FileChanged, FileCompleted, FileTroubled, Unstage, Unstaged
from nfsw.actors.stability import Rule
from nfsw.actors.staging_folder import staged_files
from nfsw.actors.tree import NfsTree, StagingTree
from tests.support.collecting import FILE, SENT, Collecting
from tests.support.mortal_nfs import ERRORS, Killed, killed, refused
from tests.support.share import DATE, Share, fingerprint
from tests.support.told import Told

#: As many as it makes for one file; tests/unit/actors/test_completion.py says which.
CALLS = 8


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
        assert collecting.complete(fp)[-1] == FileCompleted(FILE)
        assert share.files() == {}
        assert staged_files(staging) == []
    assert deaths == CALLS


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
        collecting.complete(fp)
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
            told = collecting.complete(fp)
        assert told[-1] == FileCompleted(FILE)
        assert share.files() == {}
    assert troubles == CALLS


def test_a_replayed_rename_that_says_gone_is_looked_at(collecting: Collecting, share: Share) -> None:
    fp = collecting.sent()
    collecting.nfs.after[4] = refused(errno.ENOENT)
    assert collecting.hear(Complete(FILE, fp))[-1] == FileCompleted(FILE)
    assert collecting.nfs.calls[4] == "rename"
    assert share.files() == {}


def test_a_file_that_has_gone_is_complete(collecting: Collecting, share: Share) -> None:
    fp = collecting.sent()
    share.claimed("a").unlink()
    assert collecting.hear(Complete(FILE, fp))[-1] == FileCompleted(FILE)


def test_a_source_that_changed_after_its_upload_is_given_back_untouched(collecting: Collecting, share: Share) -> None:
    fp = collecting.sent()
    share.written(share.claimed("a"), b"changed")
    assert collecting.hear(Complete(FILE, fp)) == [FileChanged(FILE)]
    assert "rename" not in collecting.nfs.calls, "it is not even marked"
    assert share.files() == {f".processing/{DATE}/s/a": b"changed"}


def test_one_that_is_open_for_writing_is_given_back_and_deleted_once_it_is_closed(collecting: Collecting, share: Share) -> None:
    fp = collecting.sent()
    with share.claimed("a").open("ab"):
        assert collecting.hear(Complete(FILE, fp)) == [FileChanged(FILE)]
    assert share.files() == {f".processing/{DATE}/s/a": SENT}
    assert collecting.hear(Complete(FILE, fp))[-1] == FileCompleted(FILE), "nothing was written, so it is what was sent still"


def late_writer(collecting: Collecting, share: Share, number: int) -> None:
    """Has had the file open all the time, where nobody can tell, and writes before this call."""
    collecting.rule = Rule.TIME
    collecting.live()
    fd = os.open(share.claimed("a"), os.O_WRONLY | os.O_APPEND)

    def write() -> None:
        os.write(fd, b" and more")
        os.close(fd)

    collecting.nfs.before[number] = write


def test_a_link_that_was_carried_out_and_asked_for_again_leaves_no_file_in_hand(collecting: Collecting, share: Share) -> None:
    """The answer of a replayed request: nothing may end without a word, or the file would be in hand for ever."""
    fp = collecting.sent()
    late_writer(collecting, share, LAST_LOOK)
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
    late_writer(collecting, share, number)
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


def test_a_mark_of_another_file_is_told_and_not_deleted(collecting: Collecting, share: Share) -> None:
    """Nobody knows whether that was sent. It cannot come from us."""
    share.written(share.claimed("a.completed"), b"of an earlier file")
    [trouble] = collecting.hear(Complete(FILE, collecting.sent()))
    assert isinstance(trouble, FileTroubled)
    assert "nothing proves that it was sent" in trouble.error
    assert share.files() == {f".processing/{DATE}/s/a": SENT, f".processing/{DATE}/s/a.completed": b"of an earlier file"}


def test_a_message_and_the_sweep_never_work_on_the_same_file_at_a_time(collecting: Collecting, share: Share) -> None:
    """Else the sweep would give back a file that is marked and about to be deleted."""
    fp = collecting.sent()
    swept: list[Told] = []
    sweep = threading.Thread(target=lambda: swept.append(collecting.sweep()))
    seen_by_sweep = threading.Event()
    real = collecting.nfs.listing

    def listing(folder: str) -> "list[os.DirEntry[str]]":
        entries = real(folder)
        if any(entry.name == "a.completed" for entry in entries):
            seen_by_sweep.set()
        return entries

    def meanwhile() -> None:
        sweep.start()
        assert seen_by_sweep.wait(30)

    collecting.nfs.listing = listing  # type: ignore[method-assign]
    collecting.nfs.at["unlink", f".processing/{DATE}/s/a.completed"] = meanwhile
    assert collecting.hear(Complete(FILE, fp))[-1] == FileCompleted(FILE)
    sweep.join(30)
    assert not any(told.of(FileChanged) for told in swept)
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
