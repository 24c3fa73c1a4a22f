"""The supervisor's side of one actor: its mailbox, what it has in hand, and what became of its lives. Main process."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from nfsw.actors.envelope import Envelope, Message
from nfsw.actors.tally import Tallies, added
from nfsw.supervisor.child import Child
from nfsw.supervisor.hang import Hang
from nfsw.supervisor.intensity import Intensity
from nfsw.supervisor.mailbox import Mailbox
from nfsw.supervisor.status import ActorState, ActorStatus


@dataclass(frozen=True, slots=True)
class ChildSpec:
    name: str
    #: Starts a new life. Raises OSError when there can be none now.
    start: Callable[[], Child]
    #: Jobs in hand at a time; None: any number.
    capacity: int | None
    #: Whether a life that hangs in an NFS call may be ended. The Keeper's may not while it holds a lock.
    expendable: Callable[[], bool] = lambda: True


@dataclass(slots=True)
class ActorRef:
    spec: ChildSpec
    mailbox: Mailbox = field(default_factory=Mailbox)
    state: ActorState = ActorState.STARTING
    child: Child | None = None
    restarts: int = 0
    #: Jobs that the child has and is not done with, by number.
    in_hand: dict[int, Envelope] = field(default_factory=dict)
    intensity: Intensity = field(default_factory=Intensity)
    #: Why it does not work, through all its lives; None: it does, as far as one can see.
    hang: Hang | None = None
    #: Set when this life has been killed for a hang: it may be one that neither ends nor leaves its channel.
    condemned: asyncio.Event = field(default_factory=asyncio.Event)
    #: Lives that did not end on SIGKILL.
    lost: list[Child] = field(default_factory=list)
    idle: asyncio.Event = field(default_factory=asyncio.Event)  # set while the child can take one more job
    #: Checks since it was last seen hanging that saw its calls come back, or that it has nothing to do.
    well_checks: int = 0
    #: Calls of this life that had come back at the latest check.
    calls_back: int = 0
    #: Whether this life has said that it takes messages.
    started: bool = False
    #: When the first of the lives began that did not come so far, one after the other up to this one (seconds, monotonic).
    starting_since: float = math.inf
    _numbers: int = 0
    _past_calls: Tallies = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.look_idle()

    @property
    def name(self) -> str:
        return self.spec.name

    def numbered(self, envelope: Envelope) -> Envelope:
        """Takes the job in hand."""
        self._numbers += 1
        job = replace(envelope, number=self._numbers)
        self.in_hand[self._numbers] = job
        self.look_idle()
        return job

    def done(self, number: int) -> Message | None:
        """What the child is done with; None: it is none of this life's."""
        envelope = self.in_hand.pop(number, None)
        self.look_idle()
        return envelope.message if envelope else None

    def jobs(self) -> list[Envelope]:
        """What the child has in hand, in order."""
        return [self.in_hand[number] for number in sorted(self.in_hand)]

    def rephrase(self, job: Envelope, message: Message) -> None:
        """Should the child die, the job in hand is delivered again in these words."""
        assert job.number is not None
        self.in_hand[job.number] = replace(job, message=message)

    def take_back(self) -> list[Envelope]:
        """What a dead child had in hand, in order."""
        jobs = self.jobs()
        self.in_hand.clear()
        self.look_idle()
        return jobs

    def hangs(self, hang: Hang) -> None:
        """Notes what is seen now. The hang goes on from its first beginning until the actor works again."""
        if before := self.hang:
            hang = Hang(hang.what, before.since, in_call=hang.in_call or before.in_call)
        self.hang, self.state, self.well_checks = hang, ActorState.HUNG, 0

    def calls(self) -> Tallies:
        """What its NFS calls took, through all its lives."""
        lives = (self.child, *self.lost)
        return added(self._past_calls, *(child.board.calls() for child in lives if child is not None))

    def close(self, child: Child) -> None:
        """One of its lives is over."""
        self._past_calls = added(self._past_calls, child.board.calls())
        child.close()

    def look_idle(self) -> None:
        if self.spec.capacity is None or len(self.in_hand) < self.spec.capacity:
            self.idle.set()
        else:
            self.idle.clear()

    def status(self) -> ActorStatus:
        call = self.child.board.oldest() if self.child else None
        return ActorStatus(
            self.name,
            self.state,
            self.child.pid if self.child else None,
            self.restarts,
            call.seconds if call else 0.0,
            call.what if call else None,
        )
