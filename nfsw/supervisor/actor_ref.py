"""The supervisor's side of one actor: what waits for it, what it has in hand, and what became of its processes.

Main process, one event loop. The mailbox outlives the actor's process. A job that is posted is a request: it is over with its one
reply, and nothing that comes for it later counts.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from nfsw.actors.call_durations import DurationsByCall, added
from nfsw.actors.envelope import Envelope, Job, Message, Reply
from nfsw.supervisor.actor_state import ActorState
from nfsw.supervisor.child import Child
from nfsw.supervisor.intensity import RestartIntensity

type OnReply = Callable[[Reply, float], None]
type OnNews = Callable[[Message, float], None]


@dataclass(frozen=True, slots=True)
class Hang:
    """Why an actor does not work, and since when. It outlives the actor's processes, until one of them works again."""

    what: str  # such as "blocked in scandir incoming/s" or "no heartbeat": what has been seen lately
    since: float  # seconds, monotonic: when the hang began, whatever was seen first
    #: Whether an NFS call hangs: then the server is waited for, and a process that makes no call proves nothing.
    in_call: bool

    def described(self, now: float) -> str:
        return f"{self.what} for {now - self.since:.0f} s"


@dataclass(slots=True, eq=False)
class Request:
    """A job, from the moment at which it is posted until its reply."""

    #: The job as it is to be delivered now: again after its actor died, too. None: it is moot.
    job: Callable[[], Job | None]
    on_reply: OnReply  # with the reply and when it was told (seconds, CLOCK_MONOTONIC)
    on_news: OnNews | None = None  # the same for what the actor tells while it works
    traceparent: str | None = None
    deliveries: int = 0
    delivered: Job | None = None  # the last time
    withdrawn: bool = False

    def withdraw(self) -> None:
        """It is not delivered any more; if the actor has it, nothing that comes of it counts."""
        self.withdrawn = True


@dataclass(frozen=True, slots=True)
class ChildSpec:
    name: str
    #: Starts a new process. Raises OSError when there can be none now.
    start: Callable[[], Child]
    #: Jobs in hand at a time; None: any number.
    capacity: int | None


@dataclass(slots=True)
class ActorRef:
    spec: ChildSpec
    #: Whether a process that hangs in an NFS call may be killed. The Keeper's may not while it holds a lock.
    expendable: Callable[[], bool] = lambda: True
    state: ActorState = ActorState.STARTING
    child: Child | None = None
    restarts: int = 0
    intensity: RestartIntensity = field(default_factory=RestartIntensity)
    #: Why it does not work, through all its processes; None: it does, as far as one can see.
    hang: Hang | None = None
    #: Set when this process has been killed for a hang: it may be one that neither ends nor leaves its channel.
    kill_requested: asyncio.Event = field(default_factory=asyncio.Event)
    #: Processes that did not end on SIGKILL.
    lost: list[Child] = field(default_factory=list)
    #: Checks since it was last seen hanging that saw its calls come back, or that it has nothing to do.
    well_checks: int = 0
    #: Calls of this process that had come back at the latest check.
    calls_back: int = 0
    #: Whether this process has said that it takes messages.
    started: bool = False
    #: When the first of the processes began that did not come so far, one after the other up to this one (seconds, monotonic).
    starting_since: float = math.inf
    #: Jobs that the child has and has not answered, by number.
    in_hand: dict[int, Request] = field(default_factory=dict)
    _mailbox: deque[Request | Envelope] = field(default_factory=deque)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _numbers: int = 0
    _past_calls: DurationsByCall = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.spec.name

    # The mailbox.

    def tell(self, message: Message, traceparent: str | None = None) -> None:
        """Posts a message that nobody answers. One that its actor did not live to take is lost."""
        self._post(Envelope(message, traceparent=traceparent))

    def ask(self, request: Request, *, first: bool = False) -> Request:
        """Posts a job, in front of all that waits if it is to be `first`. Its reply comes, sooner or later, if only `Lost`."""
        if first:
            self.deliver_again([request])
        else:
            self._post(request)
        return request

    async def batch(self, most: int) -> list[Envelope]:
        """The next messages, up to `most`, as soon as there are any and the child can take one more job. The jobs are in hand then."""
        while not (taken := list(self._take(most))):
            self._changed.clear()
            await self._changed.wait()
        return taken

    def _take(self, most: int) -> "list[Envelope]":
        taken: list[Envelope] = []
        while self._mailbox and self._can_take() and len(taken) < most:
            match self._mailbox.popleft():
                case Envelope() as envelope:
                    taken.append(envelope)
                case Request() as request:
                    if not request.withdrawn and (job := request.job()):
                        taken.append(self._numbered(request, job))
        return taken

    def _numbered(self, request: Request, job: Job) -> Envelope:
        self._numbers += 1
        self.in_hand[self._numbers] = request
        request.deliveries, request.delivered = request.deliveries + 1, job
        return Envelope(job, self._numbers, request.traceparent)

    def _can_take(self) -> bool:
        return self.spec.capacity is None or len(self.in_hand) < self.spec.capacity

    def _post(self, waiting: Request | Envelope) -> None:
        self._mailbox.append(waiting)
        self._changed.set()

    # What the child says.

    def heard(self, envelope: Envelope) -> None:
        """News of a job, or its reply. The only place at which what comes too late is dropped."""
        assert envelope.number is not None
        request = self.in_hand.get(envelope.number)
        if isinstance(envelope.message, Reply):
            self.in_hand.pop(envelope.number, None)
            self._changed.set()
            if request and not request.withdrawn:
                request.on_reply(envelope.message, envelope.told_at)
        elif request and request.on_news and not request.withdrawn:
            request.on_news(envelope.message, envelope.told_at)

    # Its processes.

    def take_back(self) -> list[Request]:
        """What a dead child had in hand, in order."""
        requests = [self.in_hand[number] for number in sorted(self.in_hand)]
        self.in_hand.clear()
        return requests

    def deliver_again(self, requests: list[Request]) -> None:
        """Before all others, in this order."""
        self._mailbox.extendleft(reversed(requests))
        self._changed.set()

    def hangs(self, hang: Hang) -> None:
        """Notes what is seen now. The hang goes on from its first beginning until the actor works again."""
        if before := self.hang:
            hang = Hang(hang.what, before.since, in_call=hang.in_call or before.in_call)
        self.hang, self.state, self.well_checks = hang, ActorState.HUNG, 0

    def calls(self) -> DurationsByCall:
        """What its NFS calls took, through all its processes."""
        children = (self.child, *self.lost)
        return added(self._past_calls, *(child.board.calls() for child in children if child is not None))

    def close(self, child: Child) -> None:
        """One of its processes is over."""
        self._past_calls = added(self._past_calls, child.board.calls())
        child.close()
