"""One pod's desk with what surrounds it: a Keeper that answers when it is let, files in hand, looks at the share."""

import os
from collections import deque
from pathlib import Path

from nfsw.actors.board import Board
from nfsw.actors.config import KeeperConfig
from nfsw.actors.envelope import Message
from nfsw.actors.keeper import Keeper
from nfsw.actors.messages import (
    Drain,
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
from nfsw.supervisor.admission import Admission
from nfsw.supervisor.session import Desk


class Pod:
    """`asked` is what the desk wants of the Keeper and has no answer to yet."""

    def __init__(self, *, answered: bool = True) -> None:
        """`answered`: whether the Azure container has."""
        self.asked: deque[Message] = deque()
        self.shown: list[Watch] = []
        self.busy: set[str] = set()
        self.holdups: dict[str, str] = {}
        self.lost: list[str] = []
        self.admission = Admission()
        if answered:
            self.admission.container_answered()
        self.desk = Desk(self.admission, self.asked.append, self.shown.append, self.busy.__contains__, self.holdups.get, self.lost.append)

    def says(self, *answers: Message) -> None:
        """The Keeper's words."""
        for answer in answers:
            match answer:
                case SessionHeld():
                    self.desk.on_held(answer)
                case SessionDenied():
                    self.desk.on_denied(answer)
                case HoldFailed():
                    self.desk.on_hold_failed(answer)
                case SessionUnusable():
                    self.desk.on_unusable(answer)
                case SessionReleased():
                    self.desk.on_released(answer)
                case StopNoted():
                    self.desk.on_stop_noted(answer)
                case StopFailed():
                    self.desk.on_stop_failed(answer)
                case other:
                    raise TypeError(f"{other!r} is no word of a Keeper's")

    def next_asked(self) -> Message:
        return self.asked.popleft()

    def holds_what_was_asked(self) -> None:
        """The Keeper of a share on which nobody else is: it can do whatever it is asked."""
        while self.asked:
            match self.next_asked():
                case Hold(session, _, started_at):
                    self.says(SessionHeld(session, started_at or 1000.0, draining=False, recorded=True))
                case Drain(session):
                    self.says(StopNoted(session))
                case Release(session):
                    self.says(SessionReleased(session))

    def looks(self, *sessions: SessionFound) -> None:
        """The Scanner's: newest first."""
        self.desk.on_looked(Looked(sessions))


class SharingPod(Pod):
    """A pod with a real Keeper, on a share that others may use too."""

    def __init__(self, root: Path, name: str) -> None:
        super().__init__()
        self._root = root
        self._name = name
        self.revive()

    def revive(self) -> None:
        """Another life of the Keeper, and nothing was said to it."""
        fd = Board.create(2)
        self.keeper = Keeper(KeeperConfig(str(self._root), self._name), Board(fd, 2))
        os.close(fd)

    def die(self) -> None:
        """The locks of a process that ends are gone with it; what it noted stays."""
        for session in self.desk.watch().held:
            self.keeper.on_message(Release(session, forget=False), lambda _: None)

    def keep(self) -> None:
        """The Keeper does what it was asked."""
        while self.asked:
            self.keeper.on_message(self.next_asked(), self.says)

    def look(self) -> None:
        self.looks(*self.found())
        self.keep()

    def found(self) -> list[SessionFound]:
        """What a look sees at this moment."""
        folders = sorted(self._root.glob(".processing/*/*"), reverse=True)
        return [SessionFound(folder.name, folder.parent.name, 0, files=any(map(Path.is_file, folder.iterdir()))) for folder in folders]


def seen(name: str, *, files: bool = False, date: str = "20260131") -> SessionFound:
    return SessionFound(name, date, 0, files)
