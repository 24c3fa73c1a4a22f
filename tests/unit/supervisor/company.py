"""A supervisor whose actors are played by the test: the real mailboxes, watch and restarts around children in memory."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from nfsw.actors.envelope import Envelope, Message
from nfsw.supervisor.child import Child
from nfsw.supervisor.mailbox import Mailbox
from nfsw.supervisor.ref import ActorRef, ChildSpec
from nfsw.supervisor.supervisor import Plot, Supervisor
from tests.support.faketime import settled
from tests.support.memory_child import Lives, MemoryChild

HANG_S = 30.0
ESCALATE_S = 120.0


@dataclass
class Play:
    """A plot that writes down what it is told, for tests of the supervisor alone."""

    greetings: dict[str, list[Message]] = field(default_factory=dict)
    heard: list[tuple[str, Message]] = field(default_factory=list)
    done: list[Message] = field(default_factory=list)
    dead_letters: list[tuple[Message, str, float]] = field(default_factory=list)
    moot: list[Message] = field(default_factory=list)
    #: Cleared: whoever says something waits.
    may_speak: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_speak.set()

    async def on_message(self, actor: str, envelope: Envelope) -> None:
        await self.may_speak.wait()
        self.heard.append((actor, envelope.message))

    def greeting(self, actor: str) -> Sequence[Message]:
        return self.greetings.get(actor, [])

    def on_done(self, job: Message) -> None:
        self.done.append(job)

    def redelivered(self, job: Message) -> Message | None:
        return None if job in self.moot else job

    def on_dead_letter(self, job: Message, reason: str, again_after_s: float) -> None:
        self.dead_letters.append((job, reason, again_after_s))


class Company:
    """`async with` it: the children are started, and their first messages can be read."""

    def __init__(self, *refs: ActorRef, plot: Plot, lives: dict[str, Lives]) -> None:
        self.refs = {ref.name: ref for ref in refs}
        #: When something was last got done (seconds, monotonic).
        self.progressed_at = -math.inf
        self.supervisor = Supervisor(refs, plot, HANG_S, ESCALATE_S, self.latest_progress)
        self._lives = lives
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self.supervisor.run(), name="supervisor")
        await settled()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._running is not None
        if self._running.done():
            self._running.result()  # it never ends by itself: an error in there is the test's failure
        self._running.cancel()
        await asyncio.wait([self._running])
        for lives in self._lives.values():
            for child in lives.all:
                child.exits(-9)
        await settled()

    def latest_progress(self) -> float:
        return self.progressed_at

    def lives(self, name: str) -> Lives:
        return self._lives[name]

    def __getitem__(self, name: str) -> MemoryChild:
        """The life that the actor has now."""
        return self._lives[name].now

    def post(self, name: str, *messages: Message) -> None:
        for message in messages:
            self.refs[name].mailbox.post(Envelope(message))

    def waiting(self, name: str) -> int:
        return len(self.refs[name].mailbox)


def ref(
    name: str, lives: Lives, capacity: int | None = 1, *, bound: int | None = None, expendable: Callable[[], bool] = lambda: True
) -> ActorRef:
    start: Callable[[], Child] = lives.start
    return ActorRef(ChildSpec(name, start, capacity, expendable), Mailbox(bound))
