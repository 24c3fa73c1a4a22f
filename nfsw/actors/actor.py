"""An actor: plain values in, messages out. What runs one, in a child process, is `host`; a test calls it directly."""

from collections.abc import Callable

from nfsw.actors.envelope import Message, Reply

type Tell = Callable[[Message], None]


class Actor:
    """The base of the actors that touch NFS. Their code blocks, and runs in threads of their own child process.

    `__init__` stores; `on_start` acquires. Whatever a method does not catch ends the process, and the supervisor starts
    another: expected trouble is a message, unexpected trouble is a crash.
    """

    #: Messages in hand at a time, one a thread.
    capacity: int = 1
    #: Seconds from one call of `on_tick` to the next, which that call may change; None: never.
    interval: float | None = None

    def on_start(self, tell: Tell) -> None:
        """Before the first message, in the main thread of the child."""

    def on_message(self, message: Message, tell: Tell) -> Reply | None:
        """In one of `capacity` threads. Returns the reply to a job, None for other messages. What is told meanwhile is news of the job."""
        raise NotImplementedError

    def on_tick(self, tell: Tell) -> None:
        """Every `interval` seconds, never while the first thread handles a message."""
