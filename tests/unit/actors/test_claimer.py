"""The Claimer's messages: what it tells of each file, in which order, and that no trouble of one file ends it."""

import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nfsw.actors.board import Board
from nfsw.actors.claimer import Claimer
from nfsw.actors.config import ClaimerConfig
from nfsw.actors.envelope import Message
from nfsw.actors.files import Arrival, FileRef
from nfsw.actors.messages import (
    FileChanged,
    FileClaimed,
    FileGone,
    FileStaged,
    FileTroubled,
    NameAside,
    NameTaken,
    PutBack,
    StagingBegun,
    StagingFound,
    StagingGrew,
    Take,
    Unstaged,
)
from nfsw.actors.tree import NfsTree, StagingTree
from tests.support.mortal_nfs import ERRORS, EventfulNfs, refused
from tests.support.share import DATE, Share, fingerprint
from tests.support.told import Told

BLOCK = 1000
ARRIVAL = Arrival("s", "a")
TODAY = f"{datetime.now(UTC):%Y%m%d}"
CLAIMED = FileRef(TODAY, "s", "a")
LEFT = FileRef(DATE, "s", "a")


class Life:
    """One of a Claimer."""

    def __init__(self, tree: NfsTree, staging: StagingTree, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
        self.nfs = EventfulNfs(tree, board)
        monkeypatch.setattr("nfsw.actors.claimer.Nfs", lambda *_: self.nfs)
        self.claimer = Claimer(ClaimerConfig(tree.root, staging.root, BLOCK, 2, content_md5=False), board)

    def hear(self, message: Message) -> list[Message]:
        told = Told()
        self.claimer.on_message(message, told)
        return told


@pytest.fixture
def life(tree: NfsTree, staging: StagingTree, board: Board, monkeypatch: pytest.MonkeyPatch) -> Life:
    return Life(tree, staging, board, monkeypatch)


@pytest.fixture(autouse=True)
def _same_day() -> None:
    if f"{datetime.now(UTC):%Y%m%d}" != TODAY:
        pytest.skip("midnight has passed since these tests were loaded")


def test_an_arrival_is_claimed_for_today_and_staged(life: Life, share: Share) -> None:
    fp = share.written(share.incoming("a"), bytes(2 * BLOCK + 1))
    told = life.hear(Take(ARRIVAL, fp))
    baseline = fingerprint(share.claimed("a", date=TODAY))
    assert baseline != fp, "the claim has changed its ctime"
    assert told == [
        FileClaimed(ARRIVAL, CLAIMED, baseline),
        StagingBegun(CLAIMED, baseline),
        StagingGrew(CLAIMED, 0),
        StagingGrew(CLAIMED, BLOCK),
        StagingGrew(CLAIMED, 2 * BLOCK),
        StagingGrew(CLAIMED, 2 * BLOCK + 1),
        FileStaged(CLAIMED),
    ]
    assert share.files() == {f".processing/{TODAY}/s/a": bytes(2 * BLOCK + 1)}


def test_a_file_that_was_left_behind_is_staged_where_it_is(life: Life, share: Share) -> None:
    fp = share.written(share.claimed("a"), b"left")
    assert life.hear(Take(LEFT, fp)) == [StagingBegun(LEFT, fp), StagingGrew(LEFT, 4), FileStaged(LEFT)]


def test_one_whose_claim_was_cut_off_loses_its_second_name_first(life: Life, share: Share) -> None:
    fp = share.written(share.claimed("a"), b"left")
    share.incoming("a").parent.mkdir(parents=True)
    os.link(share.claimed("a"), share.incoming("a"))
    assert life.hear(Take(LEFT, fp)) == [FileChanged(LEFT)], "its ctime"
    told = life.hear(Take(LEFT, fingerprint(share.claimed("a"))))
    assert told[0] == StagingBegun(LEFT, fingerprint(share.claimed("a")))
    assert told[-1] == FileStaged(LEFT)
    assert share.files() == {f".processing/{DATE}/s/a": b"left"}


def test_what_is_staged_already_is_told_at_once(life: Life, share: Share) -> None:
    fp = share.written(share.claimed("a"), bytes(BLOCK))
    life.hear(Take(LEFT, fp))
    assert life.hear(Take(LEFT, fp)) == [StagingBegun(LEFT, fp), StagingGrew(LEFT, BLOCK), FileStaged(LEFT)]


def test_afresh_is_from_the_beginning(life: Life, share: Share) -> None:
    fp = share.written(share.claimed("a"), bytes(BLOCK))
    life.hear(Take(LEFT, fp))
    assert life.hear(Take(LEFT, fp, afresh=True)) == [
        StagingBegun(LEFT, fp),
        StagingGrew(LEFT, BLOCK),
        FileStaged(LEFT),
    ]


@pytest.mark.parametrize("name", ["a", "a.completed"])
def test_an_arrival_whose_name_is_taken_waits(life: Life, share: Share, name: str) -> None:
    fp = share.written(share.incoming("a"))
    share.written(share.claimed(name, date=TODAY), b"older")
    assert life.hear(Take(ARRIVAL, fp)) == [NameTaken(ARRIVAL)]


def test_an_arrival_that_changed_is_told(life: Life, share: Share) -> None:
    fp = share.written(share.incoming("a"))
    share.written(share.incoming("a"), b"changed")
    assert life.hear(Take(ARRIVAL, fp)) == [FileChanged(ARRIVAL)]


def test_an_arrival_that_has_gone_is_told(life: Life, share: Share) -> None:
    fp = share.written(share.incoming("a"))
    share.incoming("a").unlink()
    assert life.hear(Take(ARRIVAL, fp)) == [FileGone(ARRIVAL)]


def test_a_claimed_file_that_changed_is_told_and_is_staged_when_it_rests(life: Life, share: Share) -> None:
    fp = share.written(share.claimed("a"))
    changed = share.written(share.claimed("a"), b"changed")
    assert life.hear(Take(LEFT, fp)) == [FileChanged(LEFT)]
    assert life.hear(Take(LEFT, changed))[-1] == FileStaged(LEFT)


def test_a_claimed_file_that_has_gone_is_told(life: Life, share: Share) -> None:
    fp = share.written(share.claimed("a"))
    share.claimed("a").unlink()
    assert life.hear(Take(LEFT, fp)) == [FileGone(LEFT)]


def test_one_that_goes_while_it_is_staged_is_told(life: Life, share: Share) -> None:
    fp = share.written(share.claimed("a"), bytes(2 * BLOCK))
    life.nfs.at["open", f".processing/{DATE}/s/a"] = share.claimed("a").unlink
    assert life.hear(Take(LEFT, fp)) == [FileGone(LEFT)]


def test_a_folder_in_an_arrivals_place_is_a_change_and_stays(life: Life, share: Share) -> None:
    fp = share.written(share.incoming("a"))
    share.incoming("a").unlink()
    share.incoming("a").mkdir()
    assert life.hear(Take(ARRIVAL, fp)) == [FileChanged(ARRIVAL)]
    assert share.incoming("a").is_dir()


@pytest.mark.parametrize("code", ERRORS)
def test_an_error_at_any_call_is_told_of_the_file_and_ends_nothing(life: Life, share: Share, code: int) -> None:
    """Once it is claimed, under its new name: that is the one that is tried again."""
    troubles = 0
    for number in range(40):
        fp = share.written(share.incoming("a"), b"content %d" % number)
        life.nfs.before = {len(life.nfs.calls) + number: refused(code)}
        told = life.hear(Take(ARRIVAL, fp))
        troubled = [message for message in told if isinstance(message, FileTroubled)]
        if troubled:
            troubles += 1
            assert troubled == told[-1:]
            assert errno.errorcode[code] in troubled[0].error
            assert troubled[0].file == (CLAIMED if any(isinstance(message, FileClaimed) for message in told) else ARRIVAL)
        else:
            assert told[-1] == FileStaged(CLAIMED)
        life.nfs.before.clear()
        seen = share.claimed("a", date=TODAY)
        if seen.exists():
            assert life.hear(Take(CLAIMED, fingerprint(seen)))[-1] == FileStaged(CLAIMED)
            seen.unlink()
        else:
            share.incoming("a").unlink()
        assert share.files() == {}
    assert 10 <= troubles < 40


def test_trouble_of_the_staging_disk_is_told_as_such(life: Life, share: Share, staging: StagingTree) -> None:
    Path(staging.root).write_bytes(b"")
    told = life.hear(Take(LEFT, share.written(share.claimed("a"))))
    assert isinstance(told[-1], FileTroubled)
    assert told[-1].error.startswith("staging disk: ")


@pytest.mark.parametrize(
    ("number", "kept"), [(errno.ENOSPC, False), (errno.EDQUOT, False), (errno.EIO, True)], ids=["full", "quota", "EIO"]
)
def test_only_a_full_disk_gets_back_what_was_staged_of_the_file(
    life: Life, share: Share, staging: StagingTree, monkeypatch: pytest.MonkeyPatch, number: int, kept: bool
) -> None:
    """Parts of several files could fill it for good, though each of them alone would fit."""
    write = os.pwrite

    def refuse_the_second_block(fd: int, data: memoryview, offset: int) -> int:
        if offset >= BLOCK:
            raise OSError(number, os.strerror(number))
        return write(fd, data, offset)

    monkeypatch.setattr("os.pwrite", refuse_the_second_block)
    told = life.hear(Take(LEFT, share.written(share.claimed("a"), bytes(3 * BLOCK))))
    assert isinstance(told[-1 if kept else -2], FileTroubled)
    assert (Unstaged(LEFT) in told) is not kept
    assert Path(staging.copy(LEFT)).exists() is kept


def test_what_dead_claimers_left_empty_goes_so_that_looks_do_not_grow_with_restarts(
    tree: NfsTree, staging: StagingTree, board: Board, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    asides = Path(tree.asides("s"))

    def another_life(name: str) -> None:
        life = Life(tree, staging, board, monkeypatch)
        for arrival in (Arrival("s", f"{name} 1"), Arrival("s", f"{name} 2")):
            life.hear(Take(arrival, share.written(share.incoming(arrival.name))))

    another_life("first")
    left = next(asides.iterdir()) / "aside"
    left.write_bytes(b"left by a crash")
    for name in ("second", "third", "fourth"):
        another_life(name)
    assert len(list(asides.iterdir())) == 2, "the one that is not empty, and the last life's"
    assert left.exists()


def test_a_name_aside_is_put_back(life: Life, share: Share) -> None:
    share.written(share.root / ".nfsw/aside/s/1/a")
    assert life.hear(PutBack(NameAside("s", "a", "1"))) == []
    assert share.files() == {"incoming/s/a": b"content"}


def test_a_name_aside_that_cannot_be_put_back_is_logged_once_for_each_reason(
    life: Life, share: Share, caplog: pytest.LogCaptureFixture
) -> None:
    share.written(share.root / ".nfsw/aside/s/1/a")
    for number in (errno.EROFS, errno.EROFS, errno.EIO, errno.EIO):
        life.nfs.at["link", "incoming/s/a"] = refused(number)
        assert life.hear(PutBack(NameAside("s", "a", "1"))) == []
    assert ["EROFS" in message for message in caplog.messages] == [True, False]


def test_at_its_start_it_tells_what_lies_in_staging(life: Life, share: Share, staging: StagingTree) -> None:
    life.hear(Take(LEFT, share.written(share.claimed("a"), bytes(BLOCK))))
    told = Told()
    life.claimer.on_start(told)
    size = sum(Path(path).stat().st_size for path in (staging.copy(LEFT), staging.manifest(LEFT)))
    assert told == [StagingFound(LEFT, size)]


def test_at_the_start_of_the_first_one_staging_need_not_be_there(life: Life) -> None:
    told = Told()
    life.claimer.on_start(told)
    assert told == []
