"""A session that is over, of which a kept file is to be sent again: it is looked after, and never made active."""

import pytest

from nfsw.actors.messages import AcquireLock, ReleaseLock, SessionDenied, SessionFound, SessionHeld, SessionReleased, WatchedSessions
from nfsw.supervisor.sessions import ORPHANED_AFTER_S
from tests.support.faketime import clock, settled
from tests.unit.supervisor.pods import Pod, seen
from tests.unit.supervisor.test_sessions import begin

OVER = SessionFound("old", "20260131", 0, files=True, over=True)
ORPHAN = AcquireLock("old", record=False)
HELD = SessionHeld(1000.0, draining=True, recorded=True)


async def pod_with(active: str | None) -> Pod:
    pod = Pod()
    if active:
        starting = await begin(pod, active)
        pod.answers(active, SessionHeld(1000.0, draining=False, recorded=True))
        await starting
    return pod


@pytest.mark.parametrize("active", ["own", None])
async def test_it_is_taken_up_as_an_orphan_by_a_pod_with_a_session_of_its_own_and_by_one_without(active: str | None) -> None:
    pod = await pod_with(active)
    others = (seen(active),) if active else ()
    pod.scans(*others, OVER)
    assert pod.asked == [], "who has just held it may be back soon"
    clock().advance(ORPHANED_AFTER_S)
    pod.scans(*others, OVER)
    assert pod.asked == [ORPHAN]
    pod.answers("old", HELD)
    assert pod.shown[-1] == WatchedSessions(active, frozenset({"old", *filter(None, [active])}), frozenset(filter(None, [active])))
    assert (pod.sessions.status() is None) is (active is None), "it is no session of this pod's"
    pod.scans(*others, seen("old"))
    assert pod.asked == [ReleaseLock("old", forget=True)]
    pod.answers("old", SessionReleased(kept=True))
    pod.scans(*others)
    assert pod.asked == []


async def test_a_free_pod_still_resumes_a_session_that_is_not_over() -> None:
    pod = await pod_with(None)
    pod.scans(OVER, seen("new", files=True))
    assert pod.asked == [AcquireLock("new", record=True)]
    pod.answers("new", SessionHeld(1000.0, draining=False, recorded=True))
    assert pod.sessions.claims("new")
    clock().advance(ORPHANED_AFTER_S)
    pod.scans(OVER, seen("new"))
    assert pod.asked == [ORPHAN]


async def test_a_session_can_be_started_while_the_pod_looks_after_one_that_is_over() -> None:
    pod = await pod_with(None)
    pod.scans(OVER)
    clock().advance(ORPHANED_AFTER_S)
    pod.scans(OVER)
    pod.answers("old", HELD)
    starting = await begin(pod, "new")
    pod.answers("new", SessionHeld(2000.0, draining=False, recorded=True))
    await starting
    assert pod.sessions.claims("new")
    assert pod.sessions.holds("old")


async def test_it_can_be_started_again_itself() -> None:
    pod = await pod_with(None)
    pod.scans(OVER)
    clock().advance(ORPHANED_AFTER_S)
    pod.scans(OVER)
    pod.answers("old", HELD)
    starting = await begin(pod, "old")
    pod.answers("old", SessionHeld(2000.0, draining=False, recorded=True))
    await starting
    assert pod.sessions.claims("old")


async def test_one_that_another_pod_holds_is_left_to_it() -> None:
    pod = await pod_with(None)
    pod.scans(OVER)
    clock().advance(ORPHANED_AFTER_S)
    pod.scans(OVER)
    pod.answers("old", SessionDenied("pod-b"))
    await settled()
    assert not pod.sessions.holds("old")
    pod.scans(OVER)
    assert pod.asked == []
