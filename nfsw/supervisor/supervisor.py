"""The supervisor keeps the actors alive: it starts, feeds, relays, watches, kills, replaces, and knows when to give up.

Main process. It holds no logic of files: what a message means is the pipeline's. One for one: a dead actor is replaced and
nobody else notices, since its mailbox is here. What it had in hand is delivered again, so handlers can be repeated.
A hang is treated with the smaller remedy first: the hung life is killed and replaced. When that does not help for long
enough, and nothing useful gets done either, or when an actor dies too often, the pod has to go, and the kubelet learns it
from /healthz.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain, repeat
from typing import Protocol

from nfsw.actors import logs
from nfsw.actors.envelope import Envelope, Message
from nfsw.actors.messages import AbandonFile, Complete, Done, Drain, Hold, PutBack, Release, Started, Take, Unstage, Upload
from nfsw.supervisor.child import Child
from nfsw.supervisor.hang import Hang
from nfsw.supervisor.ref import ActorRef
from nfsw.supervisor.status import ActorState
from nfsw.supervisor.watchdog import Watchdog

log = logging.getLogger("nfsw.supervisor")

#: Seconds between SIGKILL and the moment at which a life counts as lost.
REAP_S = 5.0
#: Pauses between attempts to start a child while the system has no process, memory or descriptor for it, in seconds; the last one repeats.
_START_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0)
#: Seconds for all children to end in when the service does; SIGTERM promises a second.
_END_S = 0.4
#: Lost lives of one actor at a time: each one keeps its memory, and maybe a lock, so there is no replacing for ever.
MOST_LOST = 3
#: Deliveries of one job before it is set aside: it may be what kills its actor.
MOST_DELIVERIES = 3
_JOBS = (Take, PutBack, Upload, Complete, Unstage, Hold, Drain, Release, AbandonFile)


class Plot(Protocol):
    """What the supervisor asks of whoever knows what the messages mean."""

    async def on_message(self, actor: str, envelope: Envelope) -> None:
        """One message from an actor. Waiting here holds up this actor's other messages: back-pressure."""

    def greeting(self, actor: str) -> Sequence[Message]:
        """What a new life has to know before anything else."""

    def on_done(self, job: Message) -> None: ...

    def redelivered(self, job: Message) -> Message | None:
        """The job as it should be delivered again after its actor died; None: it is moot."""

    def on_dead_letter(self, job: Message, reason: str, again_after_s: float) -> None:
        """The job is not to be delivered again within these seconds: its actor would die too often."""


class Supervisor:
    def __init__(
        self, refs: Sequence[ActorRef], plot: Plot, hang_timeout_s: float, hang_escalate_s: float, latest_progress: Callable[[], float]
    ) -> None:
        """`latest_progress`: when the service last got something done (seconds, monotonic): a pod that still works is not restarted."""
        self.refs = {ref.name: ref for ref in refs}
        self._plot = plot
        self._watchdog = Watchdog(refs, hang_timeout_s, hang_escalate_s, latest_progress, self._escalate)
        self._sick: str | None = None
        #: Set once every actor has been started for the first time.
        self.begun = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled. An error in here is a bug, and ends the service."""
        async with asyncio.TaskGroup() as group:
            for ref in self.refs.values():
                group.create_task(self._keep(ref), name=f"keep {ref.name}")
            await asyncio.sleep(0)  # the turn in which each of them starts its child
            self.begun.set()
            group.create_task(self._watchdog.run(), name="watchdog")

    def sick(self) -> str | None:
        return self._sick

    def unready(self) -> str | None:
        """Which actor does not do its work, and why."""
        now = time.monotonic()
        for ref in self.refs.values():
            if ref.hang is not None:
                return f"{ref.name}: {ref.hang.described(now)}"
            if ref.state is not ActorState.RUNNING:
                return f"{ref.name} is {ref.state}"
        return None

    def end(self) -> None:
        """SIGKILL for every child, and a word about those that it does not end. Needs no event loop, and holds it up."""
        children = [(ref.name, child) for ref in self.refs.values() for child in (ref.child, *ref.lost) if child is not None]
        for _, child in children:
            child.kill()
        until = time.monotonic() + _END_S
        left = [f"{name}, pid {child.pid}" for name, child in children if not child.ends(max(0.0, until - time.monotonic()))]
        if left:
            log.error("cannot be killed while blocked in the kernel until NFS answers: %s", "; ".join(left), extra={"action": "end"})

    async def _keep(self, ref: ActorRef) -> None:
        """One life after the other."""
        while True:
            await self._live(ref)
            self._give_back(ref)
            if (ref.hang is None or _never_came_up(ref)) and not ref.intensity.allows(time.monotonic()):
                ref.state = ActorState.GAVE_UP
                self._escalate(f"{ref.name} died more than {ref.intensity.restarts} times within {ref.intensity.period_s:.0f} s")
                return
            ref.restarts += 1
            ref.state = ActorState.HUNG if ref.hang else ActorState.RESTARTING
            while len(ref.lost) >= MOST_LOST:
                await self._one_returns(ref)

    async def _start(self, ref: ActorRef) -> Child:
        """The next life. One that cannot be started is waited for like one that hangs: the system may be short of something for a while."""
        for pause in chain(_START_PAUSES_S, repeat(_START_PAUSES_S[-1])):
            try:
                return ref.spec.start()
            except OSError as error:
                reason = error.strerror or str(error)
                extra = {"actor": ref.name, "action": "start"}
                log.error("%s cannot be started: %s; next attempt in %.0f s", ref.name, reason, pause, extra=extra)
                ref.hangs(Hang(f"cannot be started ({reason})", time.monotonic(), in_call=False))
            await asyncio.sleep(pause)
        raise AssertionError("there is always another attempt")

    async def _live(self, ref: ActorRef) -> None:
        """One life, from its start until it is reaped or lost."""
        child = ref.child = await self._start(ref)
        if ref.hang is None:
            ref.state = ActorState.STARTING
        log.info("started %s, pid %d", ref.name, child.pid, extra={"actor": ref.name, "action": "start"})
        ref.starting_since = min(ref.starting_since, child.started) if _never_came_up(ref) else child.started
        ref.condemned.clear()
        ref.calls_back, ref.started = 0, False
        death = asyncio.create_task(child.gone(), name=f"death watch {ref.name}")
        duties = [
            asyncio.create_task(ref.condemned.wait(), name=f"doom {ref.name}"),
            asyncio.create_task(self._feed(ref, child), name=f"feed {ref.name}"),
            asyncio.create_task(self._relay(ref, child), name=f"relay {ref.name}"),
        ]
        try:
            done, _ = await asyncio.wait([*duties, death], return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()
        except OSError:
            log.debug("%s left its channel", ref.name)
        finally:
            child.kill()
            for duty in duties:
                duty.cancel()
            await asyncio.wait(duties)
        await self._bury(ref, child, death)

    async def _bury(self, ref: ActorRef, child: Child, death: "asyncio.Task[int]") -> None:
        done, _ = await asyncio.wait([death], timeout=REAP_S)
        ref.child = None
        if done:
            log.warning("%s, pid %d, has ended: %s", ref.name, child.pid, _how(death.result()), extra={"actor": ref.name, "action": "reap"})
            ref.close(child)
            return
        log.error(
            "%s, pid %d, cannot be killed while blocked in the kernel; it is left to itself",
            ref.name,
            child.pid,
            extra={"actor": ref.name, "action": "lose"},
        )
        ref.lost.append(child)
        death.add_done_callback(lambda _: self._found(ref, child))

    def _found(self, ref: ActorRef, child: Child) -> None:
        log.info("%s, pid %d, has ended after all", ref.name, child.pid, extra={"actor": ref.name, "action": "reap"})
        ref.lost.remove(child)
        ref.close(child)
        ref.mailbox.wake()

    async def _one_returns(self, ref: ActorRef) -> None:
        returns = [asyncio.create_task(child.gone()) for child in ref.lost]
        try:
            await asyncio.wait(returns, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in returns:
                waiting.cancel()

    async def _feed(self, ref: ActorRef, child: Child) -> None:
        if greeting := self._plot.greeting(ref.name):
            await child.send([Envelope(message) for message in greeting])
        while True:
            await ref.idle.wait()
            envelope: Envelope | None = await ref.mailbox.get()
            batch: list[Envelope] = []
            while envelope is not None:
                batch.append(ref.numbered(envelope) if isinstance(envelope.message, _JOBS) else envelope)
                envelope = ref.mailbox.get_now() if ref.idle.is_set() and len(batch) < 32 else None
            await child.send(batch)

    async def _relay(self, ref: ActorRef, child: Child) -> None:
        while (envelopes := await child.receive()) is not None:
            for envelope in envelopes:
                match envelope.message:
                    case Started():
                        log.debug("%s takes messages", ref.name)
                        ref.started = True
                        if ref.hang is None:
                            ref.state = ActorState.RUNNING
                    case Done(number):
                        if job := ref.done(number):
                            self._plot.on_done(job)
                    case _:
                        logs.traceparent.set(envelope.traceparent)  # what is logged meanwhile is about that file
                        await self._plot.on_message(ref.name, envelope)

    def _give_back(self, ref: ActorRef) -> None:
        """What a dead child had in hand is delivered again, unless it may be what killed it."""
        again: list[Envelope] = []
        for envelope in ref.take_back():
            message = self._plot.redelivered(envelope.message)
            if message is None:
                continue
            if envelope.attempt >= MOST_DELIVERIES:
                again_after_s = 0.0 if ref.hang else ref.intensity.period_s
                self._plot.on_dead_letter(message, f"{ref.name} died {envelope.attempt} times with this file in hand", again_after_s)
                continue
            again.append(replace(envelope, message=message, number=None, attempt=envelope.attempt + 1))
        ref.mailbox.give_back(again)

    def _escalate(self, reason: str) -> None:
        if self._sick is None:
            self._sick = reason
            log.critical("this pod has to be restarted: %s", reason, extra={"action": "escalate"})


def _never_came_up(ref: ActorRef) -> bool:
    """Whether the life that is over never got to work, though no NFS call kept it.

    It counts for the restart intensity even while the actor hangs. Other lives do not count then, since the remedy for a server
    that is away is to wait for it, and the limit is the hang's own.
    """
    killed_in_call = ref.condemned.is_set() and ref.hang is not None and ref.hang.in_call
    return not ref.started and not killed_in_call


def _how(code: int) -> str:
    """An exit code in words."""
    match code:
        case -9:
            return "killed (SIGKILL: by the supervisor, by a user, or because memory ran out)"
        case _ if code < 0:
            return f"signal {-code}"
        case _:
            return f"exit code {code}"
