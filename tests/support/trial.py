"""An actor that does what a test tells it, in a child process that is otherwise the real one: host, channel, board and all."""

import os
from dataclasses import dataclass

from nfsw.actors.actor import Actor, Tell
from nfsw.actors.board import Board
from nfsw.actors.envelope import Message


@dataclass(frozen=True, slots=True)
class Say:
    """Is said back as it is."""

    what: object


@dataclass(frozen=True, slots=True)
class Count:
    """Tells the numbers from 0 up to this one."""

    up_to: int


@dataclass(frozen=True, slots=True)
class Raise:
    """Lets it crash."""

    why: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Ends the process with this exit code, and no word of it."""

    code: int


@dataclass(frozen=True, slots=True)
class Read:
    """Announces an NFS call and makes it: reads the file, which may hang. Tells `Say` with what was in it."""

    path: str


class Trial(Actor):
    capacity = 2

    def __init__(self, board: Board) -> None:
        self._board = board

    def on_message(self, message: Message, tell: Tell) -> None:
        match message:
            case Say():
                tell(message)
            case Count(up_to):
                for number in range(up_to):
                    tell(Say(number))
            case Raise(why):
                raise LookupError(why)
            case Leave(code):
                os._exit(code)
            case Read(path):
                self._board.enter(0, f"read {path}")
                with open(path, "rb") as file:
                    text = file.read()
                self._board.leave(0, "read")
                tell(Say(text))
            case other:
                tell(other)  # any message of the service's own is said back too


class OneHand(Trial):
    """Handles one message at a time: the order of its answers is that of the questions."""

    capacity = 1
