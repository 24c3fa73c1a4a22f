"""A hang: why an actor does not work, and since when. It outlives the actor's processes, until one of them works again. Main process."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hang:
    what: str  # such as "blocked in scandir incoming/s" or "no heartbeat": what has been seen lately
    since: float  # seconds, monotonic: when the hang began, whatever was seen first
    #: Whether an NFS call hangs: then the server is waited for, and a process that makes no call proves nothing.
    in_call: bool

    def described(self, now: float) -> str:
        return f"{self.what} for {now - self.since:.0f} s"
