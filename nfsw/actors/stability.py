"""When is a file finished? Pure; the clock and the observations come from outside. Scanner process.

A file is stable when two scans in a row saw the same size and mtime, and it has not changed for the minimum age by
*our* clock: its mtime may be hours old on a file that arrived just now (`cp -p`), or lie in the future for ever. The
first and the last observation of that time are made past the attribute cache, which with `actimeo=5` would answer
twice with what it saw five seconds ago. Two equal fresh observations prove that nothing happened in between.

At the server, that is. Another client keeps what its writers write to itself for half a minute. So either the file system says
that nobody has the file open for writing, or it has to be quiet for longer than that: see `Rule`.
"""

from dataclasses import dataclass, field
from enum import Enum, StrEnum

from nfsw.actors.files import Fingerprint


class Rule(StrEnum):
    #: A read lease tells whether anybody has the file open for writing. It has to be granted, after the minimum age.
    LEASE = "lease"
    #: Nobody can tell. The file has to be quiet for as long as a client may keep to itself what was written to it.
    TIME = "time"


class Stability(Enum):
    WAIT = "wait"
    #: Make a fresh observation and ask again.
    LOOK = "look"
    STABLE = "stable"


@dataclass(slots=True)
class StabilityTracker:
    """How long a file has looked the same."""

    fingerprint: Fingerprint
    since: float  # seconds, CLOCK_MONOTONIC: after the first fresh observation; before the first one at all until there is a fresh one
    scans: int = 1  # that saw it so
    fresh: bool = False  # whether a fresh observation is among them
    untold: bool = False  # whether nobody can tell if this file is open, whatever the rule is: that of time holds for it
    has_marker: bool = False  # its writer says that it is complete: it need not be quiet for any time
    seen_at: float = field(init=False, compare=False)  # when a scan first saw the file, whatever it looked like then

    def __post_init__(self) -> None:
        self.seen_at = self.since

    def see(self, fingerprint: Fingerprint, now: float) -> None:
        """A scan has seen the file, as the attribute cache may have it. `now`: from before it looked."""
        if fingerprint == self.fingerprint:
            self.scans += 1
        else:
            self.fingerprint, self.since, self.scans, self.fresh = fingerprint, now, 1, False

    def see_fresh(self, fingerprint: Fingerprint, now: float) -> None:
        """The same scan has looked past the cache. `now`: from after it looked, since a look may hang for a minute."""
        if fingerprint != self.fingerprint:
            self.fingerprint, self.since, self.scans = fingerprint, now, 1
        elif not self.fresh:
            self.since = now
        self.fresh = True

    def verdict(self, now: float, age: float, *, looked: bool = False) -> Stability:
        """`now`: from before the latest observation. `age`: seconds of quiet that are asked for. `looked`: it was a fresh one."""
        if self.has_marker:
            return Stability.STABLE if looked else Stability.LOOK
        if self.scans < 2 or (self.fresh and now - self.since < age):
            return Stability.WAIT
        return Stability.STABLE if self.fresh and looked else Stability.LOOK
