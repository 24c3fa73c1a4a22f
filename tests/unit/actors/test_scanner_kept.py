"""Kept files and the Scanner: they keep no session from its end, a file of their name waits, and a session that is over stays so."""

from datetime import datetime, tzinfo

import pytest

from nfsw.actors import scanner
from nfsw.actors.call_board import CallBoard
from nfsw.actors.files import Arrival, FileRef
from nfsw.actors.kept import remove_folder_of_notes, remove_note, write_note
from nfsw.actors.lock import Note, SessionLock
from nfsw.actors.messages import NamesTaken
from nfsw.actors.nfs import Nfs
from tests.support.faketime import FakeClock
from tests.support.share import DATE, Share, fingerprint
from tests.support.watching import Watching


@pytest.fixture
def watching(share: Share, board: CallBoard, clock: FakeClock) -> Watching:
    (share.root / "incoming").mkdir()
    return Watching(str(share.root), board, clock)


def keep(nfs: Nfs, share: Share, name: str = "a", session: str = "s", date: str = DATE) -> FileRef:
    file = FileRef(date, session, name)
    path = share.claimed(f"{name}.completed", session, date)
    share.written(path)
    write_note(nfs, file, fingerprint(path))
    return file


def noted(nfs: Nfs, session: str, note: Note) -> None:
    lock = SessionLock.take(nfs, session)
    lock.write(note)
    lock.release(forget=False)


def found(watching: Watching) -> dict[str, tuple[bool, bool]]:
    """By session: whether there is a file that it cannot end without, and whether it is over."""
    return {one.name: (one.files, one.over) for one in watching.looked()}


@pytest.mark.parametrize("held", [True, False])
def test_a_kept_file_is_not_in_the_way_and_a_mark_without_a_note_is(watching: Watching, nfs: Nfs, share: Share, *, held: bool) -> None:
    watching.watch("s" if held else None)
    noted(nfs, "s", Note("pod", 1.0, active=True))
    file = keep(nfs, share)
    keep(nfs, share, "run/1/b")
    assert found(watching) == {"s": (False, False)}
    remove_note(nfs, file)
    assert found(watching) == {"s": (True, False)}


@pytest.mark.parametrize("name", ["a", "run/1/a"])
def test_another_file_beside_kept_ones_is_in_the_way(watching: Watching, nfs: Nfs, share: Share, name: str) -> None:
    keep(nfs, share, "k")
    share.written(share.claimed(name))
    assert found(watching) == {"s": (True, False)}


@pytest.mark.parametrize("note", [None, Note("pod", 1.0, active=True, draining=True)])
def test_a_session_that_is_over_is_not_found_for_its_kept_files(watching: Watching, nfs: Nfs, share: Share, note: Note | None) -> None:
    watching.watch(None)
    if note:
        noted(nfs, "s", note)
    keep(nfs, share)
    (share.claimed("", date="20260130")).mkdir(parents=True)
    assert found(watching) == {}


def test_it_is_found_as_over_when_one_of_them_is_to_be_sent_again(watching: Watching, nfs: Nfs, share: Share) -> None:
    watching.watch(None)
    noted(nfs, "s", Note("pod", 1.0, active=True, draining=True))
    remove_note(nfs, keep(nfs, share))
    assert found(watching) == {"s": (True, True)}


def test_a_folder_that_is_empty_but_for_its_folder_of_notes_is_no_record(watching: Watching, nfs: Nfs, share: Share) -> None:
    """As a crash leaves it between the last kept file and the folders."""
    watching.watch(None)
    file = keep(nfs, share)
    share.claimed("a.completed").unlink()
    remove_note(nfs, file)
    assert found(watching) == {}
    remove_folder_of_notes(nfs, DATE, "s")
    assert found(watching) == {"s": (False, False)}, "without kept files, a folder records its session"


def test_a_session_whose_lock_cannot_be_read_is_not_made_active(
    watching: Watching, nfs: Nfs, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching.watch(None)
    keep(nfs, share)

    def refuses(*_: object) -> None:
        raise OSError(5, "Input/output error", "lock")

    monkeypatch.setattr("nfsw.actors.kept_marks.noted", refuses)
    assert found(watching) == {}


def test_a_folder_of_kept_files_that_has_settled_is_not_read_at_each_look(
    watching: Watching, nfs: Nfs, share: Share, tree_calls: list[str]
) -> None:
    watching.watch(None)
    noted(nfs, "s", Note("pod", 1.0, active=True))
    for number in range(5):
        keep(nfs, share, f"{number}")
    for _ in range(6):
        assert found(watching) == {"s": (False, False)}
    tree_calls.clear()
    assert found(watching) == {"s": (False, False)}
    assert f"scandir .processing/{DATE}/s" not in tree_calls
    share.written(share.claimed("new"))
    assert found(watching) == {"s": (True, False)}


@pytest.fixture
def tree_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the board is told of calls."""
    calls: list[str] = []
    enter = CallBoard.enter

    def noting(self: CallBoard, slot: int, what: str) -> None:
        calls.append(what)
        enter(self, slot, what)

    monkeypatch.setattr(CallBoard, "enter", noting)
    return calls


# --- A new file that has the name of a kept one ---


def on(day: int) -> type[datetime]:
    """A clock that stands on that day of January 2026."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Clock":
            return cls(2026, 1, day, tzinfo=tz)

    return Clock


@pytest.fixture
def today(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(scanner, "datetime", on(31))
    return DATE


def test_it_waits_with_its_reason_and_is_not_reported(watching: Watching, nfs: Nfs, share: Share, today: str) -> None:
    file = keep(nfs, share, date=today)
    share.written(share.incoming("a"), b"the next")
    share.written(share.incoming("b"))
    assert watching.stable(30) == ["b"]
    assert watching.rule() is not None
    share.claimed("a.completed").unlink()
    remove_note(nfs, file)
    assert watching.stable(10) == ["a"]


def test_how_many_wait_and_since_when_is_told_once(watching: Watching, nfs: Nfs, share: Share, today: str) -> None:
    for name in ("a", "b"):
        keep(nfs, share, name, date=today)
        share.written(share.incoming(name), b"the next")
    told = [message for message in watching.ticks(60) if isinstance(message, NamesTaken)]
    assert [message.count for message in told] == [2]
    assert told[0].oldest in (Arrival("s", "a"), Arrival("s", "b"))
    assert told[0].since > 0


def test_it_is_asked_about_more_and_more_rarely(watching: Watching, nfs: Nfs, share: Share, today: str, tree_calls: list[str]) -> None:
    keep(nfs, share, date=today)
    share.written(share.incoming("a"), b"the next")
    watching.ticks(600)
    tree_calls.clear()
    assert watching.stable(600) == []
    asked = [call for call in tree_calls if call == f"statx .processing/{DATE}/s/a.completed"]
    assert 1 <= len(asked) <= 20, "at every look it would be 300"
    assert "open incoming/s/a" not in tree_calls


def test_a_kept_file_of_another_day_keeps_nobody_waiting(watching: Watching, nfs: Nfs, share: Share, today: str) -> None:
    assert today != "20260130"
    keep(nfs, share, date="20260130")
    share.written(share.incoming("a"), b"the next")
    assert watching.stable(10) == ["a"]


def test_it_is_taken_when_the_day_changes(watching: Watching, nfs: Nfs, share: Share, today: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(nfs, share, date=today)
    share.written(share.incoming("a"), b"the next")
    assert watching.stable(10) == []
    monkeypatch.setattr(scanner, "datetime", on(30))
    assert watching.stable(10) == ["a"]


def test_one_that_goes_away_while_it_waits_is_forgotten(watching: Watching, nfs: Nfs, share: Share, today: str) -> None:
    keep(nfs, share, date=today)
    share.written(share.incoming("a"), b"the next")
    assert [message.count for message in watching.ticks(10) if isinstance(message, NamesTaken)] == [1]
    share.incoming("a").unlink()
    assert NamesTaken(0) in watching.ticks(10)
