"""A supervisor whose actors are played by the test: the real mailboxes, watch and restarts around children in memory."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from nfsw.actors.envelope import Envelope, Job, Message, Reply
from nfsw.supervisor.actor_ref import ActorRef, ChildSpec, Request
from nfsw.supervisor.actor_state import ActorState
from nfsw.supervisor.supervisor import MessageHandler, Supervisor
from tests.support.faketime import settled
from tests.support.memory_child import MemoryChild, Processes

HANG_S = 30.0
ESCALATE_S = 120.0


@dataclass
class RecordingHandler:
    """Writes down what it is told, for tests of the supervisor alone."""

    greetings: dict[str, list[Message]] = field(default_factory=dict)
    heard: list[tuple[str, Message]] = field(default_factory=list)
    #: Cleared: whoever says something waits.
    may_speak: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_speak.set()

    async def on_message(self, actor: str, envelope: Envelope) -> None:
        await self.may_speak.wait()
        self.heard.append((actor, envelope.message))

    def greeting(self, actor: str) -> Sequence[Message]:
        return self.greetings.get(actor, [])


class Asked:
    """A job that was posted, and what came of it. `job` may be changed: it is what is delivered from then on."""

    def __init__(self, ref: ActorRef, job: Job | None, *, first: bool = False) -> None:
        self.job = job
        self.replies: list[Reply] = []
        self.news: list[Message] = []
        self.request = ref.ask(Request(lambda: self.job, self._on_reply, self._on_news), first=first)

    def _on_reply(self, reply: Reply, _: float) -> None:
        self.replies.append(reply)

    def _on_news(self, news: Message, _: float) -> None:
        self.news.append(news)


class Company:
    """`async with` it: the children are started, and their first messages can be read."""

    def __init__(self, supervisor: Supervisor, processes: dict[str, Processes]) -> None:
        self.supervisor = supervisor
        self.refs = supervisor.refs
        #: When something was last got done (seconds, monotonic), as far as the supervisor of `company` is concerned.
        self.progressed_at = -math.inf
        self._processes = processes
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
        for processes in self._processes.values():
            for child in processes.all:
                child.exits(-9)
        await settled()

    def processes(self, name: str) -> Processes:
        return self._processes[name]

    def __getitem__(self, name: str) -> MemoryChild:
        """The process that the actor has now."""
        return self._processes[name].now

    def state(self, name: str) -> ActorState:
        return self.refs[name].state

    def tell(self, name: str, *messages: Message) -> None:
        for message in messages:
            self.refs[name].tell(message)

    def ask(self, name: str, *jobs: Job) -> list[Asked]:
        return [Asked(self.refs[name], job) for job in jobs]


def company(
    *names: str,
    handler: MessageHandler | None = None,
    capacity: int | None = 1,
    expendable: Callable[[], bool] = lambda: True,
    beats: bool = True,
    unstartable: OSError | None = None,
) -> Company:
    """Of actors that are alike; "a" alone unless others are named. `beats`, `unstartable`: of `Processes`."""
    processes = {name: Processes(beats=beats, unstartable=unstartable) for name in names or ("a",)}
    refs = [ActorRef(ChildSpec(name, process.start, capacity), expendable) for name, process in processes.items()]
    supervisor = Supervisor(refs, handler or RecordingHandler(), HANG_S, ESCALATE_S, lambda: made.progressed_at)
    made = Company(supervisor, processes)
    return made
