"""The sessions: which of them this pod holds, and which one is active. Main process; the rules alone, no I/O: the Keeper has the locks.

A pod has at most one active session: it was started by a call, or found on NFS, where its folder under `.processing` is the
record of it. Besides, a pod looks after files of orphaned sessions, which nobody holds, until they are sent; their new arrivals it
leaves to a pod that is free. The Scanner's scans drive all of this, so whatever was missed is seen again.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from nfsw.actors import logs
from nfsw.actors.envelope import Job, Lost, Reply
from nfsw.actors.messages import (
    AcquireLock,
    Failed,
    ReleaseLock,
    ScanFinished,
    SessionDenied,
    SessionFound,
    SessionHeld,
    SessionReleased,
    SessionUnusable,
    VerifyLock,
    WatchedSessions,
)
from nfsw.supervisor.actor_ref import ActorRef, Request
from nfsw.supervisor.admission import Admission
from nfsw.supervisor.service import AzureSilent, NfsSilent, NoSession, SessionConflict
from nfsw.supervisor.session import Holding, Session
from nfsw.supervisor.status import SessionStatus
from nfsw.supervisor.stop_request import StopRequest

log = logging.getLogger("nfsw.sessions")

#: How long a session must have been nobody's before a pod that has one of its own looks after its files, in seconds. A pod
#: that only restarts has its session back by then.
ORPHANED_AFTER_S = 10.0
#: How often the locks are looked at, in seconds: one that was lost while the server was away is another pod's by now.
VERIFY_S = 30.0


@dataclass(slots=True)
class Sessions:
    """`admission` says whether anything may be held and claimed. `show` tells Scanner and Collector what to watch."""

    admission: Admission
    keeper: ActorRef
    show: Callable[[WatchedSessions], None]
    #: Whether a file of the session is queued, under way or waits for its next attempt.
    is_busy: Callable[[str], bool]
    #: What keeps a session that was stopped from ending, if that is known.
    holdup: Callable[[str], str | None]
    #: Ends the service: another pod has what we hold.
    lost: Callable[[str], None]
    #: The session that was started or resumed, or is about to be.
    active: Session | None = None
    _by_name: dict[str, Session] = field(default_factory=dict)
    _to_resume: deque[str] = field(default_factory=deque)  # which one a free pod may resume, as of the last scan
    _verified_at: float | None = None  # when the Keeper was last asked to verify its locks (monotonic)
    _early_scan: ScanFinished | None = None  # the last one before a session may be held

    async def start(self, name: str, timeout_s: float) -> None:
        """Makes the session active. Raises AzureSilent, SessionConflict, NfsSilent."""
        if reason := self.admission.session_refusal():
            raise AzureSilent(f"no session is started: {reason}")
        if self.active and (self.active.running or not self.active.resumed):
            raise SessionConflict(self._why_busy(self.active))
        self._to_resume.clear()
        session = self._session(name)
        if session.acquiring:
            session.acquiring.withdraw()  # a resume, which this overrides
        session.started_at, session.resumed = time.time(), False
        self._acquire(session, AcquireLock(name, True, session.started_at))
        self.active, started = session, asyncio.get_running_loop().create_future()
        session.started = started
        try:
            async with asyncio.timeout(timeout_s):
                await started
        except TimeoutError:
            self._give_up_start(session)
            if session.held:  # for its files' sake, as before; its record is made as soon as NFS answers
                session.was_active = True
            else:
                if session.acquiring:
                    session.acquiring.withdraw()  # what comes before the release is of no use
                    session.acquiring = None
                self._ask_release(session, forget=True)
            raise NfsSilent(f"NFS has not answered for {timeout_s:.0f} s; the session was not started") from None
        except BaseException:
            self._give_up_start(session)
            raise
        finally:
            session.started = None

    def stop(self) -> StopRequest:
        """No new claims from now on. Raises NoSession."""
        if self.active is None or self.active.holding is not Holding.ACTIVE:
            raise NoSession("no session is active in this pod")
        self.active.holding = Holding.DRAINING
        stop = self.active.stop = StopRequest(self.active.name, self._ask)
        self._show()
        return stop

    def claims(self, session: str) -> bool:
        """Whether arrivals of the session are to be claimed."""
        active = self.active
        return active is not None and active.name == session and active.holding is Holding.ACTIVE and self.admission.claim_refusal() is None

    def holds(self, session: str) -> bool:
        return session in self._by_name and self._by_name[session].held

    @property
    def holds_any(self) -> bool:
        return any(session.held for session in self._by_name.values())

    def watch(self) -> WatchedSessions:
        held = [session for session in self._by_name.values() if session.held]
        recorded = (one.name for one in held if one.holding is Holding.ACTIVE or one.was_active)
        active = self.active.name if self.active and self.claims(self.active.name) else None
        return WatchedSessions(active, frozenset(one.name for one in held), frozenset(recorded))

    def status(self) -> SessionStatus | None:
        return self.active.status() if self.active and self.active.running else None

    def held_elsewhere(self) -> str | None:
        """A session that another pod was found to hold, in words; None: none is known."""
        return next((f"session {one.name} is held by pod {one.holder}" for one in self._by_name.values() if one.holder), None)

    def keeper_restarted(self) -> None:
        """Its locks are gone, and have to be ours again before it does anything else."""
        for session in sorted(self._by_name.values(), key=lambda one: one.name, reverse=True):
            if session.held:
                self._acquire_again(session, first=True)

    def verify(self) -> None:
        """The server has just answered, so the Keeper will not wait for it for long. Asks every half a minute at most."""
        now = time.monotonic()
        if self._verified_at is None:
            self._verified_at = now
        if now - self._verified_at >= VERIFY_S:
            self._verified_at = now
            for session in self._by_name.values():
                if session.held:
                    self._ask(VerifyLock(session.name), partial(self._on_verified, session))

    # What the Scanner sees.

    def on_scan(self, scan: ScanFinished) -> None:
        """One scan of `.processing`, newest session first."""
        if self.admission.session_refusal():
            self._early_scan = scan
            return
        found = {session.name: session for session in scan.sessions}
        self._release_what_is_sent(found)
        for session in self._by_name.values():
            if session.held and session.lapsed:
                self._acquire_again(session)
        if self.active and self.active.holding is Holding.DRAINING and self.active.stop:
            self.active.stop.go_on()
        self.verify()
        self._note_free(found)
        if self.active is None:
            self._to_resume = deque(name for name, seen in found.items() if self._by_name[name].holding is Holding.FREE and not seen.over)
            self._resume_next()
        if self.active is None or self.active.running:
            self._acquire_orphans(found, only_over=self.active is None)

    def on_admitted(self) -> None:
        """Sessions may be held from now on: what the last scan found need not wait for the next one."""
        if scan := self._early_scan:
            self._early_scan = None
            self.on_scan(scan)

    def _note_free(self, found: dict[str, SessionFound]) -> None:
        now = time.monotonic()
        for name, seen in found.items():
            session = self._session(name)
            if session.holding is Holding.ENDED and seen.files:
                session.holding = Holding.FREE
            if session.holding is Holding.FREE and session.free_since is None:
                session.free_since = now
        for session in list(self._by_name.values()):
            if session.name not in found and session.holding in (Holding.FREE, Holding.ENDED):
                del self._by_name[session.name]

    def _acquire_orphans(self, found: dict[str, SessionFound], *, only_over: bool) -> None:
        """`only_over`: this pod has no session of its own, and would resume the others."""
        for name, seen in found.items():
            if only_over and not seen.over:
                continue
            session = self._by_name[name]
            since = session.free_since
            if session.holding is Holding.FREE and seen.files and since is not None and time.monotonic() - since >= ORPHANED_AFTER_S:
                self._acquire(session, AcquireLock(name, record=False))

    def _resume_next(self) -> None:
        """One after the other until one is ours: a free pod learns at every scan which sessions are held by others."""
        if self.active is None and self._to_resume:
            session = self.active = self._session(self._to_resume.popleft())
            session.started_at, session.resumed = time.time(), True
            self._acquire(session, AcquireLock(session.name, record=True))

    def _release_what_is_sent(self, found: dict[str, SessionFound]) -> None:
        for session in list(self._by_name.values()):
            name = session.name
            if session.holding not in (Holding.DRAINING, Holding.ORPHANED) or session.acquiring:
                continue
            if self.is_busy(name) or (name in found and found[name].files):
                continue
            if session is self.active:
                self.active = None
                log.info("session ended: all its claimed files are sent", extra={"session_name": name, "action": "end"})
            self._ask_release(session, forget=not session.was_active)
            self._show()

    # What the Keeper says.

    def _acquire(self, session: Session, job: AcquireLock, *, first: bool = False) -> None:
        if not session.held:
            session.holding = Holding.ASKED
        session.lapsed = False
        session.acquiring = self._ask(job, partial(self._on_acquired, session), first=first)

    def _acquire_again(self, session: Session, *, first: bool = False) -> None:
        """What makes a session that we hold ours with a Keeper that knows nothing of it."""
        if session.holding is Holding.ACTIVE:
            self._acquire(session, AcquireLock(session.name, True, session.started_at), first=first)
        else:
            self._acquire(session, AcquireLock(session.name, record=False), first=first)

    def _on_acquired(self, session: Session, reply: Reply) -> None:
        session.acquiring = None
        name, extra = session.name, {"session_name": session.name, "action": "acquire"}
        match reply:
            case SessionHeld():
                if not session.held or (session is self.active and not session.running):
                    self._on_held(session, reply)
            case SessionDenied(holder):
                if session.held:
                    self.lost(f"session {name} is held by {holder or 'another pod'} now")
                    session.holding = Holding.FREE
                session.holder = holder or "(it has not noted its name yet)"
                reason = f"session {name} is held by pod {session.holder}"
                self._not_acquired(session, SessionConflict(reason))
            case Failed(error) | Lost(error):
                log.error("cannot acquire the session's lock: %s", error, extra=extra)
                self._not_acquired(session, NfsSilent(f"NFS error: session {name} cannot be held: {error}"))
            case SessionUnusable(reason):
                log.error("the session cannot be started: %s", reason, extra=extra)
                self._not_acquired(session, SessionConflict(f"session {name} cannot be started: {reason}"))
            case SessionReleased():
                self._on_released(session, reply)
            case _:
                raise TypeError(f"{reply!r} is no reply to AcquireLock")

    def _on_held(self, session: Session, held: SessionHeld) -> None:
        extra = {"session_name": session.name, "action": "start"}
        session.free_since = session.holder = None
        if session is self.active:
            session.holding = Holding.DRAINING if held.draining else Holding.ACTIVE
            session.started_at, session.was_active = held.started_at or session.started_at, False
            if session.started and not session.started.done():
                session.started.set_result(None)
            log.info("session %s", "resumed" if session.resumed else "started", extra=extra)
        else:
            session.holding, session.was_active = Holding.ORPHANED, held.recorded and not held.draining
            log.info("looking after the files of a session that nobody holds", extra={**extra, "action": "orphaned"})
        self._show()

    def _not_acquired(self, session: Session, reason: Exception) -> None:
        """It is another pod's, or cannot be had."""
        if session.held:
            session.lapsed = True  # the Keeper has given the lock up
        else:
            session.holding, session.free_since = Holding.FREE, None
        if session is self.active and not session.running:
            self.active = None
            if session.started and not session.started.done():
                session.started.set_exception(reason)
            self._resume_next()

    def _on_released(self, session: Session, reply: Reply) -> None:
        if session.stop:
            session.stop.settle()
        session.free_since = session.stop = None
        if session.acquiring:
            return  # it has been asked for again meanwhile
        session.holding = Holding.ENDED if isinstance(reply, SessionReleased) and reply.kept else Holding.FREE
        if session is self.active:  # it had ended when we asked for it
            self.active = None
            self._resume_next()

    def _on_verified(self, session: Session, reply: Reply) -> None:
        if isinstance(reply, SessionDenied) and session.held:
            self.lost(f"session {session.name} is held by {reply.holder or 'another pod'} now")

    def _ask_release(self, session: Session, *, forget: bool) -> None:
        """Should the Keeper die of it, the lock has gone with it."""
        session.holding = Holding.RELEASING
        self._ask(ReleaseLock(session.name, forget), partial(self._on_released, session))

    def _ask(self, job: Job, on_reply: Callable[[Reply], None], *, first: bool = False) -> Request:
        request = Request(lambda: job, lambda reply, _: on_reply(reply), traceparent=logs.traceparent.get())
        return self.keeper.ask(request, first=first)

    # ---

    def _session(self, name: str) -> Session:
        return self._by_name.setdefault(name, Session(name))

    def _give_up_start(self, session: Session) -> None:
        if self.active is session and not session.running:
            self.active = None

    def _why_busy(self, active: Session) -> str:
        """Why no other session can be started."""
        if active.holding is not Holding.DRAINING:
            return f"session {active.name} is active in this pod"
        draining = f"session {active.name} is still draining in this pod"
        if reason := self.holdup(active.name):
            return f"{draining}: {reason}. POST /v1/watch/abandon gives up on a file that can never be finished"
        return draining

    def _show(self) -> None:
        self.show(self.watch())
