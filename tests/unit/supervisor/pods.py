"""One pod's sessions with what surrounds them: a Keeper that answers when it is let, files in hand, scans of the share."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from nfsw.actors.call_board import CallBoard
from nfsw.actors.config import KeeperConfig
from nfsw.actors.envelope import Job, Reply
from nfsw.actors.keeper import Keeper
from nfsw.actors.messages import (
    AcquireLock,
    MarkStopped,
    ReleaseLock,
    ScanFinished,
    SessionFound,
    SessionHeld,
    SessionReleased,
    StopNoted,
    WatchedSessions,
)
from nfsw.supervisor.actor_ref import ActorRef, ChildSpec, Request
from nfsw.supervisor.admission import Admission
from nfsw.supervisor.child import Child
from nfsw.supervisor.sessions import Sessions


def _no_process() -> Child:
    raise AssertionError("nobody starts it")


@dataclass(slots=True)
class KeeperRef(ActorRef):
    """A Keeper without a process."""

    requests: list[Request] = field(default_factory=list)

    def ask(self, request: Request, *, first: bool = False) -> Request:
        self.requests.insert(0 if first else len(self.requests), request)
        return request


class Pod:
    def __init__(self, *, answered: bool = True) -> None:
        """`answered`: whether the Azure container has."""
        self.shown: list[WatchedSessions] = []
        self.busy: set[str] = set()
        self.holdups: dict[str, str] = {}
        self.lost: list[str] = []
        self.admission = Admission()
        if answered:
            self.admission.container_answered()
        self._start()

    def _start(self) -> None:
        self._keeper = KeeperRef(ChildSpec("keeper", _no_process, 1))
        self.sessions = Sessions(
            self.admission, self._keeper, self.shown.append, self.busy.__contains__, self.holdups.get, self.lost.append
        )

    @property
    def asked(self) -> list[Job]:
        """What the Keeper was asked and has not answered, but for what was withdrawn."""
        return [job for request in self._keeper.requests if not request.withdrawn and (job := request.job())]

    def answers(self, session: str, reply: Reply) -> None:
        """The Keeper, to what it was asked first of the session."""
        for request in self._keeper.requests:
            if _session(request) == session:
                self._answer(request, reply)
                return
        raise AssertionError(f"nothing was asked of session {session}")

    def holds_what_was_asked(self) -> None:
        """The Keeper of a share on which nobody else is: it can do whatever it is asked."""
        while self._keeper.requests:
            request = self._keeper.requests[0]
            match request.job():
                case AcquireLock(_, _, started_at):
                    self._answer(request, SessionHeld(started_at or 1000.0, draining=False, recorded=True))
                case MarkStopped():
                    self._answer(request, StopNoted())
                case ReleaseLock():
                    self._answer(request, SessionReleased())
                case job:
                    raise AssertionError(f"{job!r} is not expected")

    def scans(self, *sessions: SessionFound) -> None:
        """The Scanner has: newest first."""
        self.sessions.on_scan(ScanFinished(sessions))

    def _answer(self, request: Request, reply: Reply) -> None:
        self._keeper.requests.remove(request)
        if not request.withdrawn:
            request.on_reply(reply, 0.0)


class SharingPod(Pod):
    """A pod with a real Keeper, on a share that others may use too."""

    def __init__(self, root: Path, name: str) -> None:
        super().__init__()
        self._root = root
        self._name = name
        self.revive()

    def revive(self) -> None:
        """Another process of the Keeper, and nothing was said to it."""
        fd = CallBoard.create(2)
        self.keeper = Keeper(KeeperConfig(str(self._root), self._name), CallBoard(fd, 2))
        os.close(fd)

    def die(self) -> None:
        """The locks of a process that ends are gone with it; what it noted stays."""
        for session in self.sessions.watch().held:
            self.keeper.on_message(ReleaseLock(session, forget=False), lambda _: None)

    def restart(self) -> None:
        """All its processes are other ones, and nothing was said to them."""
        self.die()
        self._start()
        self.revive()

    def keep(self) -> None:
        """The Keeper does what it was asked, whether or not its answer is still of interest."""
        while self._keeper.requests:
            request = self._keeper.requests[0]
            job = request.job()
            assert job is not None
            reply = self.keeper.on_message(job, lambda _: None)
            assert reply is not None
            self._answer(request, reply)

    def scan(self) -> None:
        self.scans(*self.found())
        self.keep()

    def found(self) -> list[SessionFound]:
        """What a scan sees at this moment."""
        folders = sorted(self._root.glob(".processing/*/*"), reverse=True)
        return [SessionFound(folder.name, folder.parent.name, 0, files=any(map(Path.is_file, folder.iterdir()))) for folder in folders]


def seen(name: str, *, files: bool = False, date: str = "20260131") -> SessionFound:
    return SessionFound(name, date, 0, files)


def _session(request: Request) -> str | None:
    """Which the request is about."""
    job = request.job()
    return getattr(job, "session", None)
