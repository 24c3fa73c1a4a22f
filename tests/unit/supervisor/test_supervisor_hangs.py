"""Hangs: read off the board, treated with the smaller remedy first, and in the end a matter for the kubelet."""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from nfsw.actors.files import FileRef, Fingerprint
from nfsw.actors.messages import Complete
from nfsw.supervisor.status import ActorState
from nfsw.supervisor.supervisor import MOST_DELIVERIES, MOST_LOST, REAP_S
from nfsw.supervisor.watchdog import START_S
from tests.support.faketime import clock, settled
from tests.support.memory_child import Lives
from tests.unit.supervisor.company import ESCALATE_S, HANG_S, Company, Play, ref

#: Between two looks at the boards, and a little.
GLANCE_S = 1.1
CALL = "scandir incoming/s"
JOB = Complete(FileRef("20260131", "s", "a"), Fingerprint(1, 0, 0, 0))


@asynccontextmanager
async def actor(*, expendable: Callable[[], bool] = lambda: True, play: Play | None = None) -> AsyncIterator[Company]:
    """A company of one, called "a", that takes messages."""
    lives = Lives()
    async with Company(ref("a", lives, 1, expendable=expendable), plot=play or Play(), lives={"a": lives}) as company:
        company["a"].starts()
        await settled()
        yield company


async def hangs(company: Company, seconds: float = HANG_S + GLANCE_S) -> None:
    company["a"].enters(CALL)
    await asyncio.sleep(seconds)


async def comes_back(company: Company) -> None:
    """NFS answers the life that there is now."""
    company["a"].leaves()
    for _ in range(3):
        company["a"].enters(CALL)
        await asyncio.sleep(0.01)
        company["a"].leaves()
        await asyncio.sleep(GLANCE_S)


# --- One that can be killed ---


async def test_a_call_that_is_younger_than_the_timeout_is_no_hang() -> None:
    async with actor() as company:
        await hangs(company, HANG_S - GLANCE_S)
        assert company.refs["a"].status().state is ActorState.RUNNING
        assert company["a"].kills == []


async def test_a_life_that_hangs_in_a_call_is_killed_and_replaced_and_its_job_delivered_again() -> None:
    async with actor() as company:
        company.post("a", JOB)
        await settled()
        first = company["a"]
        await hangs(company)
        assert clock().now() - first.kills[0] < 2 * GLANCE_S
        assert len(company.lives("a")) == 2
        assert first.closed
        [again] = company["a"].reads()
        assert (again.message, again.attempt) == (JOB, 2)


async def test_one_thread_that_hangs_is_enough_though_the_others_work() -> None:
    async with actor() as company:
        company["a"].enters("read a.bin", slot=1)
        for _ in range(40):
            company["a"].enters(CALL)
            await asyncio.sleep(1)
            company["a"].leaves()
            if len(company.lives("a")) > 1:
                break
        assert len(company.lives("a")) == 2


async def test_while_it_hangs_the_service_is_unready_and_says_who_waits_in_which_call_for_how_long() -> None:
    async with actor() as company:
        await hangs(company)
        await hangs(company, 10)
        assert company.refs["a"].status().state is ActorState.HUNG
        unready = company.supervisor.unready()
        assert unready is not None
        assert unready.startswith(f"a: blocked in {CALL} for 41")
        assert company.supervisor.sick() is None


async def test_a_replacement_that_says_it_runs_is_not_believed_before_it_has_made_its_calls() -> None:
    async with actor() as company:
        company.post("a", JOB)
        await hangs(company)
        company["a"].starts()
        company["a"].enters(CALL)
        await asyncio.sleep(GLANCE_S)
        assert company.refs["a"].status().state is ActorState.HUNG


async def test_once_nfs_answers_the_hang_is_over_within_three_seconds() -> None:
    async with actor() as company:
        company.post("a", JOB)
        await hangs(company, HANG_S + 15)
        company["a"].starts()
        company["a"].enters(CALL)
        company["a"].leaves()
        await asyncio.sleep(3)
        assert company.supervisor.unready() is None


async def test_calls_that_the_cache_answers_do_not_end_a_hang() -> None:
    """A new life may make some, and then hang like the one before it."""
    async with actor() as company:
        company.post("a", JOB)
        await hangs(company)
        company["a"].enters("statx a")
        company["a"].leaves()
        company["a"].enters(CALL)
        for _ in range(25):
            await asyncio.sleep(1)
            assert company.refs["a"].status().state is ActorState.HUNG


async def test_a_server_that_is_slow_but_answers_is_no_hang_for_ever() -> None:
    """Five seconds a call are much, and no reason to restart the pod."""
    async with actor() as company:
        company.post("a", JOB)
        await hangs(company)
        company["a"].starts()
        for _ in range(30):
            company["a"].enters(CALL)
            await asyncio.sleep(5)
            company["a"].leaves()
        assert company.supervisor.sick() is None
        assert company.refs["a"].status().state is ActorState.RUNNING


@pytest.mark.parametrize("boot_s", [0.1, 0.5, 0.9, 1.3, 2.5, 5.0])
async def test_a_replacement_that_takes_its_time_to_start_and_then_hangs_does_not_end_the_hang(boot_s: float) -> None:
    """It has nothing in hand and makes no call meanwhile, which is no sign of life of NFS."""
    async with actor() as company:
        begun = clock().now()
        await hangs(company)
        for _ in range(3):
            await asyncio.sleep(boot_s)
            company["a"].starts()
            await hangs(company)
        assert company.supervisor.sick() is not None
        assert clock().now() - begun < ESCALATE_S + HANG_S


async def test_a_second_hang_counts_from_its_own_beginning() -> None:
    async with actor() as company:
        await hangs(company, 100)
        await comes_back(company)
        company["a"].starts()
        await asyncio.sleep(GLANCE_S)
        assert company.refs["a"].status().state is ActorState.RUNNING
        await hangs(company, 100)
        assert company.supervisor.sick() is None


async def test_deaths_by_hanging_are_no_crashes() -> None:
    """The remedy for a server that is away is to wait for it; the limit is the hang's own."""
    async with actor() as company:
        for _ in range(10):
            await hangs(company)
            await comes_back(company)
        assert company.supervisor.sick() is None
        assert company.refs["a"].restarts == 10


async def test_a_job_that_hangs_in_every_life_is_set_aside_and_may_come_back_soon() -> None:
    """It may be the server that hangs, and not the file; and such deaths make no pod sick."""
    play = Play()
    async with actor(play=play) as company:
        company.post("a", JOB)
        for _ in range(MOST_DELIVERIES):
            assert play.dead_letters == []
            await hangs(company)
        [(letter, _, again_after_s)] = play.dead_letters
        assert (letter, again_after_s) == (JOB, 0.0)


# --- Silence ---


async def test_a_process_that_does_not_run_is_killed_and_replaced() -> None:
    async with actor() as company:
        first = company["a"]
        first.goes_silent()
        await asyncio.sleep(HANG_S + GLANCE_S)
        assert len(first.kills) >= 1
        assert len(company.lives("a")) == 2


async def test_a_process_that_never_came_to_run_is_killed_and_replaced() -> None:
    lives = Lives(beats=False)
    async with Company(ref("a", lives), plot=Play(), lives={"a": lives}) as company:
        await asyncio.sleep(HANG_S + GLANCE_S)
        assert len(company.lives("a")) == 2


async def test_after_a_silence_an_actor_with_a_job_that_makes_no_call_is_well_again() -> None:
    async with actor() as company:
        company.post("a", JOB)
        await settled()
        company["a"].goes_silent()
        await asyncio.sleep(HANG_S + GLANCE_S)
        company["a"].starts()
        await asyncio.sleep(3 * GLANCE_S)
        assert company.refs["a"].status().state is ActorState.RUNNING


# --- One that never starts ---


async def seconds_until_sick(company: Company, at_most: float = 3600) -> float:
    begun = clock().now()
    while company.supervisor.sick() is None:
        await asyncio.sleep(1)
        assert clock().now() - begun < at_most, "it never asks for a restart"
    return clock().now() - begun


async def test_a_process_that_never_comes_to_run_makes_the_pod_sick_in_the_time_of_a_hang() -> None:
    lives = Lives(beats=False)
    async with Company(ref("a", lives), plot=Play(), lives={"a": lives}) as company:
        assert await seconds_until_sick(company) == pytest.approx(ESCALATE_S, abs=2 * GLANCE_S)
        assert (company.supervisor.sick() or "").startswith("a: no heartbeat for 12")
        assert len(lives) <= ESCALATE_S // HANG_S + 1, "each one had its time"


async def test_a_process_that_runs_and_never_takes_a_message_makes_the_pod_sick_in_five_minutes() -> None:
    lives = Lives()
    async with Company(ref("a", lives), plot=Play(), lives={"a": lives}) as company:
        assert await seconds_until_sick(company) == pytest.approx(START_S, abs=2 * GLANCE_S)
        assert (company.supervisor.sick() or "").startswith("a: starting for 30")


async def test_a_slow_start_is_none_of_these() -> None:
    """An emulated processor, or a disk that is busy: the imports take minutes, and heartbeats come all the while."""
    lives = Lives()
    async with Company(ref("a", lives), plot=Play(), lives={"a": lives}) as company:
        await asyncio.sleep(START_S - GLANCE_S)
        company["a"].starts()
        await asyncio.sleep(GLANCE_S)
        assert len(lives) == 1
        assert company.supervisor.unready() is None


async def test_a_life_that_has_not_started_is_no_end_of_a_silence() -> None:
    async with actor() as company:
        company["a"].goes_silent()
        await asyncio.sleep(HANG_S + GLANCE_S)
        assert len(company.lives("a")) == 2
        await asyncio.sleep(HANG_S)
        assert company.refs["a"].status().state is ActorState.HUNG
        company["a"].starts()
        await asyncio.sleep(3 * GLANCE_S)
        assert company.refs["a"].status().state is ActorState.RUNNING


async def test_lives_that_crash_before_they_start_count_though_the_actor_hangs() -> None:
    """Else a program that cannot be imported would be started without end, as fast as the machine can."""
    async with actor() as company:
        await hangs(company)
        for _ in range(6):
            company["a"].exits(1)
            await settled()
        assert company.supervisor.sick() == "a died more than 5 times within 60 s"


async def test_lives_that_end_slowly_before_they_start_make_the_pod_sick_in_the_time_of_a_hang() -> None:
    """A slow machine: too few deaths a minute for the restart intensity."""
    lives = Lives()
    async with Company(ref("a", lives), plot=Play(), lives={"a": lives}) as company:
        begun = clock().now()
        while company.supervisor.sick() is None:
            await asyncio.sleep(20)
            company["a"].exits(1)
        assert clock().now() - begun == pytest.approx(ESCALATE_S, abs=20)
        assert (company.supervisor.sick() or "").startswith("a: ends again and again before it has started for 12")


async def test_a_life_that_starts_ends_such_a_series() -> None:
    lives = Lives()
    async with Company(ref("a", lives), plot=Play(), lives={"a": lives}) as company:
        for _ in range(20):
            await asyncio.sleep(20)
            company["a"].exits(1)
            await asyncio.sleep(20)
            company["a"].starts()
            await asyncio.sleep(3 * GLANCE_S)
            assert company.supervisor.unready() is None
            company["a"].exits(1)
            await settled()
        assert company.supervisor.sick() is None


async def test_lives_that_are_killed_for_a_silence_at_their_start_count() -> None:
    lives = Lives(beats=False)
    async with Company(ref("a", lives), plot=Play(), lives={"a": lives}) as company:
        company.refs["a"].intensity.restarts = 0
        await asyncio.sleep(HANG_S + GLANCE_S)
        assert company.supervisor.sick() == "a died more than 0 times within 60 s"


async def test_an_actor_that_cannot_be_started_is_tried_again_after_growing_pauses_and_then_works() -> None:
    lives = Lives()
    lives.unstartable = OSError(errno.EMFILE, "Too many open files")
    async with Company(ref("a", lives), plot=Play(), lives={"a": lives}) as company:
        assert company.supervisor.begun.is_set()
        assert company.refs["a"].status().state is ActorState.HUNG
        await asyncio.sleep(50)
        assert [round(later - at) for at, later in pairwise(lives.attempts)] == [1, 2, 4, 8, 15, 15]
        assert company.supervisor.unready() == "a: cannot be started (Too many open files) for 50 s"
        lives.unstartable = None
        await asyncio.sleep(15)
        company["a"].starts()
        company.post("a", JOB)
        await asyncio.sleep(3 * GLANCE_S)
        assert company["a"].hears() == [JOB]
        assert company.supervisor.unready() is None
        assert company.supervisor.sick() is None


async def test_an_actor_that_can_never_be_started_makes_the_pod_sick_in_the_time_of_a_hang() -> None:
    lives = Lives()
    lives.unstartable = OSError(errno.ENOMEM, "Cannot allocate memory")
    async with Company(ref("a", lives), plot=Play(), lives={"a": lives}) as company:
        assert await seconds_until_sick(company) == pytest.approx(ESCALATE_S, abs=2 * GLANCE_S)
        assert (company.supervisor.sick() or "").startswith("a: cannot be started (Cannot allocate memory) for 12")


async def test_an_actor_that_died_and_cannot_be_started_again_keeps_its_job() -> None:
    async with actor() as company:
        company.post("a", JOB)
        await settled()
        company.lives("a").unstartable = BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        company["a"].exits(1)
        await asyncio.sleep(2)
        company.lives("a").unstartable = None
        await asyncio.sleep(5)
        assert company["a"].hears() == [JOB]


# --- One that cannot be killed ---


async def test_a_life_that_does_not_end_on_sigkill_is_lost_and_replaced() -> None:
    async with actor() as company:
        company.post("a", JOB)
        await settled()
        first = company["a"]
        first.unkillable = True
        await hangs(company)
        assert len(company.lives("a")) == 1, "it may still be dying"
        await asyncio.sleep(REAP_S)
        assert len(company.lives("a")) == 2
        assert company.refs["a"].lost == [first]
        assert company["a"].hears() == [JOB]
        assert not first.closed


async def test_what_a_lost_life_says_later_is_not_heard() -> None:
    lives = Lives()
    play = Play()
    async with Company(ref("a", lives), plot=play, lives={"a": lives}) as company:
        first = company["a"]
        first.unkillable = True
        await hangs(company, HANG_S + REAP_S + GLANCE_S)
        assert len(company.lives("a")) == 2
        first.says(JOB)
        await settled()
        assert play.heard == []


async def test_a_lost_life_that_ends_after_all_is_reaped() -> None:
    async with actor() as company:
        first = company["a"]
        first.unkillable = True
        await hangs(company, HANG_S + REAP_S + GLANCE_S)
        first.exits(-9)
        await settled()
        assert company.refs["a"].lost == []
        assert first.closed


async def loses_all(company: Company) -> None:
    for _ in range(MOST_LOST):
        company["a"].unkillable = True
        await hangs(company, HANG_S + REAP_S + 2 * GLANCE_S)


async def test_no_more_than_three_lives_are_lost_at_a_time() -> None:
    async with actor() as company:
        await loses_all(company)
        assert len(company.lives("a")) == MOST_LOST
        await asyncio.sleep(3600)
        assert len(company.lives("a")) == MOST_LOST
        assert company.refs["a"].status().pid is None


async def test_as_soon_as_one_of_three_lost_lives_returns_there_is_another_one() -> None:
    async with actor() as company:
        company.post("a", JOB)
        await loses_all(company)
        company.lives("a").all[1].exits(-9)
        await settled()
        assert len(company.lives("a")) == MOST_LOST + 1
        assert len(company.refs["a"].lost) == MOST_LOST - 1


async def test_at_the_end_lost_lives_are_killed_too_and_those_that_stay_are_named(caplog: pytest.LogCaptureFixture) -> None:
    async with actor() as company:
        first = company["a"]
        first.unkillable = True
        await hangs(company, HANG_S + REAP_S + GLANCE_S)
        before = len(first.kills)
        company.supervisor.end()
        assert len(first.kills) == before + 1
        assert caplog.messages[-1] == f"cannot be killed while blocked in the kernel until NFS answers: a, pid {first.pid}"


# --- One that must not be killed ---


async def test_an_actor_that_holds_locks_is_not_killed_for_a_hang() -> None:
    async with actor(expendable=lambda: False) as company:
        await hangs(company, HANG_S + 60)
        assert company["a"].kills == []
        assert company.refs["a"].status().state is ActorState.HUNG
        await comes_back(company)
        assert company.refs["a"].status().state is ActorState.RUNNING
        assert len(company.lives("a")) == 1


async def test_it_is_killed_once_it_holds_none() -> None:
    holds = True
    async with actor(expendable=lambda: not holds) as company:
        await hangs(company, HANG_S + 10)
        assert len(company.lives("a")) == 1
        holds = False
        await asyncio.sleep(GLANCE_S)
        assert len(company.lives("a")) == 2


async def test_its_process_is_killed_if_it_does_not_run_at_all() -> None:
    """It holds the locks, and can do nothing with them."""
    async with actor(expendable=lambda: False) as company:
        company["a"].goes_silent()
        await asyncio.sleep(HANG_S + GLANCE_S)
        assert len(company.lives("a")) == 2


# --- The limit ---


@pytest.mark.parametrize("killable", ["killable", "unkillable", "not to be killed"])
async def test_a_hang_that_lasts_in_spite_of_everything_makes_the_pod_sick_for_good(killable: str) -> None:
    async with actor(expendable=lambda: killable != "not to be killed") as company:
        begun = clock().now()
        while company.supervisor.sick() is None:
            company["a"].unkillable = killable == "unkillable"
            if company["a"].alive and company["a"].board.oldest() is None:
                company["a"].enters(CALL)
            await asyncio.sleep(0.5)
        assert clock().now() - begun == pytest.approx(ESCALATE_S, abs=2)
        reason = company.supervisor.sick()
        assert reason is not None
        assert CALL in reason

        for child in company.lives("a").all:
            child.exits(-9)
        await asyncio.sleep(1)
        await comes_back(company)
        await asyncio.sleep(60)
        assert company.supervisor.sick() == reason


async def test_a_hang_of_one_actor_leaves_the_others_alone() -> None:
    lives = {"a": Lives(), "b": Lives()}
    async with Company(ref("a", lives["a"]), ref("b", lives["b"]), plot=Play(), lives=lives) as company:
        company["b"].starts()
        for _ in range(5):
            await hangs(company)
        assert company.supervisor.sick() is not None
        assert len(company.lives("b")) == 1
        company.post("b", JOB)
        await settled()
        assert company["b"].hears() == [JOB]


async def test_a_hang_does_not_make_the_pod_sick_while_staged_files_still_go_to_azure() -> None:
    """A restart would end the uploads and mount nothing anew."""
    async with actor(expendable=lambda: False) as company:
        company["a"].enters(CALL)
        for _ in range(10):
            await asyncio.sleep(ESCALATE_S / 2)
            company.progressed_at = clock().now()
            assert company.supervisor.sick() is None
        assert company.supervisor.unready() is not None
        assert await seconds_until_sick(company) == pytest.approx(ESCALATE_S, abs=GLANCE_S)


async def test_progress_before_the_hang_does_not_make_it_longer() -> None:
    async with actor(expendable=lambda: False) as company:
        company.progressed_at = clock().now()
        await asyncio.sleep(50)
        company["a"].enters(CALL)
        assert await seconds_until_sick(company) == pytest.approx(ESCALATE_S, abs=GLANCE_S)
