"""What the Scanner has to say of its looks besides files and sessions: each thing once, until it changes. Scanner process."""

import logging
import os
from collections.abc import Collection, Iterable, Mapping

from nfsw.actors.actor import Tell
from nfsw.actors.files import File
from nfsw.actors.messages import (
    ArrivalsCounted,
    HiddenFiles,
    LinksInTheWay,
    NamesTaken,
    OpenForWriting,
    RuleFound,
    ScanFailed,
    WaitingForMarker,
)
from nfsw.actors.nfs import LinkInTheWay, describe
from nfsw.actors.scanned_folder import Folder, Waiting
from nfsw.actors.stability import Rule
from nfsw.actors.stability_rule import StabilityRule
from nfsw.actors.tree import NfsTree

log = logging.getLogger("nfsw.scanner")


class ScanNews:
    def __init__(self, tree: NfsTree, writeback_age_s: float) -> None:
        self.error: OSError | None = None  # the first one of this look
        self._tree = tree
        self._writeback_age_s = writeback_age_s
        self._links: dict[str, None] = {}  # of this look, in order
        self._trouble: str | None = None  # of the look before, in words
        self._told_rule: RuleFound | None = None
        self._told_open = OpenForWriting(0)
        self._told_taken = NamesTaken(0)
        self._told_hidden = HiddenFiles(0)
        self._told_arrivals: ArrivalsCounted | None = None
        self._told_unmarked = WaitingForMarker(0)
        self._told_links = LinksInTheWay(())

    def begin(self) -> None:
        """A look begins."""
        self.error = None
        self._links.clear()

    def note(self, error: OSError) -> None:
        """Something could not be looked at."""
        if isinstance(error, LinkInTheWay):
            self._links[self._tree.printable(error.filename)] = None
        else:
            self.error = self.error or error

    def rule(self, stability: StabilityRule, tell: Tell) -> None:
        if stability.rule is None or (found := RuleFound(stability.rule, stability.reason)) == self._told_rule:
            return
        self._told_rule = found
        if found.rule is Rule.LEASE:
            log.info("a file is taken when nobody has it open for writing: %s", found.reason, extra={"action": "scan"})
        else:
            log.warning(
                "a file is taken when it has been quiet for %.0f s, open or not: %s",
                self._writeback_age_s,
                found.reason,
                extra={"action": "scan"},
            )
        tell(found)

    def count(self, folders: Iterable[Folder], tell: Tell) -> None:
        """All folders have been looked at. Told before the files are reported, which may take as long as to send them."""
        arrivals = [folder.counted for folder in folders if folder.date is None]
        now = ArrivalsCounted(sum(files for files, _ in arrivals), sum(size for _, size in arrivals))
        if now != self._told_arrivals:
            self._told_arrivals = now
            tell(now)

    def forget_count(self) -> None:
        """So does the main process when another session is active."""
        self._told_arrivals = None

    def end(self, folders: Collection[Folder], tell: Tell) -> None:
        """The look is done."""
        self._say_links(tell)
        self._say_open(folders, tell)
        self._say_unmarked(folders, tell)
        self._say_taken(folders, tell)
        self._say_hidden(folders, tell)
        self._say_trouble(tell)

    def _say_open(self, folders: Iterable[Folder], tell: Tell) -> None:
        now = OpenForWriting(*_waiting((folder, folder.opened) for folder in folders))
        if now != self._told_open:
            self._told_open = now
            tell(now)

    def _say_unmarked(self, folders: Iterable[Folder], tell: Tell) -> None:
        count, older, oldest = 0, 0, None
        for folder in folders:
            count, older = count + len(folder.unmarked), older + folder.older_markers
            if folder.unmarked and (oldest is None or min(folder.unmarked.values()) < oldest[0]):
                name, since = min(folder.unmarked.items(), key=lambda waiting: (waiting[1], waiting[0]))
                oldest = since, folder.file(name)
        now = WaitingForMarker(count, older, oldest[1], oldest[0]) if oldest else WaitingForMarker(0)
        if now != self._told_unmarked:
            self._told_unmarked = now
            tell(now)

    def _say_taken(self, folders: Iterable[Folder], tell: Tell) -> None:
        now = NamesTaken(*_waiting((folder, folder.taken) for folder in folders))
        if now != self._told_taken:
            self._told_taken = now
            tell(now)

    def _say_hidden(self, folders: Iterable[Folder], tell: Tell) -> None:
        now = HiddenFiles(sum(folder.hidden for folder in folders))
        if now != self._told_hidden:
            self._told_hidden = now
            tell(now)

    def _say_links(self, tell: Tell) -> None:
        links = LinksInTheWay(tuple(self._links))
        if links != self._told_links:
            self._told_links = links
            for path in links.paths:
                log.error("%s is a symbolic link, which is not followed: nothing is taken from there", path, extra={"action": "scan"})
            tell(links)

    def _say_trouble(self, tell: Tell) -> None:
        """Told each time, logged once: a folder that cannot be read is looked at again every few seconds."""
        trouble = None
        if error := self.error:
            trouble = f"{describe(error)} at {self._tree.printable(os.fsdecode(error.filename or ''))}"
            tell(ScanFailed(trouble))
            if trouble != self._trouble:
                log.error("cannot look at NFS, will go on trying: %s", trouble, extra={"action": "scan"})
        elif self._trouble:
            log.info("NFS answers again")
        self._trouble = trouble


def _waiting(folders: Iterable[tuple[Folder, Mapping[str, Waiting]]]) -> tuple[int, File | None, float]:
    """How many files wait, which of them for longest, and since when (seconds since the epoch)."""
    count, since, oldest = 0, 0.0, None
    for folder, waiting in folders:
        count += len(waiting)
        for name, one in waiting.items():
            if oldest is None or one.since < since:
                since, oldest = one.since, folder.file(name)
    return count, oldest, since
