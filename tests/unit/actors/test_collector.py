"""The Collector deletes what was sent, and nothing that was not, however often it is killed over it."""

import contextlib
import errno
import os
import threading
import time
from pathlib import Path
from unittest.mock import ANY

import pytest

from nfsw.actors.call_board import CallBoard
from nfsw.actors.files import FileRef
from nfsw.actors.messages import Changed, Completed, CompleteFile, Evicted, EvictStaged, Failed, Outage, StillOpen
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
def collecting(share: Share, tree: NfsTree, staging: StagingTree, board: CallBoard, monkeypatch: pytest.MonkeyPatch) -> Collecting:
    return Collecting(share, tree, staging, board, monkeypatch)


def test_a_sent_file_is_deleted_with_its_staged_copy(collecting: Collecting, share: Share, staging: StagingTree) -> None:
    begun = time.monotonic()
    [completed] = collecting.hear(CompleteFile(FILE, collecting.sent())).of(Completed)
    assert completed == Completed(ANY, unstaged=True)
    assert completed.marked_at is not None
    assert begun <= completed.marked_at <= time.monotonic()
    assert share.files() == {}
    assert staged_files(staging) == []


def test_it_is_marked_before_it_is_deleted(collecting: Collecting, share: Share) -> None:
    fp = collecting.sent()
    seen: list[set[str]] = []
    collecting.nfs.at["unlink", f".processing/{DATE}/s/a.completed"] = lambda: seen.append(set(share.files()))
    collecting.hear(CompleteFile(FILE, fp))
    assert seen == [{f".processing/{DATE}/s/a.completed"}]


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_call_it_ends_when_it_is_told_again(collecting: Collecting, share: Share, staging: StagingTree, after: bool) -> None:
    deaths = 0
    for number in range(CALLS):
        fp = collecting.sent()
        collecting.restart()
        (collecting.nfs.after if after else collecting.nfs.before)[number] = killed
        try:
            collecting.hear(CompleteFile(FILE, fp))
        except Killed:
            deaths += 1
        collecting.restart()
        assert collecting.complete(fp)[-1] == Completed(ANY)
        assert share.files() == {}
        assert staged_files(staging) == []
    assert deaths == CALLS


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_call_the_sweep_ends_it_or_it_is_sent_again(collecting: Collecting, share: Share, after: bool) -> None:
    """The whole service was killed: nobody remembers that the file was sent, but for its mark."""
    for number in range(CALLS):
        fp = collecting.sent()
        collecting.restart()
        (collecting.nfs.after if after else collecting.nfs.before)[number] = killed
        with contextlib.suppress(Killed):
            collecting.hear(CompleteFile(FILE, fp))
        collecting.restart()
        collecting.sweep()
        assert set(share.files()) <= {f".processing/{DATE}/s/a"}, "a mark is never left"
        collecting.complete(fp)
        assert share.files() == {}


@pytest.mark.parametrize("code", ERRORS)
@pytest.mark.parametrize("after", [False, True])
def test_an_error_at_any_call_is_told_and_the_file_ends_when_it_is_tried_again(
    collecting: Collecting, share: Share, code: int, after: bool
) -> None:
    failures = 0
    for number in range(CALLS):
        fp = collecting.sent()
        collecting.restart()
        (collecting.nfs.after if after else collecting.nfs.before)[number] = refused(code)
        told = collecting.hear(CompleteFile(FILE, fp))
        if failed := told.of(Failed):
            failures += 1
            assert errno.errorcode[code] in failed[0].error
            assert failed[0].outage is Outage.NFS
            collecting.restart()
            told = collecting.complete(fp)
        assert told[-1] == Completed(ANY)
        assert share.files() == {}
    assert failures == CALLS


def test_a_replayed_rename_that_says_gone_is_looked_at(collecting: Collecting, share: Share) -> None:
    fp = collecting.sent()
    collecting.nfs.after[4] = refused(errno.ENOENT)
    assert collecting.hear(CompleteFile(FILE, fp))[-1] == Completed(ANY)
    assert collecting.nfs.calls[4] == "rename"
    assert share.files() == {}


def test_a_file_that_has_gone_is_complete(collecting: Collecting, share: Share) -> None:
    fp = collecting.sent()
    share.claimed("a").unlink()
    assert collecting.hear(CompleteFile(FILE, fp))[-1] == Completed(ANY)


def test_a_source_that_changed_after_its_upload_is_given_back_untouched(collecting: Collecting, share: Share) -> None:
    fp = collecting.sent()
    share.written(share.claimed("a"), b"changed")
    assert collecting.hear(CompleteFile(FILE, fp)) == [Changed()]
    assert "rename" not in collecting.nfs.calls, "it is not even marked"
    assert share.files() == {f".processing/{DATE}/s/a": b"changed"}


def test_one_that_is_open_for_writing_is_given_back_and_deleted_once_it_is_closed(collecting: Collecting, share: Share) -> None:
    fp = collecting.sent()
    with share.claimed("a").open("ab"):
        assert collecting.hear(CompleteFile(FILE, fp)) == [StillOpen()]
    assert share.files() == {f".processing/{DATE}/s/a": SENT}
    assert collecting.hear(CompleteFile(FILE, fp))[-1] == Completed(ANY), "nothing was written, so it is what was sent still"


def late_writer(collecting: Collecting, share: Share, number: int) -> None:
    """Has had the file open all the time, where nobody can tell, and writes before this call."""
    collecting.rule = Rule.TIME
    collecting.restart()
    fd = os.open(share.claimed("a"), os.O_WRONLY | os.O_APPEND)

    def write() -> None:
        os.write(fd, b" and more")
        os.close(fd)

    collecting.nfs.before[number] = write


def test_a_link_that_was_carried_out_and_asked_for_again_leaves_no_file_in_hand(collecting: Collecting, share: Share) -> None:
    """The answer of a replayed request: nothing may end without a reply, or the file would be in hand for ever."""
    fp = collecting.sent()
    late_writer(collecting, share, LAST_LOOK)
    source = share.claimed("a")
    collecting.nfs.at["link", f".processing/{DATE}/s/a"] = lambda: os.link(source.with_name("a.completed"), source)
    assert [type(reply) for reply in collecting.hear(CompleteFile(FILE, fp))] == [Failed]
    assert source.read_bytes().endswith(b" and more")
    assert collecting.hear(CompleteFile(FILE, fp)) == [Changed()]


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
        told += collecting.hear(CompleteFile(FILE, fp))
    collecting.restart()
    told += collecting.sweep()
    told += collecting.hear(CompleteFile(FILE, fp))
    assert Changed() in told
    assert not told.of(Completed)
    collecting.sweep()
    assert share.claimed("a").read_bytes().endswith(b" and more")
    assert set(share.files()) <= {f".processing/{DATE}/s/a", f".processing/{DATE}/s/a.completed"}
    again = fingerprint(share.claimed("a"))
    assert collecting.hear(CompleteFile(FILE, again))[-1] == Completed(ANY)
    assert share.files() == {}


def test_a_mark_of_another_file_is_told_and_not_deleted(collecting: Collecting, share: Share) -> None:
    """Nobody knows whether that was sent. It cannot come from us."""
    share.written(share.claimed("a.completed"), b"of an earlier file")
    [failed] = collecting.hear(CompleteFile(FILE, collecting.sent()))
    assert isinstance(failed, Failed)
    assert "nothing proves that it was sent" in failed.error
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
    assert collecting.hear(CompleteFile(FILE, fp))[-1] == Completed(ANY)
    sweep.join(30)
    assert swept == [[]]
    assert share.files() == {}


def test_to_evict_removes_the_staged_copy_alone(collecting: Collecting, share: Share, staging: StagingTree) -> None:
    collecting.sent()
    other = FileRef(DATE, "s", "b")
    collecting.sent(other)
    assert collecting.hear(EvictStaged(FILE)) == [Evicted()]
    assert [name for _, _, name, _ in staged_files(staging)] == ["b"]
    assert len(share.files()) == 2
    assert collecting.hear(EvictStaged(FILE)) == [Evicted()], "twice is no harm"


def test_a_staged_copy_that_cannot_be_removed_holds_nothing_up(
    collecting: Collecting, share: Share, staging: StagingTree, caplog: pytest.LogCaptureFixture
) -> None:
    """Its room counts as taken until a sweep gets rid of it."""
    fp = collecting.sent()
    Path(staging.copy(FILE)).unlink()
    Path(staging.copy(FILE)).mkdir()
    assert collecting.hear(CompleteFile(FILE, fp)) == [Completed(ANY, unstaged=False)]
    assert share.files() == {}
    [failed] = collecting.hear(EvictStaged(FILE))
    assert isinstance(failed, Failed)
    assert failed.outage is Outage.STAGING
    assert "cannot remove the staged copy" in caplog.text
