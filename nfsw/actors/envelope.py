"""What goes with a message on its way. Any process."""

from dataclasses import dataclass

type Message = object


@dataclass(frozen=True, slots=True)
class Envelope:
    message: Message
    #: Set when the sender wants a `Done` for it, and sends it again when the receiver dies first.
    number: int | None = None
    #: How often it has been delivered, this time included.
    attempt: int = 1
    #: W3C trace context of the file that the message is about.
    traceparent: str | None = None
    #: When a child told it (seconds, CLOCK_MONOTONIC, which all processes share): the end of the step that it speaks of.
    told_at: float = 0.0
