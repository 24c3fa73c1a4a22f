"""An actor that does what a test tells it, in a child process that is otherwise the real one: host, channel, board and all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Union
from unittest.mock import patch

import msgspec

from nfsw.actors import channel
from nfsw.actors.actor import Actor, Tell
from nfsw.actors.call_board import CallBoard
from nfsw.actors.envelope import Job, Message, Reply


class Say(Message, frozen=True):
    """Is said back as it is."""

    what: object


class Ask(Job, frozen=True):
    """Is answered with the same."""

    what: object


class Answer(Reply, frozen=True):
    what: object


class Count(Job, frozen=True):
    """Tells the numbers from 0 up to this one, and answers with this one."""

    up_to: int


class Raise(Job, frozen=True):
    """Lets it crash."""

    why: str


class Leave(Message, frozen=True):
    """Ends the process with this exit code, and no word of it."""

    code: int


class Read(Job, frozen=True):
    """Announces an NFS call and makes it: reads the file, which may hang. The answer is what was in it."""

    path: str


@contextmanager
def spoken() -> Iterator[None]:
    """Inside, the channel of this process takes these messages besides those of the service."""
    kinds = (*channel._KINDS, Say, Ask, Answer, Count, Raise, Leave, Read)
    envelopes = list[tuple[Union[kinds], int | None, str | None, float]]  # type: ignore[valid-type]  # noqa: UP007 - known at run time alone
    with patch.object(channel, "_decoder", msgspec.msgpack.Decoder(envelopes)):
        yield


class Trial(Actor):
    capacity = 2

    def __init__(self, board: CallBoard) -> None:
        self._board = board

    def on_message(self, message: Message, tell: Tell) -> Reply | None:
        match message:
            case Say():
                tell(message)
            case Ask(what):
                return Answer(what)
            case Count(up_to):
                for number in range(up_to):
                    tell(Say(number))
                return Answer(up_to)
            case Raise(why):
                raise LookupError(why)
            case Leave(code):
                os._exit(code)
            case Read(path):
                self._board.enter(0, f"read {path}")
                with open(path, "rb") as file:
                    text = file.read()
                self._board.leave(0, "read")
                return Answer(text)
        return None


class OneHand(Trial):
    """Handles one message at a time: the order of its answers is that of the questions."""

    capacity = 1
