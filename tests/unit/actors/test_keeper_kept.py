"""The Keeper and kept files: a session ends while they are there, and is over for whoever holds it next."""

import logging
import os

import pytest

from nfsw.actors.call_board import CallBoard
from nfsw.actors.config import KeeperConfig
from nfsw.actors.files import FileRef
from nfsw.actors.keeper import Keeper
from nfsw.actors.kept import remove_note, write_note
from nfsw.actors.lock import noted
from nfsw.actors.messages import AcquireLock, MarkStopped, ReleaseLock, SessionHeld, SessionReleased
from nfsw.actors.nfs import Nfs
from nfsw.actors.tree import NfsTree
from tests.support.share import DATE, Share, fingerprint
from tests.support.told import Told

START = AcquireLock("s", record=True, started_at=1000.0)


@pytest.fixture
def keeper(tree: NfsTree, board: CallBoard) -> Keeper:
    keeper = Keeper(KeeperConfig(tree.root, "pod-a"), board)
    keeper.on_message(START, Told())
    return keeper


@pytest.fixture
def kept(nfs: Nfs, share: Share) -> FileRef:
    file = FileRef(DATE, "s", "run/1/a")
    path = share.claimed("run/1/a.completed")
    share.written(path)
    write_note(nfs, file, fingerprint(path))
    return file


def ends(keeper: Keeper) -> object:
    keeper.on_message(MarkStopped("s"), Told())
    return keeper.on_message(ReleaseLock("s", forget=True), Told())


def test_a_session_ends_while_files_are_kept_and_its_lock_file_says_that_it_is_over(
    keeper: Keeper, kept: FileRef, nfs: Nfs, share: Share, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert ends(keeper) == SessionReleased(kept=True)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING], "that is as it should be"
    assert share.claimed("run/1/a.completed").exists()
    note = noted(nfs, "s")
    assert note
    assert note.draining
    assert keeper.on_message(AcquireLock("s", record=False), Told()) == SessionHeld(1000.0, draining=True, recorded=True)
    assert kept.session == "s"


def test_folders_of_other_days_go(keeper: Keeper, kept: FileRef, share: Share) -> None:
    assert kept.date == DATE
    share.claimed("", date="20260101").mkdir(parents=True)
    ends(keeper)
    assert sorted(os.listdir(share.root / ".processing")) == [DATE]


def test_a_mark_without_a_note_is_said_as_what_nobody_expects(
    keeper: Keeper, kept: FileRef, nfs: Nfs, caplog: pytest.LogCaptureFixture
) -> None:
    remove_note(nfs, kept)
    assert ends(keeper) == SessionReleased(kept=True)
    assert "a folder of the session stays" in caplog.text


def test_it_is_started_again_as_any_other(keeper: Keeper, kept: FileRef, nfs: Nfs) -> None:
    ends(keeper)
    assert keeper.on_message(AcquireLock("s", record=True, started_at=2000.0), Told()) == SessionHeld(2000.0, draining=False, recorded=True)
    note = noted(nfs, kept.session)
    assert note
    assert note.active
    assert not note.draining
