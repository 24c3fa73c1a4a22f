"""One scan of a session's folders: which of their files are stable, and which are refused. Scanner process.

Each folder is looked at by itself. What may be stable is asked about once all have been looked at, the oldest file of all folders first.
"""

import gc
import logging
import os
import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from heapq import heapify, heappop
from operator import itemgetter

from nfsw.actors.actor import Tell
from nfsw.actors.config import ScannerConfig
from nfsw.actors.files import FileRef, Fingerprint
from nfsw.actors.logs import about
from nfsw.actors.marked_files import MarkedFiles
from nfsw.actors.messages import FileRefused, FileStable, RefusalLifted
from nfsw.actors.names import COMPLETED, is_wanted, refusal
from nfsw.actors.nfs import Nfs, regular_file
from nfsw.actors.open_files import OpenFiles
from nfsw.actors.scanned_folder import Folder, Waiting
from nfsw.actors.stability import Rule, Stability, StabilityTracker
from nfsw.actors.stability_rule import StabilityRule

log = logging.getLogger("nfsw.scanner")

#: Files that one scan observes afresh on first sight, each a round trip on NFS. The others of a flood get theirs in a later scan.
FRESH_SIGHTS = 2_000


def is_in_the_way(entry: "os.DirEntry[str]", abandoned: Set[str], is_kept: Callable[[str], bool]) -> bool:
    """Whether it is a file that its session cannot end without: not a hidden one, unless NFS has hidden it until it is closed."""
    name = entry.name
    if not entry.is_file(follow_symlinks=False) or name in abandoned or is_kept(name):
        return False
    return not name.startswith(".") or name.startswith(".nfs")


@contextmanager
def _collector_paused() -> Iterator[None]:
    """A flood makes 100,000 records, none of which is garbage. To look at them again and again took a quarter of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class FolderScan:
    """`note` is told what NFS refuses; it holds no other file up."""

    def __init__(self, nfs: Nfs, config: ScannerConfig, stability: StabilityRule, note: Callable[[OSError], None]) -> None:
        #: None: files need no marker.
        self.marked = MarkedFiles(nfs, config.done_suffix, note) if config.done_suffix else None
        self._nfs = nfs
        self._min_age = config.min_file_age_s
        self._writeback_age = config.writeback_age_s
        self._extensions = config.extensions
        self._largest = config.largest
        self._stability = stability
        self._note = note
        self._open_files = OpenFiles(nfs, config.writeback_age_s, self.marked, note)
        self._longest = 255
        self._fresh_left = 0
        self._ripe: list[tuple[int, str, Folder, str]] = []  # may be stable: mtime, path below the session's folder, folder and name
        self._due: list[tuple[float, str, Folder, str]] = []  # those that wait: when they were asked about last

    def begin(self) -> None:
        """A scan of all folders begins. Raises OSError."""
        self._fresh_left = FRESH_SIGHTS
        self._open_files.begin()
        self._ripe.clear()  # an error may have cut the scan before short
        self._due.clear()
        self._longest = self._nfs.disk().f_namemax
        if self.marked:
            self.marked.begin()

    @_collector_paused()
    def look(
        self,
        folder: Folder,
        listing: "list[os.DirEntry[str]]",
        displaced: Set[tuple[str, str]],
        is_kept: Callable[[str], bool],
        tell: Tell,
    ) -> "tuple[bool, list[os.DirEntry[str]]]":
        """Looks at the files of a folder. Returns whether one of them is to be seen to, and the entries that are no files.

        `displaced`: sessions and names that wait. `is_kept` tells the marks that stay. Raises OSError. `judge` comes after all folders.
        """
        wanted, others, in_the_way = self._sorted_out(folder, listing, is_kept)
        if folder.date is None and displaced:
            wanted = [entry for entry in wanted if (folder.session, folder.below + entry.name) not in displaced]
        with_marker: list[os.DirEntry[str]] = []
        if folder.date is None and self.marked:
            wanted, with_marker = self.marked.sort_out(folder, listing, wanted, leased=self._stability.rule is Rule.LEASE)
        now = time.monotonic()
        pending = folder.pending(wanted)
        known = folder.quiet.get
        ripe_since, ripe_since_untold = now - self._age(untold=False), now - self._age(untold=True)
        before, missed, reported = len(folder.quiet), 0, 0
        files = size = 0
        for entry, looked in zip(pending, self._nfs.stats(folder.path, pending), strict=True):
            if type(looked) is tuple:
                files += 1
                size += looked[0]
            quiet = known(entry.name)
            if quiet is None:
                missed += 1
                if folder.reported and (version := folder.reported.get(entry.name)):
                    reported += 1
                    if looked == version:
                        continue
            elif looked == quiet.fingerprint and (
                quiet.since > ripe_since or not quiet.fresh or (quiet.untold and quiet.since > ripe_since_untold)
            ):
                quiet.scans += 1
                continue  # the common case, at the price of one comparison
            if isinstance(looked, OSError):
                self._note(looked)
            elif looked is None:
                folder.quiet.pop(entry.name, None)
            elif (quiet := self._see(folder, entry.name, quiet, Fingerprint(*looked), now, tell)) is None:
                files -= 1
                size -= looked[0]
            elif quiet.fresh:
                self._to_be_judged(folder, entry.name, quiet, now)
        folder.counted = files, size
        if with_marker:
            self._look_at_marked(folder, with_marker, now, tell)
        self._look_first(folder)
        folder.awaited -= folder.abandoned
        gone = len(pending) - missed < before or reported < len(folder.reported)
        if gone or pending is not wanted or folder.refused or folder.awaited or with_marker:
            folder.forget_all_but({entry.name for entry in (*wanted, *with_marker)}, tell)
        return in_the_way, others

    def _look_at_marked(self, folder: Folder, entries: "list[os.DirEntry[str]]", now: float, tell: Tell) -> None:
        """Files that have their marker."""
        pending = folder.pending(entries)
        files, size = folder.counted
        for entry, looked in zip(pending, self._nfs.stats(folder.path, pending), strict=True):
            if isinstance(looked, OSError):
                self._note(looked)
            elif looked is not None:
                version = Fingerprint(*looked)
                if version != folder.reported.get(entry.name):
                    quiet = self._see(folder, entry.name, folder.quiet.get(entry.name), version, now, tell)
                    if quiet is None:
                        continue
                    quiet.has_marker = True
                    self._to_be_judged(folder, entry.name, quiet, now)
                files, size = files + 1, size + version.size
        folder.counted = files, size

    def _to_be_judged(self, folder: Folder, name: str, quiet: StabilityTracker, now: float) -> None:
        waits = folder.opened.get(name) or folder.taken.get(name)
        if waits is None:
            self._ripe.append((quiet.fingerprint.mtime_ns, folder.below + name, folder, name))
        elif waits.is_due(quiet, now):
            self._due.append((waits.asked_at, folder.below + name, folder, name))

    @_collector_paused()
    def judge(self, tell: Tell) -> None:
        """Reports what is stable of all that was looked at: the oldest first, by mtime, then name."""
        ripe, due = sorted(self._ripe, key=itemgetter(0, 1)), sorted(self._due, key=itemgetter(0, 1))
        self._ripe.clear()
        self._due.clear()
        now = time.monotonic()
        for _, _, folder, name in (*ripe, *due):
            self._judge(folder, name, folder.quiet[name], now, tell)

    def _sorted_out(
        self, folder: Folder, listing: "list[os.DirEntry[str]]", is_kept: Callable[[str], bool]
    ) -> "tuple[list[os.DirEntry[str]], list[os.DirEntry[str]], bool]":
        """The files that are to be looked at, what are no files, and whether there is a file that the session cannot end without.

        Counts the hidden ones.
        """
        arrivals, abandoned = folder.date is None, folder.abandoned
        extensions = self._extensions if arrivals else ()
        wanted: list[os.DirEntry[str]] = []
        others: list[os.DirEntry[str]] = []
        hidden, in_the_way = 0, False
        for entry in listing:  # one loop, with a call only where one is needed: there may be 100,000
            if not entry.is_file(follow_symlinks=False):
                others.append(entry)
                continue
            name = entry.name
            if name[0] == ".":  # as `is_hidden` has it
                hidden += 1
                in_the_way = in_the_way or is_in_the_way(entry, abandoned, is_kept)
            elif name not in abandoned:
                marked = not arrivals and name.endswith(COMPLETED)
                in_the_way = in_the_way or not marked or not is_kept(name)
                if not marked and (not extensions or is_wanted(name, extensions)):
                    wanted.append(entry)
        if arrivals:
            folder.hidden = hidden
        return wanted, others, in_the_way

    def _see(
        self, folder: Folder, name: str, quiet: StabilityTracker | None, fingerprint: Fingerprint, now: float, tell: Tell
    ) -> StabilityTracker | None:
        """What is known of the file, now that a scan has seen it so; None: it is refused."""
        if folder.refused and folder.refused.get(name) == fingerprint:
            return None
        if quiet is not None:
            looked_at = quiet.fresh
            quiet.see(fingerprint, now)
            if looked_at and not quiet.fresh:
                folder.unsighted.append((fingerprint.mtime_ns, name))
            return quiet
        if reason := refusal(name, folder.prefix, self._longest):
            self._refuse(folder, name, None, reason, tell)
            return None
        if folder.refused and folder.refused.pop(name, None):
            tell(RefusalLifted(folder.file(name)))  # another version, which may fit
        folder.quiet[name] = quiet = StabilityTracker(fingerprint, now)
        folder.unsighted.append((fingerprint.mtime_ns, name))
        return quiet

    def _judge(self, folder: Folder, name: str, quiet: StabilityTracker, now: float, tell: Tell) -> None:
        """Reports a file that is stable, or refuses it for its size."""
        if quiet.verdict(now, self._age(untold=quiet.untold)) is Stability.WAIT or self._is_taken(folder, name, now):
            return
        if not self._is_closed_and_unchanged(folder, name, quiet):
            return
        if quiet.fingerprint.size > self._largest:
            reason = f"its {quiet.fingerprint.size} bytes can never be staged: the limit leaves room for {self._largest}"
            self._refuse(folder, name, quiet.fingerprint, reason, tell)
        else:
            leased = self._stability.rule is Rule.LEASE and not quiet.untold
            marker = folder.markers.get(name)
            tell(FileStable(folder.file(name), quiet.fingerprint, quiet.seen_at, leased, marker.fingerprint if marker else None))
            folder.reported[name] = quiet.fingerprint
        folder.awaited.discard(name)
        folder.opened.pop(name, None)
        folder.taken.pop(name, None)
        del folder.quiet[name]

    def _is_taken(self, folder: Folder, name: str, now: float) -> bool:
        """Whether a kept file has the name that this one would get: until it goes, each claim would be for nothing."""
        if folder.kept_on is None:
            return False
        if name in folder.taken and not self._open_files.may_ask(folder, name):
            return True
        try:
            seen = self._nfs.observe(self._nfs.tree.completed(FileRef(folder.kept_on, folder.session, folder.below + name)))
        except OSError as error:
            self._note(error)
            return True
        if seen is None:
            folder.taken.pop(name, None)
            return False
        folder.taken.setdefault(name, Waiting(time.time(), now, now)).asked_at = now
        return True

    def _age(self, *, untold: bool) -> float:
        """Seconds of quiet that are asked for."""
        return self._writeback_age if untold or self._stability.rule is Rule.TIME else self._min_age

    def _look_first(self, folder: Folder) -> None:
        """The fresh observation from which a file's age counts; the oldest go first."""
        again: list[tuple[int, str]] = []
        heapify(folder.unsighted)
        while folder.unsighted and self._fresh_left > 0:
            first = heappop(folder.unsighted)
            quiet = folder.quiet.get(first[1])
            if quiet is None or quiet.fresh:
                continue  # gone, or another of its name was looked at
            self._fresh_left -= 1
            if seen := regular_file(self._nfs, f"{folder.path}/{first[1]}", self._note):
                quiet.see_fresh(seen.fingerprint, time.monotonic())
            else:
                again.append(first)
        folder.unsighted += again

    def _is_closed_and_unchanged(self, folder: Folder, name: str, quiet: StabilityTracker) -> bool:
        """Whether one more fresh look finds the file as it was, and nobody has it open for writing, as far as that can be known.

        The look comes first: a file that changes still is not opened. A server that has to call a delegation back from us, because a
        writer goes on, gives none for that file for a minute.
        """
        begun = time.monotonic()
        if self._stability.rule is None or not self._open_files.may_ask(folder, name):
            return False
        seen = regular_file(self._nfs, f"{folder.path}/{name}", self._note)
        if seen is None:
            return False
        quiet.see_fresh(seen.fingerprint, time.monotonic())
        if quiet.verdict(begun, self._age(untold=quiet.untold), looked=True) is not Stability.STABLE:
            return False
        if folder.date is None and self.marked and not self.marked.is_marked(folder, name, quiet, self._age(untold=quiet.untold)):
            return False
        return self._stability.rule is Rule.TIME or quiet.untold or self._open_files.is_closed(folder, name, quiet)

    def _refuse(self, folder: Folder, name: str, version: Fingerprint | None, reason: str, tell: Tell) -> None:
        folder.refused[name] = version
        log.warning("refused: %s", reason, extra=about(folder.session, folder.below + name, "refuse"))
        tell(FileRefused(folder.file(name), reason))
