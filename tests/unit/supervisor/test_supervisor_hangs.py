"""Hangs: read off the board, treated with the smaller remedy first, and in the end a matter for the kubelet."""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from nfsw.actors.envelope import Lost
from nfsw.actors.files import FileRef
from nfsw.actors.messages import Evicted, EvictStaged, ReportAgain
from nfsw.supervisor.actor_state import ActorState
from nfsw.supervisor.supervisor import MOST_DELIVERIES, MOST_LOST, REAP_S
from nfsw.supervisor.watchdog import START_S
from tests.support.faketime import clock, settled
from tests.unit.supervisor.company import ESCALATE_S, HANG_S, Company, RecordingHandler, company

#: Between two looks at the boards, and a little.
GLANCE_S = 1.1
CALL = "scandir incoming/s"
JOB = EvictStaged(FileRef("20260131", "s", "a"))


@asynccontextmanager
async def actor(*, expendable: Callable[[], bool] = lambda: True) -> AsyncIterator[Company]:
    """A company of one, called "a", that takes messages."""
    async with company(expendable=expendable) as one:
        one["a"].starts()
        await settled()
        yield one


async def hangs(one: Company, seconds: float = HANG_S + GLANCE_S) -> None:
    one["a"].enters(CALL)
    await asyncio.sleep(seconds)


async def comes_back(one: Company) -> None:
    """NFS answers the process that there is now."""
    one["a"].leaves()
    for _ in range(3):
        one["a"].enters(CALL)
        await asyncio.sleep(0.01)
        one["a"].leaves()
        await asyncio.sleep(GLANCE_S)


# --- One that can be killed ---


async def test_a_call_that_is_younger_than_the_timeout_is_no_hang() -> None:
    async with actor() as one:
        await hangs(one, HANG_S - GLANCE_S)
        assert one.state("a") is ActorState.RUNNING
        assert one["a"].kills == []


async def test_a_process_that_hangs_in_a_call_is_killed_and_replaced_and_its_job_delivered_again() -> None:
    async with actor() as one:
        one.ask("a", JOB)
        await settled()
        first = one["a"]
        await hangs(one)
        assert clock().now() - first.kills[0] < 2 * GLANCE_S
        assert len(one.processes("a")) == 2
        assert first.closed
        assert one["a"].hears() == [JOB]


async def test_one_thread_that_hangs_is_enough_though_the_others_work() -> None:
    async with actor() as one:
        one["a"].enters("read a.bin", slot=1)
        for _ in range(40):
            one["a"].enters(CALL)
            await asyncio.sleep(1)
            one["a"].leaves()
            if len(one.processes("a")) > 1:
                break
        assert len(one.processes("a")) == 2


async def test_while_it_hangs_the_service_is_unready_and_says_who_waits_in_which_call_for_how_long() -> None:
    async with actor() as one:
        await hangs(one)
        await hangs(one, 10)
        assert one.state("a") is ActorState.HUNG
        unready = one.supervisor.unready()
        assert unready is not None
        assert unready.startswith(f"a: blocked in {CALL} for 41")
        assert one.supervisor.unhealthy_reason() is None


async def test_a_replacement_that_says_it_runs_is_not_believed_before_it_has_made_its_calls() -> None:
    async with actor() as one:
        one.ask("a", JOB)
        await hangs(one)
        one["a"].starts()
        one["a"].enters(CALL)
        await asyncio.sleep(GLANCE_S)
        assert one.state("a") is ActorState.HUNG


async def test_once_nfs_answers_the_hang_is_over_within_three_seconds() -> None:
    async with actor() as one:
        one.ask("a", JOB)
        await hangs(one, HANG_S + 15)
        one["a"].starts()
        one["a"].enters(CALL)
        one["a"].leaves()
        await asyncio.sleep(3)
        assert one.supervisor.unready() is None


async def test_calls_that_the_cache_answers_do_not_end_a_hang() -> None:
    """A new process may make some, and then hang like the one before it."""
    async with actor() as one:
        one.ask("a", JOB)
        await hangs(one)
        one["a"].enters("statx a")
        one["a"].leaves()
        one["a"].enters(CALL)
        for _ in range(25):
            await asyncio.sleep(1)
            assert one.state("a") is ActorState.HUNG


async def test_a_server_that_is_slow_but_answers_is_no_hang_for_ever() -> None:
    """Five seconds a call are much, and no reason to restart the pod."""
    async with actor() as one:
        one.ask("a", JOB)
        await hangs(one)
        one["a"].starts()
        for _ in range(30):
            one["a"].enters(CALL)
            await asyncio.sleep(5)
            one["a"].leaves()
        assert one.supervisor.unhealthy_reason() is None
        assert one.state("a") is ActorState.RUNNING


@pytest.mark.parametrize("boot_s", [0.1, 0.5, 0.9, 1.3, 2.5, 5.0])
async def test_a_replacement_that_takes_its_time_to_start_and_then_hangs_does_not_end_the_hang(boot_s: float) -> None:
    """It has nothing in hand and makes no call meanwhile, which is no sign of life of NFS."""
    async with actor() as one:
        begun = clock().now()
        await hangs(one)
        for _ in range(3):
            await asyncio.sleep(boot_s)
            one["a"].starts()
            await hangs(one)
        assert one.supervisor.unhealthy_reason() is not None
        assert clock().now() - begun < ESCALATE_S + HANG_S


async def test_a_second_hang_counts_from_its_own_beginning() -> None:
    async with actor() as one:
        await hangs(one, 100)
        await comes_back(one)
        one["a"].starts()
        await asyncio.sleep(GLANCE_S)
        assert one.state("a") is ActorState.RUNNING
        await hangs(one, 100)
        assert one.supervisor.unhealthy_reason() is None


async def test_deaths_by_hanging_are_no_crashes() -> None:
    """The remedy for a server that is away is to wait for it; the limit is the hang's own."""
    async with actor() as one:
        for _ in range(10):
            await hangs(one)
            await comes_back(one)
        assert one.supervisor.unhealthy_reason() is None
        assert one.refs["a"].restarts == 10


async def test_a_job_that_hangs_in_every_process_is_lost_and_may_come_back_soon() -> None:
    """It may be the server that hangs, and not the file; and such deaths make no pod unhealthy."""
    async with actor() as one:
        [asked] = one.ask("a", JOB)
        for _ in range(MOST_DELIVERIES):
            assert asked.replies == []
            await hangs(one)
        assert asked.replies == [Lost("a died 3 times with this in hand", 0.0)]


# --- Silence ---


async def test_a_process_that_does_not_run_is_killed_and_replaced() -> None:
    async with actor() as one:
        first = one["a"]
        first.goes_silent()
        await asyncio.sleep(HANG_S + GLANCE_S)
        assert len(first.kills) >= 1
        assert len(one.processes("a")) == 2


async def test_a_process_that_never_came_to_run_is_killed_and_replaced() -> None:
    async with company(beats=False) as one:
        await asyncio.sleep(HANG_S + GLANCE_S)
        assert len(one.processes("a")) == 2


async def test_after_a_silence_an_actor_with_a_job_that_makes_no_call_is_well_again() -> None:
    async with actor() as one:
        one.ask("a", JOB)
        await settled()
        one["a"].goes_silent()
        await asyncio.sleep(HANG_S + GLANCE_S)
        one["a"].starts()
        await asyncio.sleep(3 * GLANCE_S)
        assert one.state("a") is ActorState.RUNNING


# --- One that never starts ---


async def seconds_until_unhealthy(one: Company, at_most: float = 3600) -> float:
    begun = clock().now()
    while one.supervisor.unhealthy_reason() is None:
        await asyncio.sleep(1)
        assert clock().now() - begun < at_most, "it never asks for a restart"
    return clock().now() - begun


async def test_a_process_that_never_comes_to_run_makes_the_pod_unhealthy_in_the_time_of_a_hang() -> None:
    async with company(beats=False) as one:
        assert await seconds_until_unhealthy(one) == pytest.approx(ESCALATE_S, abs=2 * GLANCE_S)
        assert (one.supervisor.unhealthy_reason() or "").startswith("a: no heartbeat for 12")
        assert len(one.processes("a")) <= ESCALATE_S // HANG_S + 1, "each one had its time"


async def test_a_process_that_runs_and_never_takes_a_message_makes_the_pod_unhealthy_in_five_minutes() -> None:
    async with company() as one:
        assert await seconds_until_unhealthy(one) == pytest.approx(START_S, abs=2 * GLANCE_S)
        assert (one.supervisor.unhealthy_reason() or "").startswith("a: starting for 30")


async def test_a_slow_start_is_none_of_these() -> None:
    """An emulated processor, or a disk that is busy: the imports take minutes, and heartbeats come all the while."""
    async with company() as one:
        await asyncio.sleep(START_S - GLANCE_S)
        one["a"].starts()
        await asyncio.sleep(GLANCE_S)
        assert len(one.processes("a")) == 1
        assert one.supervisor.unready() is None


async def test_a_process_that_has_not_started_is_no_end_of_a_silence() -> None:
    async with actor() as one:
        one["a"].goes_silent()
        await asyncio.sleep(HANG_S + GLANCE_S)
        assert len(one.processes("a")) == 2
        await asyncio.sleep(HANG_S)
        assert one.state("a") is ActorState.HUNG
        one["a"].starts()
        await asyncio.sleep(3 * GLANCE_S)
        assert one.state("a") is ActorState.RUNNING


async def test_processes_that_crash_before_they_start_count_though_the_actor_hangs() -> None:
    """Else a program that cannot be imported would be started without end, as fast as the machine can."""
    async with actor() as one:
        await hangs(one)
        for _ in range(6):
            one["a"].exits(1)
            await settled()
        assert one.supervisor.unhealthy_reason() == "a died more than 5 times within 60 s"


async def test_processes_that_end_slowly_before_they_start_make_the_pod_unhealthy_in_the_time_of_a_hang() -> None:
    """A slow machine: too few deaths a minute for the restart intensity."""
    async with company() as one:
        begun = clock().now()
        while one.supervisor.unhealthy_reason() is None:
            await asyncio.sleep(20)
            one["a"].exits(1)
        assert clock().now() - begun == pytest.approx(ESCALATE_S, abs=20)
        assert (one.supervisor.unhealthy_reason() or "").startswith("a: ends again and again before it has started for 12")


async def test_a_process_that_starts_ends_such_a_series() -> None:
    async with company() as one:
        for _ in range(20):
            await asyncio.sleep(20)
            one["a"].exits(1)
            await asyncio.sleep(20)
            one["a"].starts()
            await asyncio.sleep(3 * GLANCE_S)
            assert one.supervisor.unready() is None
            one["a"].exits(1)
            await settled()
        assert one.supervisor.unhealthy_reason() is None


async def test_processes_that_are_killed_for_a_silence_at_their_start_count() -> None:
    async with company(beats=False) as one:
        one.refs["a"].intensity.restarts = 0
        await asyncio.sleep(HANG_S + GLANCE_S)
        assert one.supervisor.unhealthy_reason() == "a died more than 0 times within 60 s"


async def test_an_actor_that_cannot_be_started_is_tried_again_after_growing_pauses_and_then_works() -> None:
    async with company(unstartable=OSError(errno.EMFILE, "Too many open files")) as one:
        assert one.supervisor.begun.is_set()
        assert one.state("a") is ActorState.HUNG
        await asyncio.sleep(50)
        assert [round(later - at) for at, later in pairwise(one.processes("a").attempts)] == [1, 2, 4, 8, 15, 15]
        assert one.supervisor.unready() == "a: cannot be started (Too many open files) for 50 s"
        one.processes("a").unstartable = None
        await asyncio.sleep(15)
        one["a"].starts()
        one.ask("a", JOB)
        await asyncio.sleep(3 * GLANCE_S)
        assert one["a"].hears() == [JOB]
        assert one.supervisor.unready() is None
        assert one.supervisor.unhealthy_reason() is None


async def test_an_actor_that_can_never_be_started_makes_the_pod_unhealthy_in_the_time_of_a_hang() -> None:
    async with company(unstartable=OSError(errno.ENOMEM, "Cannot allocate memory")) as one:
        assert await seconds_until_unhealthy(one) == pytest.approx(ESCALATE_S, abs=2 * GLANCE_S)
        assert (one.supervisor.unhealthy_reason() or "").startswith("a: cannot be started (Cannot allocate memory) for 12")


async def test_an_actor_that_died_and_cannot_be_started_again_keeps_its_job() -> None:
    async with actor() as one:
        one.ask("a", JOB)
        await settled()
        one.processes("a").unstartable = BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        one["a"].exits(1)
        await asyncio.sleep(2)
        one.processes("a").unstartable = None
        await asyncio.sleep(5)
        assert one["a"].hears() == [JOB]


# --- One that cannot be killed ---


async def test_a_process_that_does_not_end_on_sigkill_is_lost_and_replaced() -> None:
    async with actor() as one:
        one.ask("a", JOB)
        await settled()
        first = one["a"]
        first.unkillable = True
        await hangs(one)
        assert len(one.processes("a")) == 1, "it may still be dying"
        await asyncio.sleep(REAP_S)
        assert len(one.processes("a")) == 2
        assert one.refs["a"].lost == [first]
        assert one["a"].hears() == [JOB]
        assert not first.closed


async def test_what_a_lost_process_says_later_is_not_heard() -> None:
    handler = RecordingHandler()
    async with company(handler=handler) as one:
        [asked] = one.ask("a", JOB)
        await settled()
        first = one["a"]
        first.unkillable = True
        await hangs(one, HANG_S + REAP_S + GLANCE_S)
        assert len(one.processes("a")) == 2
        first.replies(JOB, Evicted())
        first.says(ReportAgain(JOB.file))
        await settled()
        assert (handler.heard, asked.replies) == ([], [])


async def test_a_lost_process_that_ends_after_all_is_reaped() -> None:
    async with actor() as one:
        first = one["a"]
        first.unkillable = True
        await hangs(one, HANG_S + REAP_S + GLANCE_S)
        first.exits(-9)
        await settled()
        assert one.refs["a"].lost == []
        assert first.closed


async def loses_all(one: Company) -> None:
    for _ in range(MOST_LOST):
        one["a"].unkillable = True
        await hangs(one, HANG_S + REAP_S + 2 * GLANCE_S)


async def test_no_more_than_three_processes_are_lost_at_a_time() -> None:
    async with actor() as one:
        await loses_all(one)
        assert len(one.processes("a")) == MOST_LOST
        await asyncio.sleep(3600)
        assert len(one.processes("a")) == MOST_LOST
        assert one.refs["a"].child is None


async def test_as_soon_as_one_of_three_lost_processes_returns_there_is_another_one() -> None:
    async with actor() as one:
        one.ask("a", JOB)
        await loses_all(one)
        one.processes("a").all[1].exits(-9)
        await settled()
        assert len(one.processes("a")) == MOST_LOST + 1
        assert len(one.refs["a"].lost) == MOST_LOST - 1


async def test_at_the_end_lost_processes_are_killed_too_and_those_that_stay_are_named(caplog: pytest.LogCaptureFixture) -> None:
    async with actor() as one:
        first = one["a"]
        first.unkillable = True
        await hangs(one, HANG_S + REAP_S + GLANCE_S)
        before = len(first.kills)
        one.supervisor.end()
        assert len(first.kills) == before + 1
        assert caplog.messages[-1] == f"cannot be killed while blocked in the kernel until NFS answers: a, pid {first.pid}"


# --- One that must not be killed ---


async def test_an_actor_that_holds_locks_is_not_killed_for_a_hang() -> None:
    async with actor(expendable=lambda: False) as one:
        await hangs(one, HANG_S + 60)
        assert one["a"].kills == []
        assert one.state("a") is ActorState.HUNG
        await comes_back(one)
        assert one.state("a") is ActorState.RUNNING
        assert len(one.processes("a")) == 1


async def test_it_is_killed_once_it_holds_none() -> None:
    holds = True
    async with actor(expendable=lambda: not holds) as one:
        await hangs(one, HANG_S + 10)
        assert len(one.processes("a")) == 1
        holds = False
        await asyncio.sleep(GLANCE_S)
        assert len(one.processes("a")) == 2


async def test_its_process_is_killed_if_it_does_not_run_at_all() -> None:
    """It holds the locks, and can do nothing with them."""
    async with actor(expendable=lambda: False) as one:
        one["a"].goes_silent()
        await asyncio.sleep(HANG_S + GLANCE_S)
        assert len(one.processes("a")) == 2


# --- The limit ---


@pytest.mark.parametrize("killable", ["killable", "unkillable", "not to be killed"])
async def test_a_hang_that_lasts_in_spite_of_everything_makes_the_pod_unhealthy_for_good(killable: str) -> None:
    async with actor(expendable=lambda: killable != "not to be killed") as one:
        begun = clock().now()
        while one.supervisor.unhealthy_reason() is None:
            one["a"].unkillable = killable == "unkillable"
            if one["a"].alive and one["a"].board.oldest() is None:
                one["a"].enters(CALL)
            await asyncio.sleep(0.5)
        assert clock().now() - begun == pytest.approx(ESCALATE_S, abs=2)
        reason = one.supervisor.unhealthy_reason()
        assert reason is not None
        assert CALL in reason

        for child in one.processes("a").all:
            child.exits(-9)
        await asyncio.sleep(1)
        await comes_back(one)
        await asyncio.sleep(60)
        assert one.supervisor.unhealthy_reason() == reason


async def test_a_hang_of_one_actor_leaves_the_others_alone() -> None:
    async with company("a", "b") as two:
        two["b"].starts()
        for _ in range(5):
            await hangs(two)
        assert two.supervisor.unhealthy_reason() is not None
        assert len(two.processes("b")) == 1
        two.ask("b", JOB)
        await settled()
        assert two["b"].hears() == [JOB]


async def test_a_hang_does_not_make_the_pod_unhealthy_while_staged_files_still_go_to_azure() -> None:
    """A restart would end the uploads and mount nothing anew."""
    async with actor(expendable=lambda: False) as one:
        one["a"].enters(CALL)
        for _ in range(10):
            await asyncio.sleep(ESCALATE_S / 2)
            one.progressed_at = clock().now()
            assert one.supervisor.unhealthy_reason() is None
        assert one.supervisor.unready() is not None
        assert await seconds_until_unhealthy(one) == pytest.approx(ESCALATE_S, abs=GLANCE_S)


async def test_progress_before_the_hang_does_not_make_it_longer() -> None:
    async with actor(expendable=lambda: False) as one:
        one.progressed_at = clock().now()
        await asyncio.sleep(50)
        one["a"].enters(CALL)
        assert await seconds_until_unhealthy(one) == pytest.approx(ESCALATE_S, abs=GLANCE_S)
