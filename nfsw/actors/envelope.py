"""The base of all messages, and what goes with one on its way. Any process."""

from dataclasses import dataclass

import msgspec


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A fact or a request. Every message that the channel carries is a subclass, whose name is its tag on the wire."""


class Job(Message, frozen=True):
    """A request that gets one reply, which also acknowledges it. It is delivered again when the actor dies first, so it can be repeated."""


class Reply(Message, frozen=True):
    """What became of a job."""


class Started(Message, frozen=True):
    """From a child: it takes messages."""


class Lost(Reply, frozen=True):
    """From the supervisor: the actor died again and again with the job in hand, so it may be what kills it."""

    error: str
    at_least_s: float  # seconds in which another try would end the actor too often


@dataclass(frozen=True, slots=True)
class Envelope:
    message: Message
    #: Of the job that the message is, answers, or brings news of; None: it has to do with none.
    number: int | None = None
    #: W3C trace context of the file that the message is about.
    traceparent: str | None = None
    #: When a child told it (seconds, CLOCK_MONOTONIC, which all processes share): the end of the step that it speaks of.
    told_at: float = 0.0
