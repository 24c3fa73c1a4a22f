"""The lock of a session: one holder, whatever becomes of the file; two `Nfs` stand for two pods."""

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfsw.actors.call_board import CallBoard
from nfsw.actors.lock import LockTaken, Note, SessionLock, begun
from nfsw.actors.nfs import Nfs
from nfsw.actors.tree import NfsTree
from tests.support.descriptors import open_below
from tests.support.mortal_nfs import EventfulNfs, refused


@pytest.fixture
def other(tree: NfsTree, board: CallBoard) -> EventfulNfs:
    """The other pod's."""
    return EventfulNfs(tree, board)


@pytest.fixture
def path(tree: NfsTree) -> Path:
    return Path(tree.lock("s"))


def test_a_session_has_one_holder_at_a_time(nfs: Nfs, other: Nfs) -> None:
    held = SessionLock.take(nfs, "s")
    with pytest.raises(LockTaken):
        SessionLock.take(other, "s")
    SessionLock.take(other, "another").release(forget=True)
    held.release(forget=False)
    SessionLock.take(other, "s").release(forget=True)


def test_whoever_is_denied_learns_who_holds_it(nfs: Nfs, other: Nfs) -> None:
    held = SessionLock.take(nfs, "s")
    with pytest.raises(LockTaken) as taken:
        SessionLock.take(other, "s")
    assert taken.value.holder is None, "it has not noted its name yet"
    held.write(Note("pod-1"))
    with pytest.raises(LockTaken) as taken:
        SessionLock.take(other, "s")
    assert taken.value.holder == "pod-1"
    held.release(forget=True)


def test_to_be_denied_leaves_no_descriptor_open(nfs: Nfs, other: Nfs, tree: NfsTree) -> None:
    held = SessionLock.take(nfs, "s")
    before = open_below(tree.root)
    assert len(before) == 1
    for _ in range(3):
        with pytest.raises(LockTaken):
            SessionLock.take(other, "s")
    assert open_below(tree.root) == before
    held.release(forget=True)


def test_what_was_noted_is_there_for_the_next_holder(nfs: Nfs, other: Nfs) -> None:
    held = SessionLock.take(nfs, "s")
    assert held.note == Note()
    for note in (Note("a long name of a pod" * 5, 17.5, active=True, draining=True), Note("p", 18.5)):
        held.write(note)
    held.release(forget=False)
    held = SessionLock.take(other, "s")
    assert held.note == Note("p", 18.5)
    held.release(forget=True)


@pytest.mark.parametrize("instance", ["2", None], ids=["its own number", "none, as before there were any"])
def test_another_holder_of_the_same_name_is_another_holder(nfs: Nfs, other: Nfs, path: Path, instance: str | None) -> None:
    """Two pods with one name, and a lock that was lost while the server was away."""
    held = SessionLock.take(nfs, "s")
    held.write(Note("p", instance="1"))
    assert held.new_owner() is None
    path.write_bytes(Note("p", instance=instance).text())
    assert held.new_owner() == Note("p", instance=instance)
    held.release(forget=True)


def test_what_people_make_of_the_file_does_not_end_its_holder(nfs: Nfs, path: Path) -> None:
    held = SessionLock.take(nfs, "s")
    held.write(Note("p", instance="1"))
    path.write_bytes(b"what is this?")
    assert held.new_owner() is None
    held.release(forget=True)


def test_a_forgotten_lock_leaves_no_file(nfs: Nfs, path: Path) -> None:
    held = SessionLock.take(nfs, "s")
    held.write(Note("p"))
    held.release(forget=True)
    assert not path.exists()
    held = SessionLock.take(nfs, "s")
    assert held.note == Note()
    held.release(forget=True)


@pytest.mark.parametrize("call", ["flock", "statx"])
def test_a_lock_file_that_is_removed_while_another_waits_for_it_is_nobodys(nfs: Nfs, other: EventfulNfs, path: Path, call: str) -> None:
    """The other has opened the file, and then its holder forgets it: a lock on it would lock nothing."""
    held = SessionLock.take(nfs, "s")
    if call == "flock":
        other.at["flock", ".nfsw/sessions/s"] = lambda: held.release(forget=True)
    else:
        held.release(forget=False)
        other.at["statx", ".nfsw/sessions/s"] = path.unlink
    mine = SessionLock.take(other, "s")
    assert path.stat().st_ino == os.fstat(mine._fd).st_ino
    with pytest.raises(LockTaken):
        SessionLock.take(nfs, "s")
    mine.release(forget=True)


def test_a_file_that_somebody_else_has_made_and_locked_meanwhile_is_theirs(nfs: Nfs, other: EventfulNfs, path: Path) -> None:
    """Removed and made anew, between our lock and our look."""
    third: list[SessionLock] = []

    def replaced() -> None:
        path.unlink()
        third.append(SessionLock.take(nfs, "s"))

    other.at["statx", ".nfsw/sessions/s"] = replaced
    with pytest.raises(LockTaken):
        SessionLock.take(other, "s")
    third[0].release(forget=True)


def test_a_release_that_nfs_refuses_still_gives_the_lock_up(other: EventfulNfs, nfs: Nfs) -> None:
    """Else this process would keep it for as long as it lives, and know nothing of it."""
    held = SessionLock.take(other, "s")
    other.at["unlink", ".nfsw/sessions/s"] = refused(errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        held.release(forget=True)
    SessionLock.take(nfs, "s").release(forget=True)


@pytest.mark.parametrize("call", ["flock", "statx", "read"])
def test_a_lock_that_cannot_be_taken_leaves_nothing_locked(other: EventfulNfs, nfs: Nfs, tree: NfsTree, call: str) -> None:
    other.at[call, ".nfsw/sessions/s"] = refused(errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        SessionLock.take(other, "s")
    assert open_below(tree.root) == []
    SessionLock.take(nfs, "s").release(forget=True)


NUMBERS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers(), max_size=2))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"\0" * 100,
        b"null",
        b"[]",
        b"5",
        b'{"holder": "p"',
        b'{"unknown": 1}',
        b"\xff\xfe",
        b'{"holder": 5}',
        b'{"started_at": "x"}',
        b"[" * 4096,
        b'{"holder": "\\ud800"}',
    ],
)
def test_a_file_that_says_nothing_readable_is_as_good_as_an_empty_one(nfs: Nfs, path: Path, text: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(text)
    held = SessionLock.take(nfs, "s")
    assert held.note == Note()
    held.release(forget=True)


@given(st.dictionaries(st.sampled_from(["holder", "started_at", "active", "draining", "instance", "more"]), NUMBERS))
def test_whatever_json_is_in_the_file_a_note_has_fields_of_its_types(fields: dict[str, object]) -> None:
    note = Note.parse(json.dumps(fields).encode())
    assert note.holder is None or note.holder.isprintable()
    assert note.started_at is None or 0 <= note.started_at < 1e11
    assert isinstance(note.active, bool)
    assert isinstance(note.draining, bool)
    assert note.instance is None or isinstance(note.instance, str)


NOTES = st.builds(
    Note, st.text().filter(str.isprintable), st.floats(1, 1e10), st.booleans(), st.booleans(), st.none() | st.uuids().map(str)
)


@given(NOTES, st.text(), st.text(max_size=3))
def test_a_note_that_a_crash_left_before_it_was_cut_to_its_length_is_readable(note: Note, older: str, rest: str) -> None:
    """The new text lies over a longer one. Its own line is whole."""
    assert Note.parse(note.text() + Note(older).text() + rest.encode()) == note


@pytest.mark.parametrize(
    ("before", "started_at", "after"),
    [
        (Note(), 7.0, Note("me", 7.0, active=True, instance="1")),
        (Note("them", 5.0, active=True, instance="0"), None, Note("me", 5.0, active=True, instance="1")),
        (Note("them", 5.0, active=True, draining=True), None, Note("me", 5.0, active=True, draining=True, instance="1")),
        (Note("them", 5.0, active=True, draining=True), 7.0, Note("me", 7.0, active=True, instance="1")),
    ],
)
def test_a_session_goes_on_as_it_was_unless_it_is_started_anew(before: Note, started_at: float | None, after: Note) -> None:
    assert begun(before, "me", "1", started_at) == after


def test_a_session_of_which_nothing_is_noted_begins_now() -> None:
    assert (begun(Note(), "me", "1", None).started_at or 0) > 1_700_000_000
