"""What the Scanner remembers of the files of one folder between two scans; names that are gone are forgotten."""

import os
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from itertools import islice

from nfsw.actors.actor import Tell
from nfsw.actors.files import Arrival, File, FileRef, Fingerprint
from nfsw.actors.messages import FileGone, RefusalLifted
from nfsw.actors.names import for_message
from nfsw.actors.stability import StabilityTracker

#: Of the files that somebody has open for writing, one scan of a folder looks at so many; the others have their turn in the next scans.
OPEN_LOOKS = 1_000
#: After a refusal a file is asked about again when a tenth of the time has passed for which it has been open, and after so many
#: seconds at the latest. One that was written to meanwhile is asked about as soon as it is quiet again.
_LONGEST_PAUSE_S = 60.0


@dataclass(slots=True)
class Waiting:
    """Somebody has the file open for writing, or a kept file has its name, as far as is known."""

    since: float  # when that was found for the first time (seconds since the epoch)
    refused_at: float  # the same moment (seconds, CLOCK_MONOTONIC)
    asked_at: float  # when it was found last (seconds, CLOCK_MONOTONIC)

    def is_due(self, quiet: StabilityTracker, now: float) -> bool:
        """Whether it is time to ask again."""
        if quiet.since > self.asked_at:
            return True  # it was written to: whoever did may have closed it then
        return now - self.asked_at >= min(_LONGEST_PAUSE_S, (self.asked_at - self.refused_at) / 10)


@dataclass(slots=True)
class Folder:
    path: str
    session: str
    date: str | None  # of the claim; None: the folder is in incoming
    below: str = ""  # its path below the session's own folder, with a slash at its end; empty: it is that one
    quiet: dict[str, StabilityTracker] = field(default_factory=dict)  # seen, and not yet stable
    unsighted: list[tuple[int, str]] = field(default_factory=list)  # heap: mtime and name of what has had no fresh look yet
    opened: dict[str, Waiting] = field(default_factory=dict)  # open for writing; whoever was looked at last comes last
    taken: dict[str, Waiting] = field(default_factory=dict)  # stable arrivals whose names kept files have
    reported: dict[str, Fingerprint] = field(default_factory=dict)  # the version
    awaited: set[str] = field(default_factory=set)  # claimed files that the main process waits to hear of again
    abandoned: Set[str] = frozenset()  # not to be finished, and not in the way of the session's end
    refused: dict[str, Fingerprint | None] = field(default_factory=dict)  # the version that is refused; None: any, for its name's sake
    kept_on: str | None = None  # of an arrival's folder: the date of a claim made now, if files of the session are kept that have it
    hidden: int = 0  # arrivals whose names are hidden
    counted: tuple[int, int] = (0, 0)  # files that are not refused, and their bytes
    markers: dict[str, StabilityTracker] = field(default_factory=dict)  # by the name of the file beside which one lies
    unmarked: dict[str, float] = field(default_factory=dict)  # wait for their marker, and since when (seconds since the epoch)
    older_markers: int = 0  # of these, files whose marker does not count, since it is older than they are
    prefix: str = field(init=False)  # of the names of its blobs; a stand-in where the date is not known yet

    def __post_init__(self) -> None:
        self.prefix = f"{self.date or '00000000'}/{self.session}/{self.below}"

    def file(self, name: str) -> File:
        """As messages have it."""
        name = for_message(self.below + name)
        return FileRef(self.date, self.session, name) if self.date else Arrival(self.session, name)

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to remember."""
        return not (
            self.quiet or self.opened or self.taken or self.reported or self.awaited or self.refused or self.hidden or self.unmarked
        )

    def tell_gone(self, names: Iterable[str], tell: Tell) -> None:
        for name in names:
            if isinstance(file := self.file(name), FileRef):
                tell(FileGone(file))

    def pending(self, entries: "list[os.DirEntry[str]]") -> "list[os.DirEntry[str]]":
        """Those of which something is to be found out in this scan."""
        names_refused = {name for name, version in self.refused.items() if version is None}
        passed = names_refused | self.others_turn()
        return [entry for entry in entries if entry.name not in passed] if passed else entries

    def others_turn(self) -> set[str]:
        """The open files that are not to be looked at in this scan."""
        if len(self.opened) <= OPEN_LOOKS:
            return set()
        for name in list(islice(self.opened, OPEN_LOOKS)):
            self.opened[name] = self.opened.pop(name)
        return set(islice(self.opened, len(self.opened) - OPEN_LOOKS))

    def forget_all_but(self, present: set[str], tell: Tell) -> None:
        for name in self.refused.keys() - present:
            del self.refused[name]
            tell(RefusalLifted(self.file(name)))
        self.tell_gone(self.awaited - present, tell)
        self.awaited &= present
        for known in (self.quiet, self.opened, self.taken, self.reported):
            if not known.keys() <= present:  # which is cheaper than to take them away from each other
                for name in known.keys() - present:
                    del known[name]
