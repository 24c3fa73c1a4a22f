"""The Keeper: two of them on one share stand for two pods."""

import errno
import fcntl
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from nfsw.actors.abandoned import AbandonedFiles
from nfsw.actors.call_board import CallBoard
from nfsw.actors.config import KeeperConfig
from nfsw.actors.envelope import Job, Reply
from nfsw.actors.files import FileRef
from nfsw.actors.keeper import Keeper
from nfsw.actors.messages import (
    AbandonFile,
    AcquireLock,
    Failed,
    FileAbandoned,
    LockVerified,
    MarkStopped,
    NotOneClaimedFile,
    Outage,
    ReleaseLock,
    SessionDenied,
    SessionHeld,
    SessionReleased,
    SessionUnusable,
    StopNoted,
    VerifyLock,
)
from nfsw.actors.tree import NfsTree
from tests.support.abandoned import noted
from tests.support.mortal_nfs import ERRORS, EventfulNfs, refused
from tests.support.share import DATE, Share
from tests.support.told import Told, passed


class Pod:
    """One process of a Keeper. At its end the kernel closes what it had open."""

    def __init__(self, tree: NfsTree, board: CallBoard, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.nfs = EventfulNfs(tree, board)
        with monkeypatch.context() as patched:
            patched.setattr("nfsw.actors.keeper.Nfs", lambda *_: self.nfs)
            self._keeper = Keeper(KeeperConfig(tree.root, name), board)

    def ask(self, job: Job) -> Reply:
        told = Told()
        reply = self._keeper.on_message(passed(job), told)
        assert told == []
        assert reply is not None
        return passed(reply)

    def end(self) -> None:
        for fd in os.listdir("/proc/self/fd"):
            if self._is_lock(fd):
                os.close(int(fd))

    def lose(self, session: str) -> None:
        """The server forgets the lock, and the kernel here does not know it."""
        fcntl.flock(self._keeper._locks[session]._fd, fcntl.LOCK_UN)

    def _is_lock(self, fd: str) -> bool:
        try:
            return os.readlink(f"/proc/self/fd/{fd}").startswith(self.nfs.tree.sessions)
        except FileNotFoundError:
            return False


type Pods = Callable[[str], Pod]


@pytest.fixture
def pods(tree: NfsTree, board: CallBoard, monkeypatch: pytest.MonkeyPatch) -> Pods:
    return lambda name: Pod(tree, board, name, monkeypatch)


@pytest.fixture
def pod(pods: Pods) -> Pod:
    return pods("pod-1")


@pytest.fixture
def other(pods: Pods) -> Pod:
    return pods("pod-2")


START = AcquireLock("s", record=True, started_at=1000.0)
RESUME = AcquireLock("s", record=True)
ADOPT = AcquireLock("s", record=False)


def test_a_session_that_is_started_has_its_folders(pod: Pod, share: Share) -> None:
    assert pod.ask(START) == SessionHeld(1000.0, draining=False, recorded=False)
    assert share.folders() >= {"incoming/s", f".processing/{datetime.now(UTC):%Y%m%d}/s"}


def test_the_other_pod_is_denied_and_told_who_holds_it(pod: Pod, other: Pod) -> None:
    pod.ask(START)
    assert other.ask(START) == SessionDenied("pod-1")
    assert other.ask(ADOPT) == SessionDenied("pod-1")
    assert isinstance(other.ask(AcquireLock("t", record=True, started_at=1.0)), SessionHeld)
    assert pod.ask(AcquireLock("t", record=False)) == SessionDenied("pod-2")


def test_to_adopt_a_session_makes_no_folders(pod: Pod, share: Share) -> None:
    assert pod.ask(ADOPT) == SessionHeld(0.0, draining=False, recorded=False)
    assert share.folders() == {".nfsw", ".nfsw/sessions"}


def test_a_released_session_is_free_and_its_record_stays(pod: Pod, other: Pod, share: Share) -> None:
    pod.ask(START)
    folders = share.folders()
    assert pod.ask(ReleaseLock("s", forget=False)) == SessionReleased()
    assert share.folders() == folders
    assert other.ask(RESUME) == SessionHeld(1000.0, draining=False, recorded=True)


def test_a_session_that_is_over_leaves_nothing_but_its_incoming_folder(pod: Pod, other: Pod, share: Share) -> None:
    pod.ask(START)
    (share.root / ".nfsw/aside/s/1").mkdir(parents=True)
    share.claimed("", date="20260101").mkdir(parents=True)
    assert pod.ask(ReleaseLock("s", forget=True)) == SessionReleased()
    assert share.folders() == {"incoming", "incoming/s", ".processing", ".nfsw", ".nfsw/sessions", ".nfsw/aside"}
    assert os.listdir(share.root / ".nfsw/sessions") == []
    assert other.ask(START) == SessionHeld(1000.0, draining=False, recorded=False)


def test_a_session_that_is_over_is_over_for_the_next_holder_too_though_something_is_left_in_its_folder(
    pod: Pod, other: Pod, share: Share
) -> None:
    pod.ask(START)
    share.claimed(".a folder", date="20260101").mkdir(parents=True)
    assert pod.ask(ReleaseLock("s", forget=True)) == SessionReleased(kept=True)
    assert other.ask(RESUME) == SessionHeld(1000.0, draining=True, recorded=True)


def test_a_session_that_is_over_leaves_none_of_the_folders_of_its_files(pod: Pod, share: Share) -> None:
    pod.ask(START)
    for path in (share.claimed("a/b"), share.claimed("a/c/d"), share.root / ".nfsw/aside/s/1/a/b"):
        path.mkdir(parents=True)
    assert pod.ask(ReleaseLock("s", forget=True)) == SessionReleased(kept=False)
    assert not {path for path in share.folders() if path.startswith((".processing/2", ".nfsw/aside/s"))}


def test_what_still_holds_something_is_not_removed(pod: Pod, share: Share) -> None:
    pod.ask(START)
    files = [share.claimed("a"), share.root / ".nfsw/aside/s/1/b"]
    for file in files:
        share.written(file)
    pod.ask(ReleaseLock("s", forget=True))
    assert all(file.exists() for file in files)


def test_other_sessions_of_a_day_keep_their_folders(pod: Pod, share: Share) -> None:
    pod.ask(START)
    share.claimed("", "other").mkdir(parents=True)
    pod.ask(ReleaseLock("s", forget=True))
    assert f".processing/{DATE}/other" in share.folders()


def test_a_session_that_was_stopped_is_still_stopped_for_the_next_holder(pod: Pod, other: Pod) -> None:
    pod.ask(START)
    assert pod.ask(MarkStopped("s")) == StopNoted()
    pod.end()
    assert other.ask(RESUME) == SessionHeld(1000.0, draining=True, recorded=True)


def test_a_session_that_is_started_anew_is_not_stopped_any_more(pod: Pod) -> None:
    pod.ask(START)
    pod.ask(MarkStopped("s"))
    pod.ask(ReleaseLock("s", forget=False))
    assert pod.ask(AcquireLock("s", record=True, started_at=2000.0)) == SessionHeld(2000.0, draining=False, recorded=True)


def test_to_adopt_a_stopped_or_a_running_session_keeps_what_is_noted_of_it(pod: Pod, other: Pod, pods: Pods) -> None:
    pod.ask(START)
    pod.ask(MarkStopped("s"))
    pod.end()
    assert other.ask(ADOPT) == SessionHeld(1000.0, draining=True, recorded=True)
    third = pods("pod-3")
    assert third.ask(RESUME) == SessionDenied("pod-2")
    other.ask(ReleaseLock("s", forget=False))
    assert third.ask(RESUME) == SessionHeld(1000.0, draining=True, recorded=True)


def test_a_lock_that_is_still_ours_is_verified(pod: Pod) -> None:
    pod.ask(START)
    assert pod.ask(VerifyLock("s")) == LockVerified()
    assert pod.ask(VerifyLock("not held")) == LockVerified(), "it was given up meanwhile"


def test_a_lock_that_was_lost_while_the_server_was_away_is_told_with_its_new_holder(pod: Pod, other: Pod, share: Share) -> None:
    """The server forgets a lock when it has not heard of its client for the lease time, and another node's pod takes it."""
    pod.ask(START)
    note = share.root / ".nfsw/sessions/s"
    note.write_bytes(note.read_bytes().replace(b"pod-1", b"pod-2"))
    assert pod.ask(VerifyLock("s")) == SessionDenied("pod-2")
    assert isinstance(other.ask(RESUME), SessionHeld), "it is given up"


def test_a_lock_that_a_pod_of_the_same_name_took_meanwhile_is_lost(pod: Pod, pods: Pods, share: Share) -> None:
    """Else both would go on with the session, and send every file twice."""
    pod.ask(START)
    twin = pods("pod-1")
    denied = SessionDenied("pod-1 (another process with the APP_POD_NAME of this one)")
    assert twin.ask(START) == denied
    pod.lose("s")
    assert isinstance(twin.ask(RESUME), SessionHeld)
    assert pod.ask(VerifyLock("s")) == denied
    assert twin.ask(VerifyLock("s")) == LockVerified()


@pytest.mark.parametrize("again", [False, True], ids=["removed", "made again"])
def test_a_lock_whose_file_was_removed_is_no_lock(pod: Pod, share: Share, again: bool) -> None:
    pod.ask(START)
    note = share.root / ".nfsw/sessions/s"
    text = note.read_bytes()
    note.rename(note.with_name("elsewhere"))
    if again:
        note.write_bytes(text)
    assert isinstance(pod.ask(VerifyLock("s")), SessionDenied)


@pytest.mark.parametrize("code", ERRORS)
def test_a_lock_that_nfs_will_not_show_is_ours_until_it_does(pod: Pod, code: int) -> None:
    pod.ask(START)
    pod.nfs.at["open", ".nfsw/sessions/s"] = refused(code)
    failed = pod.ask(VerifyLock("s"))
    assert isinstance(failed, Failed)
    assert errno.errorcode[code] in failed.error
    assert pod.ask(VerifyLock("s")) == LockVerified()
    assert isinstance(pod.ask(START), SessionHeld)


def test_a_pod_that_dies_gives_its_sessions_up(pod: Pod, other: Pod) -> None:
    pod.ask(START)
    pod.end()
    assert other.ask(RESUME) == SessionHeld(1000.0, draining=False, recorded=True)


def test_a_new_keeper_of_the_same_pod_holds_again(pod: Pod, pods: Pods, other: Pod) -> None:
    pod.ask(START)
    pod.end()
    again = pods("pod-1")
    assert again.ask(AcquireLock("s", record=True, started_at=1000.0)) == SessionHeld(1000.0, draining=False, recorded=True)
    assert other.ask(RESUME) == SessionDenied("pod-1")


def test_to_hold_what_is_held_already_changes_nothing(pod: Pod) -> None:
    pod.ask(START)
    assert pod.ask(ADOPT) == SessionHeld(1000.0, draining=False, recorded=True)
    assert pod.ask(RESUME) == SessionHeld(1000.0, draining=False, recorded=True)


def test_to_resume_a_session_that_has_ended_meanwhile_leaves_nothing(pod: Pod, other: Pod, share: Share) -> None:
    pod.ask(START)
    pod.ask(ReleaseLock("s", forget=True))
    assert other.ask(RESUME) == SessionReleased()
    assert os.listdir(share.root / ".nfsw/sessions") == []


def test_to_release_what_is_not_held_is_nothing_to_do_but_a_stop_of_it_cannot_be_noted(pod: Pod) -> None:
    assert pod.ask(ReleaseLock("s", forget=True)) == SessionReleased()
    assert isinstance(pod.ask(MarkStopped("s")), Failed)


# --- What is in a folder's place ---


@pytest.mark.parametrize("kind", ["link", "dangling link", "file"])
@pytest.mark.parametrize("place", ["incoming/s", ".processing", ".processing/{today}", ".processing/{today}/s"])
def test_a_session_is_not_started_where_one_of_its_folders_is_none(pod: Pod, other: Pod, share: Share, place: str, kind: str) -> None:
    """It would be active, and nothing would ever move."""
    path = share.root / place.format(today=f"{datetime.now(UTC):%Y%m%d}")
    path.parent.mkdir(parents=True, exist_ok=True)
    elsewhere = share.root / "elsewhere"
    match kind:
        case "link":
            elsewhere.mkdir()
            path.symlink_to(elsewhere)
        case "dangling link":
            path.symlink_to(elsewhere)
        case _:
            path.write_bytes(b"")
    words = "is not a folder" if kind == "file" else "is a symbolic link, which is not followed"
    assert pod.ask(START) == SessionUnusable(f"{path.relative_to(share.root)} {words}")
    path.unlink()
    assert isinstance(other.ask(START), SessionHeld), "nothing is left locked"


def test_a_session_that_goes_on_is_held_for_the_sake_of_its_claimed_files_whatever_became_of_its_folder(
    pod: Pod, other: Pod, share: Share
) -> None:
    """The Scanner says what it finds there."""
    pod.ask(START)
    pod.end()
    (share.root / "incoming/s").rmdir()
    (share.root / "incoming/s").symlink_to(share.root)
    assert isinstance(other.ask(RESUME), SessionHeld)


# --- Files that are given up ---


def gives_up(name: str, *, session: str = "s", date: str | None = None) -> AbandonFile:
    return AbandonFile(session, name, date, "it is too large")


def test_an_abandoned_file_stays_where_it_is_and_has_a_note(pod: Pod, share: Share) -> None:
    pod.ask(START)
    share.written(share.claimed("a"), b"claimed")
    file = FileRef(DATE, "s", "a")
    assert pod.ask(gives_up("a")) == FileAbandoned(file)
    assert share.files()[f".processing/{DATE}/s/a"] == b"claimed"
    assert noted(AbandonedFiles(pod.nfs)) == {file: "it is too large"}


def test_to_abandon_it_once_more_changes_nothing_but_the_reason(pod: Pod, share: Share) -> None:
    pod.ask(START)
    share.written(share.claimed("a"))
    pod.ask(gives_up("a"))
    assert pod.ask(AbandonFile("s", "a", DATE, "once more")) == FileAbandoned(FileRef(DATE, "s", "a"))
    assert noted(AbandonedFiles(pod.nfs)) == {FileRef(DATE, "s", "a"): "once more"}


def test_what_is_not_claimed_cannot_be_abandoned(pod: Pod, share: Share) -> None:
    pod.ask(START)
    share.written(share.incoming("a"))
    share.claimed("folder").mkdir(parents=True)
    for name in ("a", "folder", "../s/a", ""):
        assert pod.ask(gives_up(name)) == NotOneClaimedFile(())
    share.written(share.claimed("b"))
    assert pod.ask(gives_up("b", date="20260201")) == NotOneClaimedFile(())


def test_of_two_days_files_of_one_name_the_date_says_which_is_meant(pod: Pod, share: Share) -> None:
    pod.ask(START)
    for date in ("20260201", "20260131"):
        share.written(share.claimed("a", date=date))
    assert pod.ask(gives_up("a")) == NotOneClaimedFile(("20260131", "20260201"))
    assert pod.ask(gives_up("a", date="20260201")) == FileAbandoned(FileRef("20260201", "s", "a"))


def test_a_name_that_is_not_utf_8_goes_by_what_the_status_shows(pod: Pod, share: Share) -> None:
    pod.ask(START)
    share.written(share.claimed("caf\udce9"))
    assert pod.ask(gives_up("caf\\xe9")) == FileAbandoned(FileRef(DATE, "s", "caf\\xe9"))


def test_only_the_holder_of_a_session_abandons_its_files(pod: Pod, other: Pod, share: Share) -> None:
    pod.ask(START)
    share.written(share.claimed("a"))
    assert isinstance(other.ask(gives_up("a")), Failed)
    assert noted(AbandonedFiles(pod.nfs)) == {}


@pytest.mark.parametrize("code", ERRORS)
def test_an_error_at_any_call_is_told_and_the_next_try_may_succeed(pods: Pods, share: Share, code: int) -> None:
    share.written(share.claimed("a"))
    failed = 0
    for number in range(12):
        pod = pods("pod-1")
        pod.ask(START)
        pod.nfs.before[len(pod.nfs.calls) + number] = refused(code)
        answer = pod.ask(gives_up("a"))
        if isinstance(answer, Failed):
            failed += 1
            assert errno.errorcode[code] in answer.error
        pod.nfs.before.clear()
        assert pod.ask(gives_up("a")) == FileAbandoned(FileRef(DATE, "s", "a"))
        assert noted(AbandonedFiles(pod.nfs)) == {FileRef(DATE, "s", "a"): "it is too large"}
        pod.end()
        shutil.rmtree(share.root / ".nfsw/abandoned")
    assert failed >= 5


def test_a_session_ends_though_an_abandoned_file_stays_and_is_over_for_the_next_holder(pod: Pod, other: Pod, share: Share) -> None:
    pod.ask(START)
    share.written(share.claimed("a"))
    pod.ask(gives_up("a"))
    pod.ask(MarkStopped("s"))
    assert pod.ask(ReleaseLock("s", forget=True)) == SessionReleased(kept=True)
    assert other.ask(RESUME) == SessionHeld(1000.0, draining=True, recorded=True)
    assert noted(AbandonedFiles(other.nfs)) == {FileRef(DATE, "s", "a"): "it is too large"}


def test_the_notes_of_a_session_whose_files_are_gone_are_removed_at_its_end(pod: Pod, share: Share) -> None:
    pod.ask(START)
    share.written(share.claimed("a"))
    pod.ask(gives_up("a"))
    share.claimed("a").unlink()
    share.written(share.root / f".nfsw/abandoned/{DATE}/another/b", b"of another session")
    assert pod.ask(ReleaseLock("s", forget=True)) == SessionReleased()
    assert share.files() == {f".nfsw/abandoned/{DATE}/another/b": b"of another session"}


# --- Errors ---


@pytest.mark.parametrize("code", ERRORS)
def test_an_error_at_any_call_of_a_start_is_told_and_leaves_the_session_free(pods: Pods, share: Share, code: int) -> None:
    failed = 0
    for number in range(16):
        pod = pods("unlucky")
        pod.nfs.before[number] = refused(code)
        answer = pod.ask(START)
        if isinstance(answer, Failed):
            failed += 1
            assert errno.errorcode[code] in answer.error
        else:
            assert answer == SessionHeld(1000.0, draining=False, recorded=False)
            pod.nfs.before.clear()
            pod.ask(ReleaseLock("s", forget=False))
        other = pods("lucky")
        assert isinstance(other.ask(START), SessionHeld), "nothing is left locked"
        other.ask(ReleaseLock("s", forget=True))
    assert failed >= 5


@pytest.mark.parametrize("code", ERRORS)
def test_an_error_at_any_call_of_a_release_does_not_keep_the_lock(pods: Pods, code: int) -> None:
    for number in range(12):
        pod, other = pods("pod-1"), pods("pod-2")
        pod.ask(START)
        pod.nfs.before[len(pod.nfs.calls) + number] = refused(code)
        assert pod.ask(ReleaseLock("s", forget=True)) == SessionReleased()
        assert isinstance(other.ask(START), SessionHeld), f"{pod.nfs.calls[-1]} of {pod.nfs.calls}"
        other.ask(ReleaseLock("s", forget=True))


def test_a_session_whose_folders_could_not_be_removed_is_still_stopped(pod: Pod, other: Pod) -> None:
    """Its record is found again. With its note it ends again; without one it would come to life."""
    pod.ask(START)
    pod.ask(MarkStopped("s"))
    pod.nfs.at["rmdir", f".processing/{datetime.now(UTC):%Y%m%d}/s"] = refused(errno.EIO)
    pod.ask(ReleaseLock("s", forget=True))
    assert other.ask(RESUME) == SessionHeld(1000.0, draining=True, recorded=True)


def test_a_stop_that_cannot_be_noted_is_told(pod: Pod) -> None:
    pod.ask(START)
    pod.nfs.at["write", ".nfsw/sessions/s"] = refused(errno.EROFS)
    assert pod.ask(MarkStopped("s")) == Failed("EROFS: Read-only file system", Outage.NFS)
