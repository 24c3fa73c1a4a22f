"""The supervisor over real processes: it replaces what dies, hangs, is stopped or cannot be killed, and loses no job."""

import asyncio
import math
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nfsw.actors.envelope import Envelope, Job, Lost, Message, Reply
from nfsw.supervisor.actor_ref import ActorRef, ChildSpec, Request
from nfsw.supervisor.actor_state import ActorState
from nfsw.supervisor.child import ProcessChild
from nfsw.supervisor.supervisor import REAP_S, Supervisor
from tests.support import trial_child
from tests.support.children import in_the_kernel, state_of
from tests.support.fuse import faulty_file_system, unfit
from tests.support.stopwatch import Stopwatch
from tests.support.trial import Answer, Ask, Raise, Read, Say, spoken

PATIENCE_S = 30.0
HANG_S = 1.0


@pytest.fixture(autouse=True)
def _spoken() -> Iterator[None]:
    with spoken():
        yield


class Heard:
    """The supervisor's handler: remembers what it is told."""

    def __init__(self) -> None:
        self.news: list[Message] = []

    async def on_message(self, actor: str, envelope: Envelope) -> None:
        assert actor == trial_child.NAME
        self.news.append(envelope.message)

    def greeting(self, actor: str) -> Sequence[Message]:
        return []


class Stage:
    def __init__(self) -> None:
        self.handler = Heard()
        self.replies: list[tuple[Job, Reply]] = []
        self.ref = ActorRef(ChildSpec(trial_child.NAME, trial_child.start, capacity=2))
        self.supervisor = Supervisor(
            [self.ref], self.handler, hang_timeout_s=HANG_S, hang_escalate_s=60.0, latest_progress=lambda: -math.inf
        )

    def ask(self, *jobs: Job) -> None:
        for job in jobs:
            self.ref.ask(Request(lambda job=job: job, lambda reply, _, job=job: self.replies.append((job, reply))))  # type: ignore[misc]

    @property
    def child(self) -> ProcessChild:
        assert isinstance(self.ref.child, ProcessChild)
        return self.ref.child

    def runs(self) -> bool:
        return self.ref.state is ActorState.RUNNING

    async def replaced(self, pid: int) -> int:
        """The process id of the next one, once it is there."""
        await until(lambda: self.ref.child is not None and self.ref.child.pid != pid, what="another process")
        return self.child.pid

    async def replied(self, job: Job, reply: Reply) -> None:
        await until(lambda: (job, reply) in self.replies, what=f"{job} is answered with {reply}: {self.replies}")


async def until(condition: Callable[[], bool], *, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    set_up = Stage()
    running = asyncio.create_task(set_up.supervisor.run())
    try:
        await until(set_up.runs, what="it runs")
        yield set_up
    finally:
        running.cancel()
        await asyncio.wait([running])
        for child in [child for child in (set_up.ref.child, *set_up.ref.lost) if child is not None]:
            child.kill()
            await child.gone()
            child.close()


async def test_a_crashed_actor_is_replaced_in_a_blink_and_the_job_that_did_it_is_lost_after_three() -> None:
    async with stage() as on_stage:
        on_stage.supervisor._watchdog._hang_timeout_s = 60.0
        first = on_stage.child.pid
        watch = Stopwatch()
        on_stage.ask(Raise("poison"))
        await until(lambda: bool(on_stage.replies), what="it is lost")
        on_stage.ask(Ask("after it"))
        await on_stage.replied(Ask("after it"), Answer("after it"))
        assert watch.seconds < 10
        job, lost = on_stage.replies[0]
        assert job == Raise("poison")
        assert isinstance(lost, Lost)
        assert on_stage.ref.restarts == 3
        assert on_stage.child.pid != first
        assert state_of(first) is None


async def test_what_a_killed_actor_had_in_hand_is_done_by_the_next_one(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    async with stage() as on_stage:
        on_stage.supervisor._watchdog._hang_timeout_s = 60.0
        on_stage.ask(Read(str(fifo)))
        await until(lambda: on_stage.child.board.oldest() is not None, what="it hangs")
        pid = on_stage.child.pid
        os.kill(pid, signal.SIGKILL)
        await on_stage.replaced(pid)
        await until(lambda: on_stage.child.board.oldest() is not None, what="the next one reads")
        fifo.write_bytes(b"there")
        await on_stage.replied(Read(str(fifo)), Answer(b"there"))


async def test_an_actor_that_hangs_in_a_call_is_killed_and_goes_on_once_the_call_can_return(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    async with stage() as on_stage:
        pid = on_stage.child.pid
        watch = Stopwatch()
        on_stage.ask(Read(str(fifo)))
        await on_stage.replaced(pid)
        assert watch.wall_s >= HANG_S
        assert watch.seconds < HANG_S + 3
        assert "read" in (on_stage.supervisor.unready() or "")
        await until(lambda: on_stage.child.board.oldest() is not None, what="the next one reads")
        fifo.write_bytes(b"there")
        await on_stage.replied(Read(str(fifo)), Answer(b"there"))
        await until(lambda: on_stage.supervisor.unready() is None, what="it is well again")
        assert on_stage.supervisor.unhealthy_reason() is None


async def test_an_actor_that_is_stopped_is_killed_and_replaced() -> None:
    async with stage() as on_stage:
        pid = on_stage.child.pid
        os.kill(pid, signal.SIGSTOP)
        await on_stage.replaced(pid)
        assert state_of(pid) is None
        on_stage.ref.tell(Say("well"))
        await until(lambda: on_stage.handler.news == [Say("well")], what="it says so")
        await until(lambda: on_stage.supervisor.unready() is None, what="it is well again")


@pytest.mark.fuse
async def test_an_actor_that_sigkill_does_not_end_is_lost_and_replaced_and_reaped_when_it_ends_after_all(tmp_path: Path) -> None:
    if reason := unfit():
        pytest.skip(reason)
    with faulty_file_system(tmp_path) as files:
        (files.behind / "stuck").write_bytes(b"there")
        async with stage() as on_stage:
            pid = on_stage.child.pid
            with files.hanging("read", path="stuck"):
                watch = Stopwatch()
                stuck = Read(str(files.mount / "stuck"))
                on_stage.ask(stuck, Ask("meanwhile"))
                await on_stage.replied(Ask("meanwhile"), Answer("meanwhile"))
                await on_stage.replaced(pid)
                assert watch.wall_s > REAP_S
                assert watch.seconds < HANG_S + REAP_S + 5
                assert [child.pid for child in on_stage.ref.lost] == [pid]
                assert in_the_kernel(pid)
                on_stage.ask(Ask("and after"))
                await on_stage.replied(Ask("and after"), Answer("and after"))
            await on_stage.replied(stuck, Answer(b"there"))
            await until(lambda: on_stage.ref.lost == [], what="the lost one has ended")
            assert state_of(pid) is None


async def test_a_thousand_jobs_through_five_deaths_are_each_answered_once() -> None:
    async with stage() as on_stage:
        on_stage.supervisor._watchdog._hang_timeout_s = 60.0
        on_stage.ref.intensity.restarts = 1000
        on_stage.ask(*(Ask(number) for number in range(1000)))
        for death in range(5):
            await until(lambda: len(on_stage.replies) >= death * 150, what="it gets on")  # noqa: B023 - asked at once
            pid = on_stage.child.pid
            os.kill(pid, signal.SIGKILL)
            await on_stage.replaced(pid)
        await until(lambda: len(on_stage.replies) >= 1000, what="all are answered")
        assert {(job, reply) for job, reply in on_stage.replies} == {(Ask(number), Answer(number)) for number in range(1000)}
        assert len(on_stage.replies) == 1000
        assert on_stage.ref.restarts == 5
