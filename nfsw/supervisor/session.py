"""Which sessions this pod holds, and which one is active. Main process; the rules alone, no I/O: the Keeper has the locks.

A pod has at most one active session: it was started by a call, or found on NFS, where its folder under `.processing` is the
record of it. Besides, a pod looks after files of sessions that nobody holds, until they are sent; their new arrivals it
leaves to a pod that is free. The Scanner's looks drive all of this, so whatever was missed is seen again.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from nfsw.actors.envelope import Message
from nfsw.actors.messages import (
    Confirm,
    Hold,
    HoldFailed,
    Looked,
    Release,
    SessionDenied,
    SessionFound,
    SessionHeld,
    SessionReleased,
    SessionUnusable,
    StopFailed,
    StopNoted,
    Watch,
)
from nfsw.supervisor.active import Active
from nfsw.supervisor.admission import Admission
from nfsw.supervisor.service import AzureSilent, NfsSilent, NoSession, SessionConflict
from nfsw.supervisor.status import SessionStatus
from nfsw.supervisor.stopping import Stopping

log = logging.getLogger("nfsw.session")

#: How long a session must have been nobody's before a pod that has one of its own looks after its files, in seconds. A pod
#: that only restarts has its session back by then.
ADOPT_AFTER_S = 10.0
#: How often the locks are looked at, in seconds: one that was lost while the server was away is another pod's by now.
CONFIRM_S = 30.0


@dataclass(slots=True)
class Desk:
    """`admission` says whether anything may be held and claimed. `ask` posts a request to the Keeper, `show` tells Scanner and
    Collector what to watch.
    """

    admission: Admission
    ask: Callable[[Message], None]
    show: Callable[[Watch], None]
    #: Whether a file of the session is in hand.
    busy: Callable[[str], bool]
    #: What keeps a session that was stopped from ending, if that is known.
    holdup: Callable[[str], str | None]
    #: Ends the service: another pod has what we hold.
    lost: Callable[[str], None]
    active: Active | None = None
    adopted: dict[str, bool] = field(default_factory=dict)  # held for their files' sake; whether a call had made them active
    _stopping: Stopping | None = None  # the last stop of this pod
    _answers: dict[str, asyncio.Future[None]] = field(default_factory=dict)  # of `start`
    _asked: set[str] = field(default_factory=set)  # with the Keeper
    _unwanted: set[str] = field(default_factory=set)  # whose start was given up: what comes before their release is of no use
    _lapsed: set[str] = field(default_factory=set)  # held by us, but NFS would not give a new Keeper the lock
    _free_since: dict[str, float] = field(default_factory=dict)  # since when nobody seems to hold it (monotonic)
    _confirmed_at: float | None = None  # when the Keeper was last asked to confirm its locks (monotonic)
    _ended: set[str] = field(default_factory=set)  # though a folder of theirs stays, for the sake of what others put into it
    _to_try: deque[str] = field(default_factory=deque)  # which one a free pod may resume, as of the last look
    _early_look: Looked | None = None  # the last look before a session may be held

    async def start(self, name: str, timeout_s: float) -> None:
        """Makes the session active. Raises AzureSilent, SessionConflict, NfsSilent."""
        if reason := self.admission.session_refusal():
            raise AzureSilent(f"no session is started: {reason}")
        if self.active and (self.active.held or not self.active.resumed):
            raise SessionConflict(self.active.why_busy(self.holdup))
        self._to_try.clear()
        self.active = Active(name, time.time(), resumed=False)
        answer = self._answers[name] = asyncio.get_running_loop().create_future()
        self._asked.add(name)
        self.ask(Hold(name, record=True, started_at=self.active.started_at))
        try:
            async with asyncio.timeout(timeout_s):
                await answer
        except TimeoutError:
            self._forget_start(name)
            self._unwanted.add(name)
            self.ask(Release(name, forget=True))
            raise NfsSilent(f"NFS has not answered for {timeout_s:.0f} s; the session was not started") from None
        except BaseException:
            self._forget_start(name)
            raise
        finally:
            self._answers.pop(name, None)

    def stop(self) -> Stopping:
        """No new claims from now on. Raises NoSession."""
        if self.active is None or self.active.draining or not self.active.held:
            raise NoSession("no session is active in this pod")
        self.active.draining = True
        stopping = self._stopping = Stopping(self.active.name, self.ask)
        self._show()
        return stopping

    def claims(self, session: str) -> bool:
        """Whether arrivals of the session are to be claimed."""
        active = self.active
        return (
            active is not None and active.held and not active.draining and active.name == session and self.admission.claim_refusal() is None
        )

    def holds(self, session: str) -> bool:
        return session in self.adopted or (self.active is not None and self.active.held and self.active.name == session)

    @property
    def holds_any(self) -> bool:
        return bool(self.adopted) or (self.active is not None and self.active.held)

    def watch(self) -> Watch:
        held = set(self.adopted)
        recorded = {name for name, was_active in self.adopted.items() if was_active}
        active = None
        if self.active and self.active.held:
            held.add(self.active.name)
            if not self.active.draining:
                recorded.add(self.active.name)
                active = self.active.name if self.claims(self.active.name) else None
        return Watch(active, frozenset(held), frozenset(recorded))

    def greeting(self) -> list[Message]:
        """For a Keeper that starts anew: its locks are gone, and have to be ours again."""
        self._lapsed.clear()
        return [self._again(name) for name in sorted(self.watch().held)]

    def status(self) -> SessionStatus | None:
        return self.active.status() if self.active and self.active.held else None

    # What the Keeper says.

    def on_held(self, held: SessionHeld) -> None:
        name = held.session
        if name in self._unwanted:
            return
        self._asked.discard(name)
        if self.active and self.active.name == name:
            if self.active.held:
                return  # a new Keeper has taken it again
            if not self.active.resumed and held.started_at != self.active.started_at:
                return  # the answer to a resume that the start has overridden
            self.active.held = True
            self.adopted.pop(name, None)
            self.active.started_at = held.started_at or self.active.started_at
            self.active.draining = held.draining
            answer = self._answers.get(name)
            if answer and not answer.done():
                answer.set_result(None)
            log.info("session %s", "resumed" if self.active.resumed else "started", extra={"session_name": name, "action": "start"})
        elif name in self.adopted:
            return
        else:
            self.adopted[name] = held.recorded and not held.draining
            log.info("looking after the files of a session that nobody holds", extra={"session_name": name, "action": "adopt"})
        self._show()

    def on_denied(self, denied: SessionDenied) -> None:
        name = denied.session
        self._asked.discard(name)
        self._free_since.pop(name, None)
        if self.holds(name):
            self.lost(f"session {name} is held by {denied.holder or 'another pod'} now")
        if self.active and self.active.name == name:
            self._refuse(name, SessionConflict(f"session {name} is held by pod {denied.holder or '(it has not noted its name yet)'}"))
            self._resume_next()

    def on_hold_failed(self, failed: HoldFailed) -> None:
        name = failed.session
        self._asked.discard(name)
        log.error("cannot hold the session: %s", failed.error, extra={"session_name": name, "action": "hold"})
        if self.holds(name):
            self._lapsed.add(name)
        if self.active and self.active.name == name and not self.active.held:
            self._refuse(name, NfsSilent(f"NFS error: session {name} cannot be held: {failed.error}"))
            self._resume_next()

    def on_unusable(self, unusable: SessionUnusable) -> None:
        name = unusable.session
        self._asked.discard(name)
        log.error("the session cannot be started: %s", unusable.reason, extra={"session_name": name, "action": "hold"})
        if self.active and self.active.name == name and not self.active.held:
            self._refuse(name, SessionConflict(f"session {name} cannot be started: {unusable.reason}"))

    def on_stop_noted(self, noted: StopNoted) -> None:
        if self._stopping and self._stopping.session == noted.session:
            self._stopping.settle()

    def on_stop_failed(self, failed: StopFailed) -> None:
        log.error("cannot note that the session was stopped: %s", failed.error, extra={"session_name": failed.session, "action": "drain"})
        if self._stopping and self._stopping.session == failed.session:
            self._stopping.failed()

    def on_released(self, released: SessionReleased) -> None:
        name = released.session
        if self._stopping and self._stopping.session == name:
            self._stopping.settle()
        self._asked.discard(name)
        self._unwanted.discard(name)
        self._free_since.pop(name, None)
        if released.kept:
            self._ended.add(name)
        if self.active and self.active.name == name and self.active.resumed and not self.active.held:
            self.active = None  # it had ended when we asked for it
            self._resume_next()

    # What the Scanner sees.

    def on_looked(self, looked: Looked) -> None:
        """One look at `.processing`, newest session first."""
        if self.admission.session_refusal():
            self._early_look = looked
            return
        found = {session.name: session for session in looked.sessions}
        self._let_go_what_is_sent(found)
        self._hold_what_lapsed()
        if self._stopping and self.active and self.active.held and self.active.draining:
            self._stopping.go_on()
        now = time.monotonic()
        self.confirm()
        for name in [name for name in self._free_since if name not in found]:
            del self._free_since[name]
        self._ended &= {session.name for session in looked.sessions if not session.files}
        ours = self._asked | self._ended
        nobodys = [session for session in looked.sessions if not self.holds(session.name) and session.name not in ours]
        for session in nobodys:
            self._free_since.setdefault(session.name, now)
        if self.active is None:
            self._to_try = deque(session.name for session in nobodys)
            self._resume_next()
        elif self.active.held:
            for session in nobodys:
                if session.files and now - self._free_since[session.name] >= ADOPT_AFTER_S:
                    self._asked.add(session.name)
                    self.ask(Hold(session.name, record=False))

    def on_admitted(self) -> None:
        """Sessions may be held from now on: what the last look found need not wait for the next one."""
        if look := self._early_look:
            self._early_look = None
            self.on_looked(look)

    def confirm(self) -> None:
        """The server has just answered, so the Keeper will not wait for it for long. Asks every half a minute at most."""
        now = time.monotonic()
        if self._confirmed_at is None:
            self._confirmed_at = now
        if now - self._confirmed_at >= CONFIRM_S:
            self._confirmed_at = now
            for name in sorted(self.watch().held):
                self.ask(Confirm(name))

    def _resume_next(self) -> None:
        """One after the other until one is ours: a free pod learns at every look which sessions are held by others."""
        if self.active is None and self._to_try:
            name = self._to_try.popleft()
            self.active = Active(name, time.time(), resumed=True)
            self._asked.add(name)
            self.ask(Hold(name, record=True))

    def _let_go_what_is_sent(self, found: dict[str, SessionFound]) -> None:
        def is_sent(name: str) -> bool:
            return not self.busy(name) and not (name in found and found[name].files)

        active = self.active
        if active and active.held and active.draining and is_sent(active.name):
            self.active = None
            self._release(active.name, forget=True)
            log.info("session ended: all its claimed files are sent", extra={"session_name": active.name, "action": "end"})
        for name in [name for name in self.adopted if is_sent(name) and name not in self._asked]:
            was_active = self.adopted.pop(name)
            self._release(name, forget=not was_active)

    def _hold_what_lapsed(self) -> None:
        for name in sorted(filter(self.holds, self._lapsed)):
            self.ask(self._again(name))
        self._lapsed.clear()

    def _again(self, name: str) -> Hold:
        """What makes a session that we hold ours with a Keeper that knows nothing of it."""
        active = self.active
        if active and active.held and active.name == name and not active.draining:
            return Hold(name, record=True, started_at=active.started_at)
        return Hold(name, record=False)

    def _release(self, name: str, *, forget: bool) -> None:
        self._asked.add(name)
        self.ask(Release(name, forget=forget))
        self._show()

    def _refuse(self, name: str, reason: Exception) -> None:
        self.active = None
        answer = self._answers.get(name)
        if answer and not answer.done():
            answer.set_exception(reason)

    def _forget_start(self, name: str) -> None:
        if self.active and self.active.name == name:
            self.active = None

    def _show(self) -> None:
        self.show(self.watch())
