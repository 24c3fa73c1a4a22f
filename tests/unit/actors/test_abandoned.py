"""The notes about claimed files that an operator has given up on."""

import errno
import json
import os

import pytest

from nfsw.actors.abandoned import AbandonedFiles, abandon
from nfsw.actors.call_board import CallBoard
from nfsw.actors.files import FileRef
from nfsw.actors.messages import FileRefused, RefusalLifted
from nfsw.actors.tree import NfsTree
from tests.support.abandoned import noted
from tests.support.mortal_nfs import EventfulNfs, refused
from tests.support.share import DATE, Share
from tests.support.told import Told

A = FileRef(DATE, "s", "a")
NOTE = f".nfsw/abandoned/{DATE}/s/a"


@pytest.fixture
def nfs(tree: NfsTree, board: CallBoard) -> EventfulNfs:
    return EventfulNfs(tree, board)


@pytest.fixture
def abandoned(nfs: EventfulNfs) -> AbandonedFiles:
    return AbandonedFiles(nfs)


def test_while_there_are_no_notes_a_look_is_one_call(nfs: EventfulNfs, abandoned: AbandonedFiles) -> None:
    assert noted(abandoned) == {}
    assert len(nfs.calls) == 1


def test_a_file_is_abandoned_while_its_note_is_there(share: Share, nfs: EventfulNfs, abandoned: AbandonedFiles) -> None:
    share.written(share.claimed("a"))
    assert abandon(nfs, A, "its bytes can never be staged")
    for _ in range(2):
        assert noted(abandoned) == {A: "its bytes can never be staged"}
    (share.root / NOTE).unlink()
    assert noted(abandoned) == {}


def test_it_stays_abandoned_when_it_is_written_to_but_another_file_of_its_name_is_not(
    share: Share, nfs: EventfulNfs, abandoned: AbandonedFiles
) -> None:
    share.written(share.claimed("a"))
    abandon(nfs, A, "no")
    share.written(share.claimed("a"), b"longer than before")
    assert noted(abandoned) == {A: "no"}
    share.replaced(share.claimed("a"), b"another")
    assert noted(abandoned) == {}
    abandon(nfs, A, "nor this one")
    assert noted(abandoned) == {A: "nor this one"}
    share.claimed("a").unlink()
    assert noted(abandoned) == {}


def test_what_is_not_there_cannot_be_abandoned(share: Share, nfs: EventfulNfs) -> None:
    assert not abandon(nfs, A, "no")
    assert share.files() == {}


def test_a_reason_of_any_length_and_any_characters_is_readable(share: Share, nfs: EventfulNfs, abandoned: AbandonedFiles) -> None:
    share.written(share.claimed("a"))
    reason = "\udce9\n\U0001f4a9\u202e" * 1000
    abandon(nfs, A, reason)
    [text] = noted(abandoned).values()
    assert len(text) >= 100
    assert reason.replace("\udce9", "?").startswith(text)


def test_a_reason_that_no_message_can_carry_is_told_as_text(share: Share, abandoned: AbandonedFiles, told: Told) -> None:
    """Half of a character, as JSON may have it: whoever edits a note must not end the Scanner again and again."""
    inode = share.written(share.claimed("a")).inode
    share.written(share.root / NOTE, b'{"inode": %d, "reason": "no \\ud83d"}' % inode)
    abandoned.look()
    abandoned.tell_refused(told)
    assert told == [FileRefused(A, "abandoned: no ?", abandoned=True)]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"5",
        b"\xff",
        b"[" * 4000,
        b'{"inode": "1", "reason": "x"}',
        b'{"inode": true, "reason": "x"}',
        b'{"inode": 1}',
    ],
)
def test_a_note_that_cannot_be_read_is_none(share: Share, abandoned: AbandonedFiles, text: bytes) -> None:
    share.written(share.claimed("a"))
    share.written(share.root / NOTE, text)
    assert noted(abandoned) == {}


def test_what_else_lies_among_the_notes_is_left_alone(share: Share, abandoned: AbandonedFiles) -> None:
    inode = share.written(share.claimed("a")).inode
    text = json.dumps({"inode": inode, "reason": "no"}).encode()
    elsewhere = share.root / "elsewhere"
    elsewhere.write_bytes(text)
    (share.root / NOTE).parent.mkdir(parents=True)
    (share.root / NOTE).symlink_to(elsewhere)
    os.mkfifo(share.root / f".nfsw/abandoned/{DATE}/s/fifo")
    share.written(share.root / ".nfsw/abandoned/not a date/s/a", text)
    share.written(share.root / f".nfsw/abandoned/{DATE}/a file", text)
    assert noted(abandoned) == {}


def test_what_is_abandoned_is_told_once_and_when_it_is_not_any_more(
    share: Share, nfs: EventfulNfs, abandoned: AbandonedFiles, told: Told
) -> None:
    for name in "ab":
        share.written(share.claimed(name))
    abandon(nfs, A, "no")
    for _ in range(2):
        abandoned.look()
        abandoned.tell_lifted(told)
        abandoned.tell_refused(told)
    assert told.taken() == [FileRefused(A, "abandoned: no", abandoned=True)]
    assert abandoned.names(DATE, "s", "") == {"a"}
    assert abandoned.names(DATE, "t", "") == abandoned.names("20260201", "s", "") == abandoned.names(DATE, "s", "a/") == set()
    (share.root / NOTE).unlink()
    abandoned.look()
    abandoned.tell_lifted(told)
    abandoned.tell_refused(told)
    assert told.taken() == [RefusalLifted(A)]


def test_notes_that_cannot_be_read_are_as_they_were(share: Share, nfs: EventfulNfs, abandoned: AbandonedFiles) -> None:
    share.written(share.claimed("a"))
    abandon(nfs, A, "no")
    noted(abandoned)
    nfs.at["scandir", ".nfsw/abandoned"] = refused(errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        abandoned.look()
    assert abandoned.names(DATE, "s", "") == {"a"}
