"""The supervisor keeps the actors alive: it starts, feeds, relays, watches, kills, replaces, and knows when to give up.

Main process. It knows nothing of files: what a message means is the handler's matter. One for one: a dead actor is replaced and
nobody else notices, since its mailbox is here. What it had in hand is delivered again, so jobs can be repeated.
A hang is treated with the smaller remedy first: the hung process is killed and replaced. When that does not help for long
enough, and nothing useful gets done either, or when an actor dies too often, the pod has to go, and the kubelet learns it
from /healthz.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from itertools import chain, repeat
from typing import Protocol

from nfsw.actors import logs
from nfsw.actors.envelope import Envelope, Lost, Message, Started
from nfsw.supervisor.actor_ref import ActorRef, Hang
from nfsw.supervisor.actor_state import ActorState
from nfsw.supervisor.child import Child
from nfsw.supervisor.watchdog import Watchdog

log = logging.getLogger("nfsw.supervisor")

#: Seconds between SIGKILL and the moment at which a process counts as lost.
REAP_S = 5.0
#: Pauses between attempts to start a child while the system has no process, memory or descriptor for it, in seconds; the last one repeats.
_START_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0)
#: Seconds for all children to end in when the service does; SIGTERM promises a second.
_END_S = 0.4
#: Lost processes of one actor at a time: each one keeps its memory, and maybe a lock, so there is no replacing for ever.
MOST_LOST = 3
#: Deliveries of one job before it counts as lost: it may be what kills its actor.
MOST_DELIVERIES = 3
#: Messages that are sent in one packet.
_BATCH = 32


class MessageHandler(Protocol):
    """What the supervisor asks of whoever knows what the messages mean."""

    async def on_message(self, actor: str, envelope: Envelope) -> None:
        """News from an actor that is about no job. Waiting here holds up this actor's other messages: back-pressure."""

    def greeting(self, actor: str) -> Sequence[Message]:
        """What a new process has to know before anything else."""


class Supervisor:
    def __init__(
        self,
        refs: Sequence[ActorRef],
        handler: MessageHandler,
        hang_timeout_s: float,
        hang_escalate_s: float,
        latest_progress: Callable[[], float],
    ) -> None:
        """`latest_progress`: when the service last got something done (seconds, monotonic): a pod that still works is not restarted."""
        self.refs = {ref.name: ref for ref in refs}
        self._handler = handler
        self._watchdog = Watchdog(refs, hang_timeout_s, hang_escalate_s, latest_progress, self._escalate)
        self._unhealthy_reason: str | None = None
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

    def unhealthy_reason(self) -> str | None:
        """Why the pod has to be restarted; None in normal life."""
        return self._unhealthy_reason

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
        """One process after the other."""
        while True:
            await self._run_process(ref)
            self._deliver_again(ref)
            if (ref.hang is None or _never_came_up(ref)) and not ref.intensity.allows(time.monotonic()):
                ref.state = ActorState.GAVE_UP
                self._escalate(f"{ref.name} died more than {ref.intensity.restarts} times within {ref.intensity.period_s:.0f} s")
                return
            ref.restarts += 1
            ref.state = ActorState.HUNG if ref.hang else ActorState.RESTARTING
            while len(ref.lost) >= MOST_LOST:
                await self._one_ends(ref)

    async def _start(self, ref: ActorRef) -> Child:
        """The next process. While none can be started the actor counts as hung: the system may be short of something for a while."""
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

    async def _run_process(self, ref: ActorRef) -> None:
        """One process, from its start until it is reaped or lost."""
        child = ref.child = await self._start(ref)
        if ref.hang is None:
            ref.state = ActorState.STARTING
        log.info("started %s, pid %d", ref.name, child.pid, extra={"actor": ref.name, "action": "start"})
        ref.starting_since = min(ref.starting_since, child.started) if _never_came_up(ref) else child.started
        ref.kill_requested.clear()
        ref.calls_back, ref.started = 0, False
        death = asyncio.create_task(child.gone(), name=f"death watch {ref.name}")
        duties = [
            asyncio.create_task(ref.kill_requested.wait(), name=f"kill watch {ref.name}"),
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
        await self._reap(ref, child, death)

    async def _reap(self, ref: ActorRef, child: Child, death: "asyncio.Task[int]") -> None:
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

    async def _one_ends(self, ref: ActorRef) -> None:
        returns = [asyncio.create_task(child.gone()) for child in ref.lost]
        try:
            await asyncio.wait(returns, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in returns:
                waiting.cancel()

    async def _feed(self, ref: ActorRef, child: Child) -> None:
        if greeting := self._handler.greeting(ref.name):
            await child.send([Envelope(message) for message in greeting])
        while True:
            await child.send(await ref.batch(_BATCH))

    async def _relay(self, ref: ActorRef, child: Child) -> None:
        while (envelopes := await child.receive()) is not None:
            for envelope in envelopes:
                logs.traceparent.set(envelope.traceparent)  # what is logged meanwhile is about that file
                if isinstance(envelope.message, Started):
                    log.debug("%s takes messages", ref.name)
                    ref.started = True
                    if ref.hang is None:
                        ref.state = ActorState.RUNNING
                elif envelope.number is not None:
                    ref.heard(envelope)
                else:
                    await self._handler.on_message(ref.name, envelope)

    def _deliver_again(self, ref: ActorRef) -> None:
        """What a dead child had in hand is delivered again, unless it may be what killed it."""
        requests = ref.take_back()
        ref.deliver_again([request for request in requests if request.deliveries < MOST_DELIVERIES])
        for request in requests:
            if request.deliveries >= MOST_DELIVERIES and not request.withdrawn:
                again_after_s = 0.0 if ref.hang else ref.intensity.period_s
                lost = Lost(f"{ref.name} died {request.deliveries} times with this in hand", again_after_s)
                request.on_reply(lost, time.monotonic())

    def _escalate(self, reason: str) -> None:
        if self._unhealthy_reason is None:
            self._unhealthy_reason = reason
            log.critical("this pod has to be restarted: %s", reason, extra={"action": "escalate"})


def _never_came_up(ref: ActorRef) -> bool:
    """Whether the process that is over never got to work, though no NFS call kept it.

    It counts for the restart intensity even while the actor hangs. Other deaths do not count then, since the remedy for a server
    that is away is to wait for it, and the limit is the hang's own.
    """
    killed_in_call = ref.kill_requested.is_set() and ref.hang is not None and ref.hang.in_call
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
