"""The Claimer's replies: what it tells of each file, in which order, and that no trouble of one file ends it."""

import errno
import os
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nfsw.actors.call_board import CallBoard
from nfsw.actors.claimer import Claimer
from nfsw.actors.config import ClaimerConfig
from nfsw.actors.envelope import Message
from nfsw.actors.files import Arrival, FileRef
from nfsw.actors.messages import (
    Changed,
    Claimed,
    DisplacedFile,
    DisplacedSeenTo,
    Failed,
    Gone,
    NameTaken,
    Outage,
    RestoreDisplaced,
    Staged,
    StageFile,
    StagingFound,
    StagingProgress,
    StillOpen,
)
from nfsw.actors.tree import NfsTree, StagingTree
from tests.support.claiming import ignored
from tests.support.mortal_nfs import ERRORS, EventfulNfs, refused
from tests.support.open_elsewhere import open_elsewhere
from tests.support.share import DATE, Share, fingerprint
from tests.support.told import Told, passed

BLOCK = 1000
ARRIVAL = Arrival("s", "a")
TODAY = f"{datetime.now(UTC):%Y%m%d}"
CLAIMED = FileRef(TODAY, "s", "a")
LEFT = FileRef(DATE, "s", "a")


class Claiming:
    """One process of a Claimer."""

    def __init__(self, tree: NfsTree, staging: StagingTree, board: CallBoard, monkeypatch: pytest.MonkeyPatch) -> None:
        self.nfs = EventfulNfs(tree, board)
        monkeypatch.setattr("nfsw.actors.claimer.Nfs", lambda *_: self.nfs)
        self.claimer = Claimer(ClaimerConfig(tree.root, staging.root, BLOCK, 2, content_md5=False), board)

    def hear(self, job: Message) -> list[Message]:
        """Returns what was told, and the reply at the end."""
        told = Told()
        reply = self.claimer.on_message(passed(job), told)
        assert reply is not None
        told(reply)
        return told


@pytest.fixture
def claiming(tree: NfsTree, staging: StagingTree, board: CallBoard, monkeypatch: pytest.MonkeyPatch) -> Claiming:
    return Claiming(tree, staging, board, monkeypatch)


@pytest.fixture(autouse=True)
def _same_day() -> None:
    if f"{datetime.now(UTC):%Y%m%d}" != TODAY:
        pytest.skip("midnight has passed since these tests were loaded")


def test_an_arrival_is_claimed_for_today_and_staged(claiming: Claiming, share: Share) -> None:
    fp = share.written(share.incoming("a"), bytes(2 * BLOCK + 1))
    told = claiming.hear(StageFile(ARRIVAL, fp))
    baseline = fingerprint(share.claimed("a", date=TODAY))
    assert baseline != fp, "the claim has changed its ctime"
    assert told == [Claimed(CLAIMED, baseline), StagingProgress(BLOCK), StagingProgress(2 * BLOCK), Staged()]
    assert share.files() == {f".processing/{TODAY}/s/a": bytes(2 * BLOCK + 1)}


def test_a_file_that_was_left_behind_is_staged_where_it_is(claiming: Claiming, share: Share) -> None:
    fp = share.written(share.claimed("a"), b"left")
    assert claiming.hear(StageFile(LEFT, fp)) == [Staged()]


def test_one_whose_claim_was_cut_off_loses_its_second_name_first(claiming: Claiming, share: Share) -> None:
    fp = share.written(share.claimed("a"), b"left")
    share.incoming("a").parent.mkdir(parents=True)
    os.link(share.claimed("a"), share.incoming("a"))
    assert claiming.hear(StageFile(LEFT, fp)) == [Changed()], "its ctime"
    told = claiming.hear(StageFile(LEFT, fingerprint(share.claimed("a"))))
    assert told == [Staged()]
    assert share.files() == {f".processing/{DATE}/s/a": b"left"}


def test_what_is_staged_already_is_not_staged_again(claiming: Claiming, share: Share) -> None:
    fp = share.written(share.claimed("a"), bytes(2 * BLOCK))
    assert claiming.hear(StageFile(LEFT, fp)) == [StagingProgress(BLOCK), Staged()]
    assert claiming.hear(StageFile(LEFT, fp)) == [Staged()]


def test_to_restage_is_to_stage_from_the_beginning(claiming: Claiming, share: Share) -> None:
    fp = share.written(share.claimed("a"), bytes(2 * BLOCK))
    claiming.hear(StageFile(LEFT, fp))
    assert claiming.hear(StageFile(LEFT, fp, restage=True)) == [StagingProgress(BLOCK), Staged()]


def test_a_file_that_somebody_has_open_is_said_to_be_open(claiming: Claiming, share: Share) -> None:
    arrived, left = share.written(share.incoming("a")), share.written(share.claimed("a"))
    with open_elsewhere(share.incoming("a")), open_elsewhere(share.claimed("a")):
        assert claiming.hear(StageFile(ARRIVAL, arrived, leased=True)) == [StillOpen()]
        assert claiming.hear(StageFile(LEFT, left, leased=True)) == [StillOpen()]
    assert share.files().keys() == {"incoming/s/a", f".processing/{DATE}/s/a"}


def test_one_that_is_opened_in_the_instant_of_its_claim_is_claimed_and_said_to_be_open(claiming: Claiming, share: Share) -> None:
    """What was claimed is told under its new name, under which it is tried again."""
    claiming.nfs.seen_as = "nfs4"  # where our own changes end a lease
    version = share.written(share.incoming("a"))
    with ExitStack() as writers:
        claiming.nfs.at["rename", "incoming/s/a"] = lambda: ignored(writers.enter_context(open_elsewhere(share.incoming("a"))))
        claimed, reply = claiming.hear(StageFile(ARRIVAL, version, leased=True))
    assert claimed == Claimed(CLAIMED, fingerprint(share.claimed("a", date=TODAY)))
    assert reply == StillOpen()


@pytest.mark.parametrize("name", ["a", "a.completed"])
def test_an_arrival_whose_name_is_taken_waits(claiming: Claiming, share: Share, name: str) -> None:
    fp = share.written(share.incoming("a"))
    share.written(share.claimed(name, date=TODAY), b"older")
    assert claiming.hear(StageFile(ARRIVAL, fp)) == [NameTaken()]


def test_an_arrival_that_changed_is_told(claiming: Claiming, share: Share) -> None:
    fp = share.written(share.incoming("a"))
    share.written(share.incoming("a"), b"changed")
    assert claiming.hear(StageFile(ARRIVAL, fp)) == [Changed()]


def test_an_arrival_that_has_gone_is_told(claiming: Claiming, share: Share) -> None:
    fp = share.written(share.incoming("a"))
    share.incoming("a").unlink()
    assert claiming.hear(StageFile(ARRIVAL, fp)) == [Gone()]


def test_a_claimed_file_that_changed_is_told_and_is_staged_when_it_rests(claiming: Claiming, share: Share) -> None:
    fp = share.written(share.claimed("a"))
    changed = share.written(share.claimed("a"), b"changed")
    assert claiming.hear(StageFile(LEFT, fp)) == [Changed()]
    assert claiming.hear(StageFile(LEFT, changed))[-1] == Staged()


def test_a_claimed_file_that_has_gone_is_told(claiming: Claiming, share: Share) -> None:
    fp = share.written(share.claimed("a"))
    share.claimed("a").unlink()
    assert claiming.hear(StageFile(LEFT, fp)) == [Gone()]


def test_one_that_goes_while_it_is_staged_is_told(claiming: Claiming, share: Share) -> None:
    fp = share.written(share.claimed("a"), bytes(2 * BLOCK))
    claiming.nfs.at["open", f".processing/{DATE}/s/a"] = share.claimed("a").unlink
    assert claiming.hear(StageFile(LEFT, fp)) == [Gone()]


def test_a_folder_in_an_arrivals_place_is_a_change_and_stays(claiming: Claiming, share: Share) -> None:
    fp = share.written(share.incoming("a"))
    share.incoming("a").unlink()
    share.incoming("a").mkdir()
    assert claiming.hear(StageFile(ARRIVAL, fp)) == [Changed()]
    assert share.incoming("a").is_dir()


@pytest.mark.parametrize("code", ERRORS)
def test_an_error_at_any_call_is_told_of_the_file_and_ends_nothing(claiming: Claiming, share: Share, code: int) -> None:
    failures = 0
    for number in range(40):
        fp = share.written(share.incoming("a"), b"content %d" % number)
        claiming.nfs.before = {len(claiming.nfs.calls) + number: refused(code)}
        told = claiming.hear(StageFile(ARRIVAL, fp))
        if isinstance(failed := told[-1], Failed):
            failures += 1
            assert errno.errorcode[code] in failed.error
            assert (failed.outage, failed.unstaged) == (Outage.NFS, False)
        else:
            assert told[-1] == Staged()
        claiming.nfs.before.clear()
        seen = share.claimed("a", date=TODAY)
        if seen.exists():
            assert claiming.hear(StageFile(CLAIMED, fingerprint(seen)))[-1] == Staged()
            seen.unlink()
        else:
            share.incoming("a").unlink()
        assert share.files() == {}
    assert 10 <= failures < 40


def test_a_failure_of_the_staging_disk_is_told_as_such(claiming: Claiming, share: Share, staging: StagingTree) -> None:
    Path(staging.root).write_bytes(b"")
    told = claiming.hear(StageFile(LEFT, share.written(share.claimed("a"))))
    assert isinstance(failed := told[-1], Failed)
    assert failed.error.startswith("staging disk: ")
    assert failed.outage is Outage.STAGING


@pytest.mark.parametrize(
    ("number", "kept"), [(errno.ENOSPC, False), (errno.EDQUOT, False), (errno.EIO, True)], ids=["full", "quota", "EIO"]
)
def test_only_a_full_disk_gets_back_what_was_staged_of_the_file(
    claiming: Claiming, share: Share, staging: StagingTree, monkeypatch: pytest.MonkeyPatch, number: int, kept: bool
) -> None:
    """Parts of several files could fill it for good, though each of them alone would fit."""
    write = os.pwrite

    def refuse_the_second_block(fd: int, data: memoryview, offset: int) -> int:
        if offset >= BLOCK:
            raise OSError(number, os.strerror(number))
        return write(fd, data, offset)

    monkeypatch.setattr("os.pwrite", refuse_the_second_block)
    failed = claiming.hear(StageFile(LEFT, share.written(share.claimed("a"), bytes(3 * BLOCK))))[-1]
    assert isinstance(failed, Failed)
    assert failed.unstaged is not kept
    assert Path(staging.copy(LEFT)).exists() is kept


def test_what_dead_claimers_left_empty_goes_so_that_looks_do_not_grow_with_restarts(
    tree: NfsTree, staging: StagingTree, board: CallBoard, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_displaced = Path(tree.all_displaced("s"))

    def another_process(name: str) -> None:
        claiming = Claiming(tree, staging, board, monkeypatch)
        for arrival in (Arrival("s", f"{name} 1"), Arrival("s", f"{name} 2")):
            claiming.hear(StageFile(arrival, share.written(share.incoming(arrival.name))))

    another_process("first")
    left = next(all_displaced.iterdir()) / "displaced"
    left.write_bytes(b"left by a crash")
    for name in ("second", "third", "fourth"):
        another_process(name)
    assert len(list(all_displaced.iterdir())) == 2, "the one that is not empty, and the last process's"
    assert left.exists()


def test_a_displaced_name_is_restored(claiming: Claiming, share: Share) -> None:
    share.written(share.root / ".nfsw/aside/s/1/a")
    assert claiming.hear(RestoreDisplaced(DisplacedFile("s", "a", "1"))) == [DisplacedSeenTo()]
    assert share.files() == {"incoming/s/a": b"content"}


def test_a_displaced_name_that_cannot_be_restored_is_logged_once_for_each_reason(
    claiming: Claiming, share: Share, caplog: pytest.LogCaptureFixture
) -> None:
    share.written(share.root / ".nfsw/aside/s/1/a")
    for number in (errno.EROFS, errno.EROFS, errno.EIO, errno.EIO):
        claiming.nfs.at["link", "incoming/s/a"] = refused(number)
        assert claiming.hear(RestoreDisplaced(DisplacedFile("s", "a", "1"))) == [DisplacedSeenTo()]
    assert ["EROFS" in message for message in caplog.messages] == [True, False]


def test_at_its_start_it_tells_what_lies_in_staging(claiming: Claiming, share: Share, staging: StagingTree) -> None:
    claiming.hear(StageFile(LEFT, share.written(share.claimed("a"), bytes(BLOCK))))
    told = Told()
    claiming.claimer.on_start(told)
    size = sum(Path(path).stat().st_size for path in (staging.copy(LEFT), staging.manifest(LEFT)))
    assert told == [StagingFound(LEFT, size)]


def test_what_lies_in_staging_under_a_name_that_is_not_utf_8_is_told_as_text(claiming: Claiming, staging: StagingTree) -> None:
    """Somebody else has put it there; the Claimer has to start nonetheless."""
    odd = Path(staging.copy(FileRef(DATE, "s", "caf\udce9")))
    odd.parent.mkdir(parents=True)
    odd.write_bytes(b"what is this?")
    told = Told()
    claiming.claimer.on_start(told)
    assert told == [StagingFound(FileRef(DATE, "s", "caf\\xe9"), 13)]


def test_at_the_start_of_the_first_one_staging_need_not_be_there(claiming: Claiming) -> None:
    told = Told()
    claiming.claimer.on_start(told)
    assert told == []
