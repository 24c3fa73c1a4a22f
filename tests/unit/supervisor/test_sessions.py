"""The sessions: which one is active, which others are looked after, and what the Keeper is asked for when."""

import asyncio
import time
from datetime import UTC, datetime

import pytest

from nfsw.actors.envelope import Reply
from nfsw.actors.messages import (
    AcquireLock,
    Failed,
    LockVerified,
    MarkStopped,
    ReleaseLock,
    SessionDenied,
    SessionHeld,
    SessionReleased,
    SessionUnusable,
    VerifyLock,
    WatchedSessions,
)
from nfsw.supervisor.service import AzureSilent, NfsSilent, NoSession, SessionConflict
from nfsw.supervisor.sessions import ORPHANED_AFTER_S, VERIFY_S
from nfsw.supervisor.status import SessionState
from tests.support.faketime import clock, settled
from tests.unit.supervisor.pods import Pod, seen

NOBODY = WatchedSessions(None, frozenset(), frozenset())
PATIENCE_S = 30.0


@pytest.fixture
def pod() -> Pod:
    return Pod()


def held(*, started_at: float = 1000.0, draining: bool = False, recorded: bool = True) -> SessionHeld:
    return SessionHeld(started_at, draining, recorded)


async def begin(pod: Pod, name: str) -> "asyncio.Task[None]":
    """A start that waits for the Keeper."""
    starting = asyncio.create_task(pod.sessions.start(name, PATIENCE_S))
    await settled()
    return starting


async def started(pod: Pod, name: str) -> None:
    starting = await begin(pod, name)
    pod.holds_what_was_asked()
    await starting


async def active(name: str = "s") -> Pod:
    pod = Pod()
    await started(pod, name)
    return pod


def resumed(name: str = "s", *, draining: bool = False) -> Pod:
    pod = Pod()
    pod.scans(seen(name))
    pod.answers(name, held(draining=draining))
    return pod


def orphans(*names: str, was_active: bool = False) -> Pod:
    """A pod whose own session is "own"."""
    pod = resumed("own")
    found = [seen("own"), *(seen(name, files=True) for name in names)]
    pod.scans(*found)
    clock().advance(ORPHANED_AFTER_S)
    pod.scans(*found)
    for name in names:
        pod.answers(name, held(recorded=was_active))
    return pod


# --- Start ---


async def test_a_start_asks_the_keeper_for_the_session_and_is_answered_once_it_is_held(pod: Pod) -> None:
    before = time.time()
    starting = await begin(pod, "s")
    [hold] = pod.asked
    assert isinstance(hold, AcquireLock)
    assert (hold.session, hold.record) == ("s", True)
    assert hold.started_at is not None
    assert before <= hold.started_at <= time.time()
    assert not starting.done()
    assert pod.sessions.status() is None, "it is not active before it is held"
    assert not pod.sessions.claims("s")

    pod.answers("s", held(started_at=hold.started_at))
    await starting

    status = pod.sessions.status()
    assert status is not None
    assert (status.name, status.state, status.resumed) == ("s", SessionState.ACTIVE, False)
    assert status.started_at == datetime.fromtimestamp(hold.started_at, UTC)
    assert pod.sessions.claims("s")
    assert pod.shown[-1] == WatchedSessions("s", frozenset({"s"}), frozenset({"s"}))


@pytest.mark.parametrize("name", ["s", "another"])
async def test_while_a_session_is_active_none_can_be_started(name: str) -> None:
    pod = await active("s")
    with pytest.raises(SessionConflict, match="session s is active in this pod"):
        await pod.sessions.start(name, PATIENCE_S)
    assert not pod.asked


async def test_while_a_session_drains_none_can_be_started() -> None:
    pod = await active("s")
    pod.sessions.stop()
    with pytest.raises(SessionConflict, match="session s is still draining in this pod"):
        await pod.sessions.start("another", PATIENCE_S)


async def test_while_a_start_waits_for_nfs_another_one_is_a_conflict(pod: Pod) -> None:
    starting = await begin(pod, "s")
    with pytest.raises(SessionConflict, match="session s"):
        await pod.sessions.start("another", PATIENCE_S)
    pod.holds_what_was_asked()
    await starting
    assert pod.sessions.claims("s")


@pytest.mark.parametrize(("holder", "named"), [("pod-b", "pod-b"), (None, "not noted its name yet")])
async def test_a_session_that_another_pod_holds_is_a_conflict_that_names_the_pod(pod: Pod, holder: str | None, named: str) -> None:
    starting = await begin(pod, "s")
    pod.answers("s", SessionDenied(holder))
    with pytest.raises(SessionConflict, match=named):
        await starting
    assert pod.sessions.status() is None
    assert not pod.lost


async def test_after_a_conflict_another_session_can_be_started(pod: Pod) -> None:
    starting = await begin(pod, "s")
    pod.answers("s", SessionDenied("pod-b"))
    with pytest.raises(SessionConflict):
        await starting
    again = await begin(pod, "t")
    pod.holds_what_was_asked()
    await again
    assert pod.sessions.claims("t")


async def test_a_link_where_its_folder_has_to_be_is_a_conflict_that_says_so(pod: Pod) -> None:
    starting = await begin(pod, "s")
    pod.answers("s", SessionUnusable("incoming/s is a symbolic link, which is not followed"))
    with pytest.raises(SessionConflict, match="session s cannot be started: incoming/s is a symbolic link"):
        await starting
    assert pod.sessions.active is None
    await started(pod, "t")


async def test_an_error_of_nfs_ends_the_start_and_says_which_one(pod: Pod) -> None:
    starting = await begin(pod, "s")
    pod.answers("s", Failed("EIO: Input/output error"))
    with pytest.raises(NfsSilent, match="EIO"):
        await starting
    assert pod.sessions.active is None


async def test_a_start_that_nfs_does_not_answer_gives_up_after_a_while(pod: Pod) -> None:
    with pytest.raises(NfsSilent, match="has not answered for 30 s"):
        await pod.sessions.start("s", PATIENCE_S)
    assert clock().passed == pytest.approx(PATIENCE_S)
    assert pod.sessions.status() is None


async def test_what_comes_after_a_start_has_given_up_is_released_and_not_looked_after(pod: Pod) -> None:
    with pytest.raises(NfsSilent):
        await pod.sessions.start("s", PATIENCE_S)
    assert pod.asked == [ReleaseLock("s", forget=True)], "and nothing that comes of the other one counts"

    # NFS answers after all: the Keeper does both, in this order.
    pod.answers("s", held(recorded=False))
    assert not pod.sessions.holds("s"), "the lock is about to be released"
    pod.answers("s", SessionReleased())

    assert pod.sessions.watch() == NOBODY
    assert pod.sessions.status() is None


async def test_a_start_that_has_given_up_can_be_tried_again_at_once(pod: Pod) -> None:
    with pytest.raises(NfsSilent):
        await pod.sessions.start("s", PATIENCE_S)
    again = await begin(pod, "s")

    pod.answers("s", held())
    await settled()
    assert not again.done(), "that one is about to be released"
    pod.answers("s", SessionReleased())
    await settled()
    assert not again.done()
    pod.answers("s", held())
    await again
    assert pod.sessions.claims("s")


async def test_a_caller_that_goes_away_leaves_no_session_half_started(pod: Pod) -> None:
    starting = await begin(pod, "s")
    starting.cancel()
    await asyncio.wait([starting])
    assert pod.sessions.active is None
    await started(pod, "t")
    assert pod.sessions.claims("t")


# --- Before Azure has answered ---


async def test_before_the_container_has_answered_no_session_is_started_and_no_lock_asked_for() -> None:
    pod = Pod(answered=False)
    with pytest.raises(AzureSilent, match="no session is started: the Azure container has not answered yet"):
        await pod.sessions.start("s", PATIENCE_S)
    assert not pod.asked
    assert pod.sessions.active is None


async def test_before_the_container_has_answered_none_is_resumed_or_looked_after() -> None:
    pod = Pod(answered=False)
    for _ in range(10):
        pod.scans(seen("s", files=True), seen("t", files=True))
        clock().advance(ORPHANED_AFTER_S)
    assert not pod.asked
    pod.admission.container_answered()
    pod.sessions.on_admitted()
    assert pod.asked == [AcquireLock("s", record=True)], "as of the last scan"


async def test_before_the_first_scan_there_is_nothing_to_resume() -> None:
    pod = Pod(answered=False)
    pod.admission.container_answered()
    pod.sessions.on_admitted()
    assert not pod.asked


# --- Resume ---


async def test_a_free_pod_resumes_the_newest_session_that_it_finds(pod: Pod) -> None:
    pod.scans(seen("new", date="20260201"), seen("old"))
    assert pod.asked == [AcquireLock("new", record=True)]
    pod.answers("new", held(started_at=123.0))

    status = pod.sessions.status()
    assert status is not None
    assert (status.name, status.state, status.resumed) == ("new", SessionState.ACTIVE, True)
    assert status.started_at == datetime.fromtimestamp(123.0, UTC), "as the holder before us noted it"
    assert pod.sessions.claims("new")


async def test_the_keeper_is_asked_once_however_often_the_scanner_scans(pod: Pod) -> None:
    for _ in range(5):
        pod.scans(seen("s"))
        clock().advance(2.0)
    assert pod.asked == [AcquireLock("s", record=True)]


async def test_a_session_that_was_stopped_is_drained_after_a_restart_and_claims_nothing_new() -> None:
    pod = resumed("s", draining=True)
    status = pod.sessions.status()
    assert status is not None
    assert (status.state, status.resumed) == (SessionState.DRAINING, True)
    assert not pod.sessions.claims("s")
    assert pod.sessions.holds("s")
    assert pod.shown[-1] == WatchedSessions(None, frozenset({"s"}), frozenset())


async def test_a_drained_session_of_before_the_restart_ends_like_any_other() -> None:
    pod = resumed("s", draining=True)
    pod.scans(seen("s", files=True))
    assert not pod.asked
    pod.scans(seen("s"))
    assert pod.asked == [ReleaseLock("s", forget=True)]
    assert pod.sessions.status() is None


async def test_a_session_that_another_pod_holds_is_left_to_it_and_the_next_one_is_tried_at_once(pod: Pod) -> None:
    pod.scans(seen("theirs"), seen("theirs as well"), seen("free"))
    for name in ("theirs", "theirs as well"):
        assert pod.asked == [AcquireLock(name, record=True)]
        pod.answers(name, SessionDenied("pod-b"))
    assert pod.asked == [AcquireLock("free", record=True)]
    assert not pod.lost


async def test_sessions_of_others_do_not_keep_a_free_pod_from_the_one_that_is_free_however_rarely_it_scans(pod: Pod) -> None:
    for _ in range(3):
        pod.scans(seen("theirs"), seen("free", files=True))
        assert pod.asked == [AcquireLock("theirs", record=True)]
        pod.answers("theirs", SessionDenied("pod-b"))
        assert pod.asked == [AcquireLock("free", record=True)]
        pod.answers("free", Failed("EIO"))
        clock().advance(60.0)


async def test_a_session_that_was_denied_is_tried_again_at_the_next_scan(pod: Pod) -> None:
    """So that a free pod takes over within two poll intervals, however long these are."""
    for _ in range(3):
        pod.scans(seen("s"))
        assert pod.asked == [AcquireLock("s", record=True)]
        pod.answers("s", SessionDenied("pod-b"))
        assert not pod.asked
        clock().advance(0.1)


async def test_a_start_that_is_refused_is_no_reason_to_resume_what_was_seen_before_it(pod: Pod) -> None:
    pod.scans(seen("theirs"), seen("free"))
    starting = await begin(pod, "new")
    pod.answers("theirs", SessionDenied("pod-b"))
    pod.answers("new", SessionDenied("pod-b"))
    with pytest.raises(SessionConflict, match="pod-b"):
        await starting
    assert not pod.asked, "the next scan decides"


async def test_a_session_that_nfs_would_not_let_us_hold_does_not_keep_a_free_pod_from_another(pod: Pod) -> None:
    pod.scans(seen("broken"), seen("free"))
    assert pod.asked == [AcquireLock("broken", record=True)]
    pod.answers("broken", Failed("EACCES"))
    assert pod.asked == [AcquireLock("free", record=True)]


async def test_a_resume_that_nfs_refuses_is_tried_again_at_the_next_scan(pod: Pod) -> None:
    pod.scans(seen("s"))
    pod.answers("s", Failed("EIO"))
    assert pod.sessions.active is None
    pod.scans(seen("s"))
    assert pod.asked == [AcquireLock("s", record=True)]


async def test_a_start_overrides_a_resume_that_has_not_been_answered_yet(pod: Pod) -> None:
    pod.scans(seen("old", files=True))
    starting = await begin(pod, "new")
    pod.holds_what_was_asked()
    await starting

    assert pod.sessions.claims("new")
    assert pod.sessions.holds("old"), "its files are still looked after"
    assert not pod.sessions.claims("old")


async def test_a_start_of_the_very_session_whose_resume_is_pending_makes_it_active_though_it_had_been_stopped(pod: Pod) -> None:
    pod.scans(seen("s"))
    starting = await begin(pod, "s")
    [hold] = pod.asked
    assert isinstance(hold, AcquireLock)
    pod.answers("s", held(started_at=500.0, draining=True))  # to the resume
    pod.answers("s", held(started_at=hold.started_at or 0.0))  # to the start
    await starting

    status = pod.sessions.status()
    assert status is not None
    assert (status.state, status.resumed) == (SessionState.ACTIVE, False)
    assert status.started_at == datetime.fromtimestamp(hold.started_at or 0.0, UTC)


# --- Others' files ---


async def test_files_of_a_session_that_nobody_holds_are_looked_after_from_ten_seconds_on() -> None:
    pod = resumed("own")
    for _ in range(5):
        pod.scans(seen("own"), seen("orphan", files=True))
        assert not pod.asked, "its pod may only be restarting"
        clock().advance(2.0)
    pod.scans(seen("own"), seen("orphan", files=True))
    assert pod.asked == [AcquireLock("orphan", record=False)]

    pod.answers("orphan", held(recorded=False))
    assert pod.sessions.holds("orphan")
    assert not pod.sessions.claims("orphan"), "its arrivals are left to a pod that is free"
    assert pod.shown[-1] == WatchedSessions("own", frozenset({"own", "orphan"}), frozenset({"own"}))


async def test_a_session_without_files_is_nobodys_business() -> None:
    pod = resumed("own")
    for _ in range(20):
        pod.scans(seen("own"), seen("empty"))
        clock().advance(2.0)
    assert not any(isinstance(asked, AcquireLock) for asked in pod.asked)


async def test_a_session_that_comes_and_goes_is_not_nobodys() -> None:
    pod = resumed("own")
    for number in range(20):
        pod.scans(seen("own"), *([seen("restarting", files=True)] if number % 4 else []))
        clock().advance(2.0)
    assert not any(isinstance(asked, AcquireLock) for asked in pod.asked)


async def test_the_files_of_a_session_that_another_pod_turns_out_to_hold_are_left_to_it() -> None:
    pod = resumed("own")
    found = [seen("own"), seen("theirs", files=True)]
    pod.scans(*found)
    clock().advance(ORPHANED_AFTER_S)
    pod.scans(*found)
    pod.answers("theirs", SessionDenied("pod-b"))

    clock().advance(ORPHANED_AFTER_S - 1)
    pod.scans(*found)
    assert not pod.asked
    assert not pod.sessions.holds("theirs")
    assert not pod.lost


@pytest.mark.parametrize("was_active", [True, False])
async def test_once_its_files_are_sent_a_session_that_was_looked_after_is_let_go_and_its_record_stays_if_a_call_had_made_it(
    was_active: bool,
) -> None:
    pod = orphans("orphan", was_active=was_active)
    assert pod.sessions.watch().recorded == {"own"} | ({"orphan"} if was_active else set())

    pod.busy.add("orphan")
    pod.scans(seen("own"), seen("orphan"))
    assert not pod.asked, "a file of it is in hand"
    pod.busy.clear()
    pod.scans(seen("own"), seen("orphan", files=True))
    assert not pod.asked, "a file of it is there"
    pod.scans(seen("own"), seen("orphan"))

    assert pod.asked == [ReleaseLock("orphan", forget=not was_active)]
    assert pod.sessions.watch().held == {"own"}
    assert pod.shown[-1].held == {"own"}


async def test_a_session_that_is_looked_after_can_be_started() -> None:
    pod = orphans("orphan")
    pod.scans(seen("orphan", files=True))  # "own" was removed by hand; it stays ours until it is stopped
    pod.sessions.stop()
    pod.scans(seen("orphan", files=True))
    pod.holds_what_was_asked()

    await started(pod, "orphan")

    assert pod.sessions.claims("orphan")
    assert pod.sessions.watch().held == {"orphan"}


async def starts_orphan() -> "tuple[Pod, asyncio.Task[None]]":
    """The pod looks after files of "orphan", which is now to be its active session."""
    pod = orphans("orphan")
    pod.sessions.stop()
    pod.scans(seen("orphan", files=True))
    pod.holds_what_was_asked()
    pod.busy.add("orphan")
    return pod, await begin(pod, "orphan")


@pytest.mark.parametrize(
    ("reply", "error"), [(Failed("EIO"), NfsSilent), (SessionUnusable("incoming/orphan is a symbolic link"), SessionConflict)]
)
async def test_a_session_that_is_looked_after_and_cannot_be_started_says_so_at_once_and_is_locked_again(
    reply: Reply, error: type[Exception]
) -> None:
    """The Keeper has given the lock up over it."""
    pod, starting = await starts_orphan()
    pod.answers("orphan", reply)
    with pytest.raises(error):
        await starting
    assert pod.sessions.holds("orphan")
    pod.scans(seen("orphan", files=True))
    assert pod.asked == [AcquireLock("orphan", record=False)]


async def test_a_session_that_is_looked_after_is_not_released_because_nfs_does_not_answer_its_start() -> None:
    """Its files are under way: another pod would take them up too."""
    pod, starting = await starts_orphan()
    with pytest.raises(NfsSilent):
        await starting
    assert not [asked for asked in pod.asked if isinstance(asked, ReleaseLock)]
    pod.answers("orphan", held())
    assert pod.sessions.holds("orphan")
    assert not pod.sessions.claims("orphan")
    assert pod.sessions.active is None


async def test_a_session_that_is_being_started_is_not_released_because_its_last_file_was_just_sent() -> None:
    pod = orphans("orphan")
    pod.sessions.stop()
    pod.scans(seen("orphan", files=True))
    pod.holds_what_was_asked()

    starting = await begin(pod, "orphan")
    pod.scans(seen("orphan"))
    assert not [asked for asked in pod.asked if isinstance(asked, ReleaseLock)]
    pod.holds_what_was_asked()
    await starting

    assert pod.sessions.claims("orphan")


# --- Stop ---


async def test_a_stop_is_noted_and_ends_the_claims_but_not_the_care_for_what_is_claimed() -> None:
    pod = await active("s")
    assert pod.sessions.stop().session == "s"
    assert pod.asked == [MarkStopped("s")]
    status = pod.sessions.status()
    assert status is not None
    assert status.state is SessionState.DRAINING
    assert not pod.sessions.claims("s")
    assert pod.sessions.holds("s")
    assert pod.shown[-1] == WatchedSessions(None, frozenset({"s"}), frozenset())


async def test_a_stop_is_answered_once_it_is_noted() -> None:
    pod = await active("s")
    stopped = asyncio.create_task(pod.sessions.stop().settled(PATIENCE_S))
    await settled()
    assert not stopped.done(), "a restart now would make the session active again"
    pod.holds_what_was_asked()
    await stopped


async def test_a_stop_that_nfs_does_not_note_is_asked_for_at_every_scan_until_it_does() -> None:
    pod = await active("s")
    stopping = pod.sessions.stop()
    for _ in range(3):
        assert pod.asked == [MarkStopped("s")], "once, however often the Scanner scans"
        pod.scans(seen("s", files=True))
        pod.answers("s", Failed("ENOSPC"))
        assert not pod.asked
        pod.scans(seen("s", files=True))
    with pytest.raises(NfsSilent, match="session s"):
        await stopping.settled(PATIENCE_S)
    pod.holds_what_was_asked()
    await stopping.settled(PATIENCE_S)


async def test_a_stop_is_answered_when_the_session_is_over_before_it_could_be_noted() -> None:
    pod = await active("s")
    stopping = pod.sessions.stop()
    pod.scans(seen("s"))
    pod.holds_what_was_asked()
    await stopping.settled(PATIENCE_S)


async def test_a_stop_without_a_session_is_refused(pod: Pod) -> None:
    with pytest.raises(NoSession):
        pod.sessions.stop()


async def test_a_session_that_drains_cannot_be_stopped_again() -> None:
    pod = await active("s")
    pod.sessions.stop()
    with pytest.raises(NoSession):
        pod.sessions.stop()


async def test_a_session_that_is_not_held_yet_cannot_be_stopped(pod: Pod) -> None:
    pod.scans(seen("s"))
    with pytest.raises(NoSession):
        pod.sessions.stop()


async def test_a_stopped_session_ends_once_nothing_of_it_is_in_hand_or_on_nfs() -> None:
    pod = await active("s")
    pod.busy.add("s")
    pod.sessions.stop()
    pod.holds_what_was_asked()
    pod.scans(seen("s"))
    assert not pod.asked, "a file of it is in hand"
    pod.busy.clear()
    pod.scans(seen("s", files=True))
    assert not pod.asked, "a file of it is there"
    assert pod.sessions.status() is not None

    pod.scans(seen("s"))
    assert pod.asked == [ReleaseLock("s", forget=True)]
    assert pod.sessions.status() is None
    assert pod.shown[-1] == NOBODY


async def test_an_active_session_without_any_file_goes_on() -> None:
    pod = await active("s")
    for _ in range(5):
        pod.scans(seen("s"))
    assert not pod.asked
    assert pod.sessions.claims("s")


async def test_a_session_that_had_ended_when_its_resume_was_asked_for_is_not_resumed(pod: Pod) -> None:
    """The scan that found it began before its folders were removed, by us or by another pod."""
    pod.scans(seen("s"))
    pod.answers("s", SessionReleased())
    assert pod.sessions.active is None
    assert not pod.sessions.holds("s")
    await started(pod, "t")
    assert pod.sessions.claims("t")


async def test_a_session_that_has_ended_is_not_resumed_for_what_others_left_in_its_folder() -> None:
    pod = resumed("s", draining=True)
    pod.scans(seen("s"))
    pod.answers("s", SessionReleased(kept=True))
    pod.scans(seen("s"))
    assert not pod.asked
    pod.scans(seen("s", files=True))
    assert pod.asked == [AcquireLock("s", record=True)], "a file is to be sent all the same"


async def test_it_can_be_started_again() -> None:
    pod = resumed("s", draining=True)
    pod.scans(seen("s"))
    pod.answers("s", SessionReleased(kept=True))
    await started(pod, "s")
    assert pod.sessions.claims("s")


# --- A Keeper that starts anew, and pods that were quicker ---


async def test_a_new_keeper_is_asked_for_everything_that_is_held_before_anything_else() -> None:
    pod = orphans("orphan")
    pod.sessions.stop()
    pod.sessions.keeper_restarted()
    *locks, other = pod.asked
    assert {(lock.session, lock.record) for lock in locks if isinstance(lock, AcquireLock)} == {("own", False), ("orphan", False)}
    assert other == MarkStopped("own")


async def test_a_new_keeper_makes_the_active_session_so_again() -> None:
    pod = await active("s")
    assert pod.sessions.active is not None
    pod.sessions.keeper_restarted()
    assert pod.asked == [AcquireLock("s", record=True, started_at=pod.sessions.active.started_at)]


async def test_a_new_keeper_does_not_make_a_stopped_session_active_again() -> None:
    pod = resumed("s", draining=True)
    pod.sessions.keeper_restarted()
    assert pod.asked == [AcquireLock("s", record=False)], "to record it is to make it active"


async def test_a_session_that_is_not_held_yet_is_not_asked_for_twice(pod: Pod) -> None:
    pod.scans(seen("s"))
    pod.sessions.keeper_restarted()
    assert pod.asked == [AcquireLock("s", record=True)], "the job in hand is delivered again"


async def test_a_session_that_a_new_keeper_holds_again_goes_on_as_it_was() -> None:
    pod = await active("s")
    before = pod.sessions.status()
    pod.sessions.keeper_restarted()
    pod.answers("s", held(started_at=5.0, draining=True))
    assert pod.sessions.status() == before


@pytest.mark.parametrize("holder", ["pod-b", None])
async def test_a_pod_whose_session_another_one_has_taken_ends(holder: str | None) -> None:
    pod = await active("s")
    pod.sessions.keeper_restarted()
    pod.answers("s", SessionDenied(holder))
    assert pod.lost == [f"session s is held by {holder or 'another pod'} now"]


async def test_a_pod_that_loses_the_files_that_it_looked_after_ends_too() -> None:
    pod = orphans("orphan")
    pod.sessions.keeper_restarted()
    pod.answers("orphan", SessionDenied("pod-b"))
    assert len(pod.lost) == 1


async def test_a_lock_that_nfs_would_not_give_back_is_asked_for_at_every_scan_until_it_is_ours_or_another_pods() -> None:
    pod = await active("s")
    pod.sessions.keeper_restarted()
    [acquire] = pod.asked
    for _ in range(2):
        pod.answers("s", Failed("EIO"))
        assert pod.sessions.status() is not None
        pod.scans(seen("s"))
        assert pod.asked == [acquire]
        pod.scans(seen("s"))
        assert pod.asked == [acquire], "it is with the Keeper"
    pod.answers("s", held())
    pod.scans(seen("s"))
    assert not pod.asked


async def test_that_a_lock_is_still_ours_is_verified_from_time_to_time() -> None:
    pod = orphans("orphan")
    clock().advance(VERIFY_S)
    for _ in range(2):
        pod.scans(seen("own"), seen("orphan", files=True))
        assert pod.asked == [VerifyLock("own"), VerifyLock("orphan")]
        for name in ("own", "orphan"):
            pod.answers(name, LockVerified())
        clock().advance(VERIFY_S - 1)
        pod.scans(seen("own"), seen("orphan", files=True))
        assert not pod.asked
        clock().advance(1)


async def test_a_pod_whose_lock_turns_out_to_be_anothers_ends() -> None:
    pod = await active("s")
    pod.scans(seen("s"))
    clock().advance(VERIFY_S)
    pod.scans(seen("s"))
    pod.answers("s", SessionDenied("pod-b"))
    assert pod.lost == ["session s is held by pod-b now"]


async def test_the_keeper_may_be_replaced_while_nothing_is_held(pod: Pod) -> None:
    assert not pod.sessions.holds_any
    pod.scans(seen("s"))
    assert not pod.sessions.holds_any, "only asked for"
    pod.answers("s", held())
    assert pod.sessions.holds_any
