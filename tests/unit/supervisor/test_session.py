"""The desk: which session is active, which others are looked after, and what the Keeper is asked for when."""

import asyncio
import time
from datetime import UTC, datetime

import pytest

from nfsw.actors.messages import (
    Confirm,
    Drain,
    Hold,
    HoldFailed,
    Release,
    SessionDenied,
    SessionHeld,
    SessionReleased,
    SessionUnusable,
    StopFailed,
    Watch,
)
from nfsw.supervisor.service import AzureSilent, NfsSilent, NoSession, SessionConflict
from nfsw.supervisor.session import ADOPT_AFTER_S, CONFIRM_S
from nfsw.supervisor.status import SessionState
from tests.support.faketime import clock, settled
from tests.unit.supervisor.pods import Pod, seen

NOBODY = Watch(None, frozenset(), frozenset())
PATIENCE_S = 30.0


@pytest.fixture
def pod() -> Pod:
    return Pod()


def held(name: str, *, started_at: float = 1000.0, draining: bool = False, recorded: bool = True) -> SessionHeld:
    return SessionHeld(name, started_at, draining, recorded)


async def begin(pod: Pod, name: str) -> "asyncio.Task[None]":
    """A start that waits for the Keeper."""
    starting = asyncio.create_task(pod.desk.start(name, PATIENCE_S))
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
    pod.looks(seen(name))
    pod.asked.clear()
    pod.says(held(name, draining=draining))
    return pod


def adopted(*names: str, was_active: bool = False) -> Pod:
    """A pod whose own session is "own"."""
    pod = resumed("own")
    found = [seen("own"), *(seen(name, files=True) for name in names)]
    pod.looks(*found)
    clock().advance(ADOPT_AFTER_S)
    pod.looks(*found)
    pod.asked.clear()
    pod.says(*(held(name, recorded=was_active) for name in names))
    return pod


# --- Start ---


async def test_a_start_asks_the_keeper_for_the_session_and_is_answered_once_it_is_held(pod: Pod) -> None:
    before = time.time()
    starting = await begin(pod, "s")
    hold = pod.next_asked()
    assert isinstance(hold, Hold)
    assert (hold.session, hold.record) == ("s", True)
    assert hold.started_at is not None
    assert before <= hold.started_at <= time.time()
    assert not starting.done()
    assert pod.desk.status() is None, "it is not active before it is held"
    assert not pod.desk.claims("s")

    pod.says(held("s", started_at=hold.started_at))
    await starting

    status = pod.desk.status()
    assert status is not None
    assert (status.name, status.state, status.resumed) == ("s", SessionState.ACTIVE, False)
    assert status.started_at == datetime.fromtimestamp(hold.started_at, UTC)
    assert pod.desk.claims("s")
    assert pod.shown[-1] == Watch("s", frozenset({"s"}), frozenset({"s"}))


@pytest.mark.parametrize("name", ["s", "another"])
async def test_while_a_session_is_active_none_can_be_started(name: str) -> None:
    pod = await active("s")
    with pytest.raises(SessionConflict, match="session s is active in this pod"):
        await pod.desk.start(name, PATIENCE_S)
    assert not pod.asked


async def test_while_a_session_drains_none_can_be_started() -> None:
    pod = await active("s")
    pod.desk.stop()
    with pytest.raises(SessionConflict, match="session s is still draining in this pod"):
        await pod.desk.start("another", PATIENCE_S)


async def test_while_a_start_waits_for_nfs_another_one_is_a_conflict(pod: Pod) -> None:
    starting = await begin(pod, "s")
    with pytest.raises(SessionConflict, match="session s"):
        await pod.desk.start("another", PATIENCE_S)
    pod.holds_what_was_asked()
    await starting
    assert pod.desk.claims("s")


@pytest.mark.parametrize(("holder", "named"), [("pod-b", "pod-b"), (None, "not noted its name yet")])
async def test_a_session_that_another_pod_holds_is_a_conflict_that_names_the_pod(pod: Pod, holder: str | None, named: str) -> None:
    starting = await begin(pod, "s")
    pod.says(SessionDenied("s", holder))
    with pytest.raises(SessionConflict, match=named):
        await starting
    assert pod.desk.status() is None
    assert not pod.lost


async def test_after_a_conflict_another_session_can_be_started(pod: Pod) -> None:
    starting = await begin(pod, "s")
    pod.says(SessionDenied("s", "pod-b"))
    with pytest.raises(SessionConflict):
        await starting
    again = await begin(pod, "t")
    pod.holds_what_was_asked()
    await again
    assert pod.desk.claims("t")


async def test_a_link_where_its_folder_has_to_be_is_a_conflict_that_says_so(pod: Pod) -> None:
    starting = await begin(pod, "s")
    pod.says(SessionUnusable("s", "incoming/s is a symbolic link, which is not followed"))
    with pytest.raises(SessionConflict, match="session s cannot be started: incoming/s is a symbolic link"):
        await starting
    assert pod.desk.active is None
    await started(pod, "t")


async def test_an_error_of_nfs_ends_the_start_and_says_which_one(pod: Pod) -> None:
    starting = await begin(pod, "s")
    pod.says(HoldFailed("s", "EIO: Input/output error"))
    with pytest.raises(NfsSilent, match="EIO"):
        await starting
    assert pod.desk.active is None


async def test_a_start_that_nfs_does_not_answer_gives_up_after_a_while(pod: Pod) -> None:
    with pytest.raises(NfsSilent, match="has not answered for 30 s"):
        await pod.desk.start("s", PATIENCE_S)
    assert clock().passed == pytest.approx(PATIENCE_S)
    assert pod.desk.status() is None


async def test_what_comes_after_a_start_has_given_up_is_released_and_not_looked_after(pod: Pod) -> None:
    with pytest.raises(NfsSilent):
        await pod.desk.start("s", PATIENCE_S)
    hold, release = pod.asked
    assert isinstance(hold, Hold)
    assert release == Release("s", forget=True)

    # NFS answers after all: the Keeper does both, in this order.
    pod.says(held("s", started_at=hold.started_at or 0.0, recorded=False))
    assert not pod.desk.holds("s"), "the lock is about to be released"
    pod.says(SessionReleased("s"))

    assert pod.desk.watch() == NOBODY
    assert pod.desk.status() is None


async def test_a_start_that_has_given_up_can_be_tried_again_at_once(pod: Pod) -> None:
    with pytest.raises(NfsSilent):
        await pod.desk.start("s", PATIENCE_S)
    first, _ = pod.asked
    again = await begin(pod, "s")
    second = pod.asked[-1]
    assert isinstance(first, Hold)
    assert isinstance(second, Hold)

    pod.says(held("s", started_at=first.started_at or 0.0))
    await settled()
    assert not again.done(), "that one is about to be released"
    pod.says(SessionReleased("s"))
    await settled()
    assert not again.done()
    pod.says(held("s", started_at=second.started_at or 0.0))
    await again
    assert pod.desk.claims("s")


async def test_a_caller_that_goes_away_leaves_no_session_half_started(pod: Pod) -> None:
    starting = await begin(pod, "s")
    starting.cancel()
    await asyncio.wait([starting])
    assert pod.desk.active is None
    await started(pod, "t")
    assert pod.desk.claims("t")


# --- Before Azure has answered ---


async def test_before_the_container_has_answered_no_session_is_started_and_no_lock_asked_for() -> None:
    pod = Pod(answered=False)
    with pytest.raises(AzureSilent, match="no session is started: the Azure container has not answered yet"):
        await pod.desk.start("s", PATIENCE_S)
    assert not pod.asked
    assert pod.desk.active is None


async def test_before_the_container_has_answered_none_is_resumed_or_looked_after() -> None:
    pod = Pod(answered=False)
    for _ in range(10):
        pod.looks(seen("s", files=True), seen("t", files=True))
        clock().advance(ADOPT_AFTER_S)
    assert not pod.asked
    pod.admission.container_answered()
    pod.desk.on_admitted()
    assert list(pod.asked) == [Hold("s", record=True)], "as of the last look"


async def test_before_the_first_look_there_is_nothing_to_resume() -> None:
    pod = Pod(answered=False)
    pod.admission.container_answered()
    pod.desk.on_admitted()
    assert not pod.asked


# --- Resume ---


async def test_a_free_pod_resumes_the_newest_session_that_it_finds(pod: Pod) -> None:
    pod.looks(seen("new", date="20260201"), seen("old"))
    assert list(pod.asked) == [Hold("new", record=True)]
    pod.says(held("new", started_at=123.0))

    status = pod.desk.status()
    assert status is not None
    assert (status.name, status.state, status.resumed) == ("new", SessionState.ACTIVE, True)
    assert status.started_at == datetime.fromtimestamp(123.0, UTC), "as the holder before us noted it"
    assert pod.desk.claims("new")


async def test_the_keeper_is_asked_once_however_often_the_scanner_looks(pod: Pod) -> None:
    for _ in range(5):
        pod.looks(seen("s"))
        clock().advance(2.0)
    assert list(pod.asked) == [Hold("s", record=True)]


async def test_a_session_that_was_stopped_is_drained_after_a_restart_and_claims_nothing_new() -> None:
    pod = resumed("s", draining=True)
    status = pod.desk.status()
    assert status is not None
    assert (status.state, status.resumed) == (SessionState.DRAINING, True)
    assert not pod.desk.claims("s")
    assert pod.desk.holds("s")
    assert pod.shown[-1] == Watch(None, frozenset({"s"}), frozenset())


async def test_a_drained_session_of_before_the_restart_ends_like_any_other() -> None:
    pod = resumed("s", draining=True)
    pod.looks(seen("s", files=True))
    assert not pod.asked
    pod.looks(seen("s"))
    assert pod.next_asked() == Release("s", forget=True)
    assert pod.desk.status() is None


async def test_a_session_that_another_pod_holds_is_left_to_it_and_the_next_one_is_tried_at_once(pod: Pod) -> None:
    pod.looks(seen("theirs"), seen("theirs as well"), seen("free"))
    for name in ("theirs", "theirs as well"):
        assert pod.next_asked() == Hold(name, record=True)
        pod.says(SessionDenied(name, "pod-b"))
    assert list(pod.asked) == [Hold("free", record=True)]
    assert not pod.lost


async def test_sessions_of_others_do_not_keep_a_free_pod_from_the_one_that_is_free_however_rarely_it_looks(pod: Pod) -> None:
    for _ in range(3):
        pod.looks(seen("theirs"), seen("free", files=True))
        assert pod.next_asked() == Hold("theirs", record=True)
        pod.says(SessionDenied("theirs", "pod-b"))
        assert pod.next_asked() == Hold("free", record=True)
        pod.says(HoldFailed("free", "EIO"))
        clock().advance(60.0)


async def test_a_session_that_was_denied_is_tried_again_at_the_next_look(pod: Pod) -> None:
    """So that a free pod takes over within two poll intervals, however long these are."""
    for _ in range(3):
        pod.looks(seen("s"))
        assert pod.next_asked() == Hold("s", record=True)
        pod.says(SessionDenied("s", "pod-b"))
        assert not pod.asked
        clock().advance(0.1)


async def test_a_start_that_is_refused_is_no_reason_to_resume_what_was_seen_before_it(pod: Pod) -> None:
    pod.looks(seen("theirs"), seen("free"))
    starting = await begin(pod, "new")
    pod.asked.clear()
    pod.says(SessionDenied("theirs", "pod-b"), SessionDenied("new", "pod-b"))
    with pytest.raises(SessionConflict, match="pod-b"):
        await starting
    assert not pod.asked, "the next look decides"


async def test_a_session_that_nfs_would_not_let_us_hold_does_not_keep_a_free_pod_from_another(pod: Pod) -> None:
    pod.looks(seen("broken"), seen("free"))
    assert pod.next_asked() == Hold("broken", record=True)
    pod.says(HoldFailed("broken", "EACCES"))
    assert list(pod.asked) == [Hold("free", record=True)]


async def test_a_resume_that_nfs_refuses_is_tried_again_at_the_next_look(pod: Pod) -> None:
    pod.looks(seen("s"))
    pod.asked.clear()
    pod.says(HoldFailed("s", "EIO"))
    assert pod.desk.active is None
    pod.looks(seen("s"))
    assert list(pod.asked) == [Hold("s", record=True)]


async def test_a_start_overrides_a_resume_that_has_not_been_answered_yet(pod: Pod) -> None:
    pod.looks(seen("old", files=True))
    starting = await begin(pod, "new")
    pod.holds_what_was_asked()
    await starting

    assert pod.desk.claims("new")
    assert pod.desk.holds("old"), "its files are still looked after"
    assert not pod.desk.claims("old")


async def test_a_start_of_the_very_session_whose_resume_is_pending_makes_it_active_though_it_had_been_stopped(pod: Pod) -> None:
    pod.looks(seen("s"))
    starting = await begin(pod, "s")
    _, hold = pod.asked
    assert isinstance(hold, Hold)
    pod.says(held("s", started_at=500.0, draining=True))  # the resume's answer
    pod.says(held("s", started_at=hold.started_at or 0.0))  # the start's
    await starting

    status = pod.desk.status()
    assert status is not None
    assert (status.state, status.resumed) == (SessionState.ACTIVE, False)
    assert status.started_at == datetime.fromtimestamp(hold.started_at or 0.0, UTC)


# --- Others' files ---


async def test_files_of_a_session_that_nobody_holds_are_looked_after_from_ten_seconds_on() -> None:
    pod = resumed("own")
    for _ in range(5):
        pod.looks(seen("own"), seen("orphan", files=True))
        assert not pod.asked, "its pod may only be restarting"
        clock().advance(2.0)
    pod.looks(seen("own"), seen("orphan", files=True))
    assert list(pod.asked) == [Hold("orphan", record=False)]

    pod.says(held("orphan", recorded=False))
    assert pod.desk.holds("orphan")
    assert not pod.desk.claims("orphan"), "its arrivals are left to a pod that is free"
    assert pod.shown[-1] == Watch("own", frozenset({"own", "orphan"}), frozenset({"own"}))


async def test_a_session_without_files_is_nobodys_business() -> None:
    pod = resumed("own")
    for _ in range(20):
        pod.looks(seen("own"), seen("empty"))
        clock().advance(2.0)
    assert not any(isinstance(asked, Hold) for asked in pod.asked)


async def test_a_session_that_comes_and_goes_is_not_nobodys() -> None:
    pod = resumed("own")
    for number in range(20):
        pod.looks(seen("own"), *([seen("restarting", files=True)] if number % 4 else []))
        clock().advance(2.0)
    assert not any(isinstance(asked, Hold) for asked in pod.asked)


async def test_the_files_of_a_session_that_another_pod_turns_out_to_hold_are_left_to_it() -> None:
    pod = resumed("own")
    found = [seen("own"), seen("theirs", files=True)]
    pod.looks(*found)
    clock().advance(ADOPT_AFTER_S)
    pod.looks(*found)
    pod.asked.clear()
    pod.says(SessionDenied("theirs", "pod-b"))

    clock().advance(ADOPT_AFTER_S - 1)
    pod.looks(*found)
    assert not pod.asked
    assert not pod.desk.holds("theirs")
    assert not pod.lost


@pytest.mark.parametrize("was_active", [True, False])
async def test_once_its_files_are_sent_a_session_that_was_looked_after_is_let_go_and_its_record_stays_if_a_call_had_made_it(
    was_active: bool,
) -> None:
    pod = adopted("orphan", was_active=was_active)
    assert pod.desk.watch().recorded == {"own"} | ({"orphan"} if was_active else set())

    pod.busy.add("orphan")
    pod.looks(seen("own"), seen("orphan"))
    assert not pod.asked, "a file of it is in hand"
    pod.busy.clear()
    pod.looks(seen("own"), seen("orphan", files=True))
    assert not pod.asked, "a file of it is there"
    pod.looks(seen("own"), seen("orphan"))

    assert list(pod.asked) == [Release("orphan", forget=not was_active)]
    assert pod.desk.watch().held == {"own"}
    assert pod.shown[-1].held == {"own"}


async def test_a_session_that_is_looked_after_can_be_started() -> None:
    pod = adopted("orphan")
    pod.looks(seen("orphan", files=True))  # "own" was removed by hand; it stays ours until it is stopped
    pod.desk.stop()
    pod.looks(seen("orphan", files=True))
    pod.holds_what_was_asked()

    await started(pod, "orphan")

    assert pod.desk.claims("orphan")
    assert pod.desk.adopted == {}


async def test_a_session_that_is_being_started_is_not_released_because_its_last_file_was_just_sent() -> None:
    pod = adopted("orphan")
    pod.desk.stop()
    pod.looks(seen("orphan", files=True))
    pod.holds_what_was_asked()

    starting = await begin(pod, "orphan")
    pod.looks(seen("orphan"))
    assert not [asked for asked in pod.asked if isinstance(asked, Release)]
    pod.holds_what_was_asked()
    await starting

    assert pod.desk.claims("orphan")


# --- Stop ---


async def test_a_stop_is_noted_and_ends_the_claims_but_not_the_care_for_what_is_claimed() -> None:
    pod = await active("s")
    assert pod.desk.stop().session == "s"
    assert pod.next_asked() == Drain("s")
    status = pod.desk.status()
    assert status is not None
    assert status.state is SessionState.DRAINING
    assert not pod.desk.claims("s")
    assert pod.desk.holds("s")
    assert pod.shown[-1] == Watch(None, frozenset({"s"}), frozenset())


async def test_a_stop_is_answered_once_it_is_noted() -> None:
    pod = await active("s")
    stopped = asyncio.create_task(pod.desk.stop().settled(PATIENCE_S))
    await settled()
    assert not stopped.done(), "a restart now would make the session active again"
    pod.holds_what_was_asked()
    await stopped


async def test_a_stop_that_nfs_does_not_note_is_asked_for_at_every_look_until_it_does() -> None:
    pod = await active("s")
    stopping = pod.desk.stop()
    for _ in range(3):
        assert list(pod.asked) == [Drain("s")], "once, however often the Scanner looks"
        pod.looks(seen("s", files=True))
        pod.asked.clear()
        pod.says(StopFailed("s", "ENOSPC"))
        assert not pod.asked
        pod.looks(seen("s", files=True))
    with pytest.raises(NfsSilent, match="session s"):
        await stopping.settled(PATIENCE_S)
    pod.holds_what_was_asked()
    await stopping.settled(PATIENCE_S)


async def test_a_stop_is_answered_when_the_session_is_over_before_it_could_be_noted() -> None:
    pod = await active("s")
    stopping = pod.desk.stop()
    pod.asked.clear()
    pod.looks(seen("s"))
    pod.holds_what_was_asked()
    await stopping.settled(PATIENCE_S)


async def test_a_stop_without_a_session_is_refused(pod: Pod) -> None:
    with pytest.raises(NoSession):
        pod.desk.stop()


async def test_a_session_that_drains_cannot_be_stopped_again() -> None:
    pod = await active("s")
    pod.desk.stop()
    with pytest.raises(NoSession):
        pod.desk.stop()


async def test_a_session_that_is_not_held_yet_cannot_be_stopped(pod: Pod) -> None:
    pod.looks(seen("s"))
    with pytest.raises(NoSession):
        pod.desk.stop()


async def test_a_stopped_session_ends_once_nothing_of_it_is_in_hand_or_on_nfs() -> None:
    pod = await active("s")
    pod.busy.add("s")
    pod.desk.stop()
    pod.asked.clear()
    pod.looks(seen("s"))
    assert not pod.asked, "a file of it is in hand"
    pod.busy.clear()
    pod.looks(seen("s", files=True))
    assert not pod.asked, "a file of it is there"
    assert pod.desk.status() is not None

    pod.looks(seen("s"))
    assert list(pod.asked) == [Release("s", forget=True)]
    assert pod.desk.status() is None
    assert pod.shown[-1] == NOBODY


async def test_an_active_session_without_any_file_goes_on() -> None:
    pod = await active("s")
    for _ in range(5):
        pod.looks(seen("s"))
    assert not pod.asked
    assert pod.desk.claims("s")


async def test_a_session_that_had_ended_when_its_resume_was_asked_for_is_not_resumed(pod: Pod) -> None:
    """The look that found it began before its folders were removed, by us or by another pod."""
    pod.looks(seen("s"))
    pod.says(SessionReleased("s"))
    assert pod.desk.active is None
    assert not pod.desk.holds("s")
    await started(pod, "t")
    assert pod.desk.claims("t")


async def test_a_session_that_has_ended_is_not_resumed_for_what_others_left_in_its_folder() -> None:
    pod = resumed("s", draining=True)
    pod.looks(seen("s"))
    pod.asked.clear()
    pod.says(SessionReleased("s", kept=True))
    pod.looks(seen("s"))
    assert not pod.asked
    pod.looks(seen("s", files=True))
    assert list(pod.asked) == [Hold("s", record=True)], "a file is to be sent all the same"


async def test_it_can_be_started_again() -> None:
    pod = resumed("s", draining=True)
    pod.looks(seen("s"))
    pod.says(SessionReleased("s", kept=True))
    await started(pod, "s")
    assert pod.desk.claims("s")


# --- A Keeper that starts anew, and pods that were quicker ---


async def test_a_new_keeper_is_asked_for_everything_that_is_held() -> None:
    pod = adopted("orphan")
    greeting = pod.desk.greeting()
    assert {(hold.session, hold.record) for hold in greeting if isinstance(hold, Hold)} == {("own", True), ("orphan", False)}
    assert len(greeting) == 2


async def test_a_new_keeper_does_not_make_a_stopped_session_active_again() -> None:
    pod = await active("s")
    pod.desk.stop()
    [hold] = pod.desk.greeting()
    assert isinstance(hold, Hold)
    assert not hold.record, "to record it is to make it active"


async def test_a_session_that_is_not_held_yet_is_not_asked_for_twice(pod: Pod) -> None:
    pod.looks(seen("s"))
    assert pod.desk.greeting() == [], "the job in hand is delivered again"


async def test_a_session_that_a_new_keeper_holds_again_goes_on_as_it_was() -> None:
    pod = await active("s")
    before = pod.desk.status()
    pod.says(held("s", started_at=5.0, draining=True))
    assert pod.desk.status() == before


@pytest.mark.parametrize("holder", ["pod-b", None])
async def test_a_pod_whose_session_another_one_has_taken_ends(holder: str | None) -> None:
    pod = await active("s")
    pod.says(SessionDenied("s", holder))
    assert len(pod.lost) == 1
    assert "session s" in pod.lost[0]
    assert (holder or "another pod") in pod.lost[0]


async def test_a_pod_that_loses_the_files_that_it_looked_after_ends_too() -> None:
    pod = adopted("orphan")
    pod.says(SessionDenied("orphan", "pod-b"))
    assert len(pod.lost) == 1


async def test_a_lock_that_nfs_would_not_give_back_is_asked_for_at_every_look_until_it_is_ours_or_another_pods() -> None:
    pod = await active("s")
    [hold] = pod.desk.greeting()
    pod.says(HoldFailed("s", "EIO"))
    assert pod.desk.status() is not None
    pod.looks(seen("s"))
    assert list(pod.asked) == [hold]
    pod.looks(seen("s"))
    assert list(pod.asked) == [hold], "it is with the Keeper"

    pod.asked.clear()
    pod.says(HoldFailed("s", "EIO"))
    pod.looks(seen("s"))
    assert list(pod.asked) == [hold]
    pod.asked.clear()
    pod.says(held("s"))
    pod.looks(seen("s"))
    assert not pod.asked


async def test_that_a_lock_is_still_ours_is_confirmed_from_time_to_time() -> None:
    """And a pod whose lock another one has ends: `test_a_pod_whose_session_another_one_has_taken_ends`."""
    pod = adopted("orphan")
    clock().advance(CONFIRM_S)
    for _ in range(2):
        pod.looks(seen("own"), seen("orphan", files=True))
        assert list(pod.asked) == [Confirm("orphan"), Confirm("own")]
        pod.asked.clear()
        clock().advance(CONFIRM_S - 1)
        pod.looks(seen("own"), seen("orphan", files=True))
        assert not pod.asked
        clock().advance(1)


async def test_the_keeper_may_be_replaced_while_nothing_is_held(pod: Pod) -> None:
    assert not pod.desk.holds_any
    pod.looks(seen("s"))
    assert not pod.desk.holds_any, "only asked for"
    pod.says(held("s"))
    assert pod.desk.holds_any
