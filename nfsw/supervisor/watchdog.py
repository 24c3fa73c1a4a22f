"""The watchdog reads the boards of all children: it knows of a hang, treats it, sees its end, and asks for a restart when nothing helps.

Main process, one event loop. It asks no child anything, so a child that cannot answer is seen as well as any other.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from nfsw.supervisor.actor_ref import ActorRef, Hang
from nfsw.supervisor.actor_state import ActorState
from nfsw.supervisor.child import Child

log = logging.getLogger("nfsw.supervisor")

#: Seconds without a heartbeat that mean nothing yet: a child shows about one a second.
SILENCE_S = 3.0
#: The same for a child that has not started yet: its interpreter may take long to come up on a busy machine.
BOOT_S = 30.0
#: Seconds in which a child has to take its first message, though it shows heartbeats: its imports take long on a slow machine.
START_S = 300.0
#: Longest time between two looks at the boards, in seconds.
_LOOK_S = 1.0


class Watchdog:
    def __init__(
        self,
        refs: Sequence[ActorRef],
        hang_timeout_s: float,
        hang_escalate_s: float,
        latest_progress: Callable[[], float],
        escalate: Callable[[str], None],
    ) -> None:
        """`latest_progress`: when the service last got something done (seconds, monotonic). `escalate` takes the reason."""
        self._refs = refs
        self._hang_timeout_s = hang_timeout_s
        self._hang_escalate_s = hang_escalate_s
        self._latest_progress = latest_progress
        self._escalate = escalate

    async def run(self) -> None:
        """Until cancelled."""
        interval = min(_LOOK_S, self._hang_timeout_s / 4)
        while True:
            await asyncio.sleep(interval)
            for ref in self._refs:
                self._check(ref, time.monotonic())

    def _check(self, ref: ActorRef, now: float) -> None:
        if child := ref.child:
            call = child.board.oldest()
            if call and call.seconds >= self._hang_timeout_s:
                hang = Hang(f"blocked in {call.what}", now - call.seconds, in_call=True)
                self._treat(ref, child, hang, now, kill=ref.expendable())
            elif unresponsive := self._unresponsive(ref, child, now):
                self._treat(ref, child, unresponsive, now, kill=True)
            elif ref.hang:
                self._check_recovery(ref, child, ref.hang, now, idle=call is None)
            elif not ref.started and ref.starting_since < child.started and now - ref.starting_since >= BOOT_S:
                ref.hangs(Hang("ends again and again before it has started", ref.starting_since, in_call=False))
        if ref.hang and now - max(ref.hang.since, self._latest_progress()) >= self._hang_escalate_s:
            self._escalate(f"{ref.name}: {ref.hang.described(now)}")

    def _unresponsive(self, ref: ActorRef, child: Child, now: float) -> Hang | None:
        """Whether it hangs outside of any NFS call: its process does not run, or does not get to work."""
        silent = child.board.silent_s()
        silent = now - child.started if silent is None else silent
        if silent >= max(self._hang_timeout_s, SILENCE_S if ref.started else BOOT_S):
            return Hang("no heartbeat", now - silent, in_call=False)
        if not ref.started and now - child.started >= max(self._hang_timeout_s, START_S):
            return Hang("starting", child.started, in_call=False)
        return None

    def _treat(self, ref: ActorRef, child: Child, hang: Hang, now: float, *, kill: bool) -> None:
        if ref.hang is None:
            extra = {"actor": ref.name, "action": "hang"}
            if kill:
                log.error("%s, pid %d: %s; it is killed and replaced", ref.name, child.pid, hang.described(now), extra=extra)
            else:
                log.error(
                    "%s, pid %d: %s; it is not killed, its locks would be lost", ref.name, child.pid, hang.described(now), extra=extra
                )
        ref.hangs(hang)
        ref.calls_back = child.board.finished()
        if kill:
            child.kill()
            ref.kill_requested.set()

    def _check_recovery(self, ref: ActorRef, child: Child, hang: Hang, now: float, *, idle: bool) -> None:
        """The hang is over once two checks saw calls come back, however slowly, or none left: one may be the cache's answer."""
        back = child.board.finished()
        works = back > ref.calls_back and (ref.started or hang.in_call)
        idle = idle and ref.started and (back > 0 or not ref.in_hand or not hang.in_call)
        if works or idle:
            ref.well_checks += 1
        ref.calls_back = back
        if ref.well_checks >= 2:
            log.warning("%s works again after %.0f s", ref.name, now - hang.since, extra={"actor": ref.name, "action": "recover"})
            ref.hang = None
            ref.state = ActorState.RUNNING if ref.started else ActorState.STARTING
