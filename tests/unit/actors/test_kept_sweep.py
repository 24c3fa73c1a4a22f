"""Kept files: deleted when they are due and not before, by the server's clock, whoever does it; a changed one is sent again."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nfsw.actors import kept_files, kept_sweep
from nfsw.actors.call_board import CallBoard
from nfsw.actors.files import FileRef, Fingerprint
from nfsw.actors.kept import read_note, sweeping
from nfsw.actors.lock import Note, SessionLock
from nfsw.actors.messages import Changed, Completed, CompleteFile, FilesKept, ReportAgain, RuleFound, StillOpen, Unstaged
from nfsw.actors.nfs import Nfs
from nfsw.actors.stability import Rule
from nfsw.actors.staging_folder import staged_files
from nfsw.actors.tree import NfsTree, StagingTree
from tests.support.collecting import FILE, SENT, Collecting
from tests.support.mortal_nfs import Killed, killed, refused
from tests.support.share import DATE, Share, fingerprint

KEEP_S = 3600.0
MARK = f".processing/{DATE}/s/a.completed"
NOTE = f".nfsw/kept/{DATE}/s/a.completed"


class Clock:
    """The server's, as the sweep reads it: `ahead_s` seconds ahead of the files' own times."""

    ahead_s = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()

    @contextmanager
    def sweeping_later(nfs: Nfs) -> Iterator[tuple[bool, int]]:
        with sweeping(nfs) as (alone, now_ns):
            yield alone, now_ns + round(clock.ahead_s * 1e9)

    monkeypatch.setattr(kept_sweep, "sweeping", sweeping_later)
    return clock


@pytest.fixture
def collecting(
    share: Share, tree: NfsTree, staging: StagingTree, board: CallBoard, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> Collecting:
    assert clock.ahead_s == 0
    return Collecting(share, tree, staging, board, monkeypatch, keep_s=KEEP_S)


def kept(collecting: Collecting, file: FileRef = FILE, content: bytes = SENT) -> Fingerprint:
    """What the mark is then."""
    assert isinstance(collecting.hear(CompleteFile(file, collecting.sent(file, content)))[-1], Completed)
    return fingerprint(collecting.share.claimed(f"{file.name}.completed", file.session, file.date))


def claimed_files(share: Share) -> set[str]:
    return {path for path in share.files() if path.startswith(".processing/")}


def nothing_is_left(share: Share, tree: NfsTree) -> bool:
    return not claimed_files(share) and not os.path.exists(tree.kept_notes(DATE, "s"))


def test_a_completed_file_is_kept_with_a_note_and_its_staged_copy_goes(
    collecting: Collecting, share: Share, staging: StagingTree, tree: NfsTree, board: CallBoard
) -> None:
    (reply,) = collecting.hear(CompleteFile(FILE, collecting.sent()))
    assert isinstance(reply, Completed)
    assert reply.marked_at is not None
    assert reply.unstaged
    assert reply.kept == FilesKept(1, len(SENT))
    assert share.files()[MARK] == SENT
    assert read_note(Nfs(tree, board), FILE) == fingerprint(share.root / MARK)
    assert staged_files(staging) == []


def test_it_is_deleted_when_it_is_due_and_not_before(collecting: Collecting, share: Share, tree: NfsTree, clock: Clock) -> None:
    kept(collecting)
    clock.ahead_s = KEEP_S - 1
    assert collecting.sweep() == [FilesKept(1, len(SENT))]
    assert MARK in share.files()
    clock.ahead_s = KEEP_S
    assert collecting.sweep() == [FilesKept(0, 0)]
    assert nothing_is_left(share, tree)


def test_to_the_nanosecond(collecting: Collecting, share: Share, monkeypatch: pytest.MonkeyPatch) -> None:
    due_ns = kept(collecting).ctime_ns + round(KEEP_S * 1e9)
    for now_ns, there in ((due_ns - 1, True), (due_ns, False)):

        @contextmanager
        def sweeping_then(_: Nfs, now_ns: int = now_ns) -> Iterator[tuple[bool, int]]:
            yield True, now_ns

        monkeypatch.setattr(kept_sweep, "sweeping", sweeping_then)
        collecting.sweep()
        assert (MARK in share.files()) is there


def test_the_next_tick_comes_when_a_file_is_due_if_that_is_before_the_next_sweep(collecting: Collecting, clock: Clock) -> None:
    kept(collecting)
    collecting.sweep()
    assert collecting.collector.interval == pytest.approx(30, abs=1)
    clock.ahead_s = KEEP_S - 10
    collecting.sweep()
    assert collecting.collector.interval == pytest.approx(10, abs=1)
    collecting.sweep()
    assert collecting.collector.interval == pytest.approx(10, abs=1), "the early tick does not put the sweep off"
    clock.ahead_s = KEEP_S
    collecting.sweep()
    assert collecting.collector.interval == pytest.approx(30, abs=1)


def test_a_restart_neither_restarts_nor_shortens_the_time(
    collecting: Collecting, share: Share, staging: StagingTree, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(collecting)
    monkeypatch.setattr("time.time", lambda: 9e9)  # the pod's own clock counts for nothing
    clock.ahead_s = KEEP_S - 1
    collecting.restart()
    assert collecting.sweep() == [FilesKept(1, len(SENT))]
    assert MARK in share.files()
    clock.ahead_s = KEEP_S
    collecting.restart()
    assert collecting.sweep() == []
    assert claimed_files(share) == set()
    assert staged_files(staging) == []


@pytest.mark.parametrize(("keep_s", "there"), [(0.0, False), (KEEP_S * 3, True), (KEEP_S / 3, False)])
def test_a_changed_setting_holds_for_what_is_kept_already(
    collecting: Collecting, share: Share, clock: Clock, keep_s: float, *, there: bool
) -> None:
    kept(collecting)
    clock.ahead_s = KEEP_S / 2
    collecting.keep_s = keep_s
    collecting.restart()
    collecting.sweep()
    assert (MARK in share.files()) is there


def test_the_oldest_goes_first(collecting: Collecting, monkeypatch: pytest.MonkeyPatch, share: Share, clock: Clock) -> None:
    monkeypatch.setattr(kept_sweep, "_MOST_ENDED", 2)
    times = {}
    for name in ("c", "a", "d", "b"):
        before = kept(collecting, FileRef(DATE, "s", name)).ctime_ns
        while (now := share.written(share.root / "tick").ctime_ns) == before:
            pass  # until the kernel's clock has moved on
        times[name] = now
    clock.ahead_s = KEEP_S
    collecting.restart()
    collecting.sweep()
    assert claimed_files(share) == {f".processing/{DATE}/s/{name}.completed" for name in ("d", "b")}
    assert collecting.collector.interval == pytest.approx(0.1), "the next step comes soon"
    collecting.sweep()
    assert claimed_files(share) == set()


def test_with_many_files_a_sweep_looks_at_few(collecting: Collecting, share: Share, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr(kept_files, "LOOKS", 10)
    monkeypatch.setattr(kept_files, "LOOKS_AGAIN", 5)
    for number in range(40):
        kept(collecting, FileRef(DATE, "s", f"{number}"))
    collecting.restart()
    steps = 0
    while not steps or collecting.collector.interval == pytest.approx(0.1):
        steps += 1
        collecting.nfs.calls.clear()
        collecting.sweep()
        assert collecting.nfs.calls.count("statx") <= 20
    assert steps == 4
    collecting.collector._sweep_at = None
    collecting.nfs.calls.clear()
    assert collecting.sweep() == []
    assert len(collecting.nfs.calls) < 30, "what is known is not looked at again, but for a few"
    clock.ahead_s = KEEP_S
    collecting.sweep()
    assert claimed_files(share) == set()


def test_no_more_are_remembered_than_may_be_and_all_are_deleted(
    collecting: Collecting, share: Share, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(kept_files, "MOST_REMEMBERED", 5)
    for number in range(12):
        kept(collecting, FileRef(DATE, "s", f"{number:02}"))
    collecting.restart()
    (told,) = collecting.sweep()
    assert isinstance(told, FilesKept)
    assert told.count == 12
    clock.ahead_s = KEEP_S
    for _ in range(2):
        collecting.collector._sweep_at = None
        collecting.sweep()
    assert claimed_files(share) == set()


@pytest.mark.parametrize("due", [False, True])
def test_one_that_has_changed_is_given_back(collecting: Collecting, share: Share, tree: NfsTree, clock: Clock, *, due: bool) -> None:
    kept(collecting)
    collecting.sweep()
    before = fingerprint(share.root / MARK)
    while fingerprint(share.root / MARK) == before:
        (share.root / MARK).write_bytes(b"changed later")
    clock.ahead_s = KEEP_S if due else 0
    collecting.collector._sweep_at = None
    assert collecting.sweep() == [FilesKept(0, 0), ReportAgain(FILE)]
    assert share.files()[f".processing/{DATE}/s/a"] == b"changed later"
    assert not os.path.exists(tree.kept_note(FILE))


def test_one_that_is_open_for_writing_when_it_is_due_is_given_back(collecting: Collecting, share: Share, clock: Clock) -> None:
    kept(collecting)
    clock.ahead_s = KEEP_S
    with (share.root / MARK).open("ab"):
        assert collecting.sweep() == [ReportAgain(FILE)]
    assert claimed_files(share) == {f".processing/{DATE}/s/a"}


def test_one_that_is_open_for_writing_when_it_is_marked_is_not_kept(collecting: Collecting, share: Share) -> None:
    sent = collecting.sent()
    with share.claimed("a").open("ab"):
        assert collecting.hear(CompleteFile(FILE, sent)) == [StillOpen()]
    assert claimed_files(share) == {f".processing/{DATE}/s/a"}


def test_a_mark_without_a_note_is_given_back_and_not_kept(collecting: Collecting, share: Share, tree: NfsTree) -> None:
    kept(collecting)
    os.unlink(tree.kept_note(FILE))
    assert collecting.sweep() == [ReportAgain(FILE)]
    assert claimed_files(share) == {f".processing/{DATE}/s/a"}


@pytest.mark.parametrize("text", [b"", b"junk", b'{"size": 24, "mtime_ns": 1, "inode": 2, "ctime_ns": 3}'])
def test_a_note_that_proves_nothing_costs_a_reading_and_no_file(
    collecting: Collecting, share: Share, tree: NfsTree, clock: Clock, text: bytes
) -> None:
    kept(collecting)
    Path(tree.kept_note(FILE)).write_bytes(text)
    clock.ahead_s = KEEP_S
    collecting.restart()
    for _ in range(2):
        collecting.collector._sweep_at = None
        collecting.sweep()
    assert SENT in share.files().values()
    assert claimed_files(share) <= {f".processing/{DATE}/s/a", MARK}


def test_killed_before_the_note_the_manifest_proves_it_and_it_is_kept_from_its_mark_on(
    collecting: Collecting, share: Share, staging: StagingTree, clock: Clock
) -> None:
    sent = collecting.sent()
    dies_before(collecting, "rename", ".nfsw/probes/", sent)
    marked = fingerprint(share.root / MARK)
    assert NOTE not in share.files()
    assert staged_files(staging) != []
    assert collecting.sweep() == [Unstaged(FILE)]
    assert fingerprint(share.root / MARK) == marked
    assert NOTE in share.files()
    assert staged_files(staging) == []
    clock.ahead_s = KEEP_S
    collecting.collector._sweep_at = None
    collecting.sweep()
    assert claimed_files(share) == set()


def dies_before(collecting: Collecting, call: str, path: str, sent: Fingerprint) -> None:
    """At the first call of the kind for a path that begins so."""
    announced = collecting.nfs.call

    @contextmanager
    def call_or_die(what: str, where: str) -> Iterator[None]:
        if what == call and collecting.nfs.tree.printable(where).startswith(path):
            raise Killed
        with announced(what, where):
            yield

    collecting.nfs.call = call_or_die  # type: ignore[method-assign,assignment]
    with pytest.raises(Killed):
        collecting.hear(CompleteFile(FILE, sent))
    collecting.restart()


@pytest.mark.parametrize("number", range(19))
def test_killed_at_any_call_of_the_completion_it_is_kept_in_the_end(
    collecting: Collecting, share: Share, staging: StagingTree, tree: NfsTree, clock: Clock, number: int
) -> None:
    sent = collecting.sent()
    collecting.nfs.before[number] = killed
    try:
        collecting.hear(CompleteFile(FILE, sent))
    except Killed:
        collecting.restart()
        collecting.sweep()
        if share.claimed("a").exists():  # it was not marked, or not proven: it is found, and sent again, which is nothing
            assert isinstance(collecting.hear(CompleteFile(FILE, fingerprint(share.claimed("a"))))[-1], Completed)
    assert share.files()[MARK] == SENT
    assert NOTE in share.files()
    collecting.sweep()
    assert staged_files(staging) == []
    clock.ahead_s = KEEP_S
    collecting.restart()
    collecting.sweep()
    assert nothing_is_left(share, tree)


@pytest.mark.parametrize("number", range(27))
def test_killed_at_any_call_of_the_sweep_the_next_one_ends_it(
    collecting: Collecting, share: Share, tree: NfsTree, clock: Clock, number: int
) -> None:
    kept(collecting)
    clock.ahead_s = KEEP_S
    collecting.restart()
    collecting.hold("s", recorded=())
    collecting.nfs.before[number] = killed
    try:
        collecting.sweep()
    except Killed:
        collecting.restart()
        collecting.hold("s", recorded=())
    collecting.nfs.before.clear()
    for _ in range(2):
        collecting.collector._sweep_at = None
        collecting.sweep()
    assert nothing_is_left(share, tree)
    assert f".processing/{DATE}/s" not in share.folders()


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("number", range(24))
def test_an_error_at_any_call_of_the_sweep_loses_nothing_and_the_next_one_ends_it(
    collecting: Collecting, share: Share, tree: NfsTree, clock: Clock, number: int, code: int
) -> None:
    kept(collecting)
    clock.ahead_s = KEEP_S
    collecting.restart()
    collecting.hold("s", recorded=())
    collecting.nfs.before[number] = refused(code)
    for _ in range(3):
        collecting.collector._sweep_at = None
        collecting.sweep()
    if share.claimed("a").exists():  # given back: it is sent again
        assert share.claimed("a").read_bytes() == SENT
    else:
        assert nothing_is_left(share, tree)


# --- Sessions that nobody holds, and other pods ---


@pytest.fixture
def other(
    share: Share, tree: NfsTree, board: CallBoard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, collecting: Collecting
) -> Collecting:
    """A pod that does not hold the session."""
    assert collecting.keep_s
    other = Collecting(share, tree, StagingTree(str(tmp_path / "staging of the other")), board, monkeypatch, keep_s=KEEP_S)
    other.hold()
    return other


def ended(tree: NfsTree, board: CallBoard) -> None:
    """As the Keeper leaves a session that is over while files are kept."""
    lock = SessionLock.take(Nfs(tree, board), "s")
    lock.write(Note("pod-a", 1000.0, active=True, draining=True))
    lock.release(forget=False)


def test_of_a_session_that_is_over_any_pod_deletes_what_is_due_and_then_its_folders_and_its_lock(
    collecting: Collecting, other: Collecting, share: Share, tree: NfsTree, board: CallBoard, clock: Clock
) -> None:
    kept(collecting)
    kept(collecting, FileRef(DATE, "s", "run/1/b"))
    ended(tree, board)
    assert other.sweep() == [FilesKept(2, 2 * len(SENT))]
    clock.ahead_s = KEEP_S
    other.sweep()
    assert nothing_is_left(share, tree)
    assert not share.claimed("").exists()
    assert not Path(tree.lock("s")).exists()


def test_the_folder_of_a_session_that_is_recorded_stays_though_no_pod_is_there(
    collecting: Collecting, other: Collecting, share: Share, tree: NfsTree, board: CallBoard, clock: Clock
) -> None:
    kept(collecting)
    lock = SessionLock.take(Nfs(tree, board), "s")
    lock.write(Note("pod-a", 1000.0, active=True))
    lock.release(forget=False)
    clock.ahead_s = KEEP_S
    other.sweep()
    assert nothing_is_left(share, tree)
    assert f".processing/{DATE}/s" in share.folders()
    assert Path(tree.lock("s")).exists()


def test_folders_of_a_session_that_another_pod_holds_are_left_to_it(
    collecting: Collecting, other: Collecting, share: Share, tree: NfsTree, board: CallBoard, clock: Clock
) -> None:
    kept(collecting)
    lock = SessionLock.take(Nfs(tree, board), "s")
    clock.ahead_s = KEEP_S
    other.sweep()
    assert claimed_files(share) == set()
    assert f".processing/{DATE}/s" in share.folders()
    lock.release(forget=False)
    collecting.sweep()
    assert nothing_is_left(share, tree)


def test_of_a_changed_file_another_pod_removes_the_note_alone(
    collecting: Collecting, other: Collecting, share: Share, tree: NfsTree, clock: Clock
) -> None:
    """Who holds the session gives it back."""
    kept(collecting)
    (share.root / MARK).write_bytes(b"changed later, and longer")
    clock.ahead_s = KEEP_S
    other.sweep()
    assert claimed_files(share) == {MARK}
    assert not os.path.exists(tree.kept_note(FILE))
    assert ReportAgain(FILE) in collecting.sweep()
    assert claimed_files(share) == {f".processing/{DATE}/s/a"}


def test_while_another_pod_sweeps_this_one_waits(
    collecting: Collecting, share: Share, tree: NfsTree, board: CallBoard, clock: Clock
) -> None:
    kept(collecting)
    clock.ahead_s = KEEP_S
    with sweeping(Nfs(tree, board)):
        collecting.sweep()
        assert MARK in share.files()
        assert collecting.collector.interval == pytest.approx(1.0)
    collecting.sweep()
    assert claimed_files(share) == set()


def test_what_another_pod_has_deleted_is_forgotten(collecting: Collecting, other: Collecting, share: Share, clock: Clock) -> None:
    kept(collecting)
    other.sweep()
    clock.ahead_s = KEEP_S
    collecting.sweep()
    assert claimed_files(share) == set()
    other.collector._sweep_at = None
    assert other.sweep() == [FilesKept(0, 0)]


def test_until_it_is_known_whether_leases_are_granted_nothing_is_deleted(collecting: Collecting, share: Share, clock: Clock) -> None:
    kept(collecting)
    clock.ahead_s = KEEP_S
    collecting.rule = None
    collecting.restart()
    assert collecting.sweep() == [FilesKept(1, 0)]
    assert MARK in share.files()
    collecting.hear(RuleFound(Rule.TIME, "by a test"))
    collecting.sweep()
    assert claimed_files(share) == set()


def test_a_staged_copy_that_a_crash_left_beside_a_kept_file_goes(
    collecting: Collecting, share: Share, staging: StagingTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever holds the session now."""
    monkeypatch.setattr(collecting.collector, "_unstage", lambda _: "the process was killed")
    kept(collecting)
    assert len(staged_files(staging)) == 1
    collecting.restart()
    collecting.hold()
    assert Unstaged(FILE) in collecting.sweep()
    assert staged_files(staging) == []
    assert MARK in share.files()


def test_without_retention_no_note_is_written_and_nothing_is_locked(
    share: Share, tree: NfsTree, staging: StagingTree, board: CallBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    collecting = Collecting(share, tree, staging, board, monkeypatch)
    assert collecting.hear(CompleteFile(FILE, collecting.sent()))[-1] != Changed()
    collecting.sweep()
    assert not Path(tree.kept).exists()
    assert not Path(tree.kept_lock).exists()
