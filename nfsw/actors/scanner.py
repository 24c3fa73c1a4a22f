"""The Scanner looks at `incoming` and `.processing` again and again, and reports every file that is stable. A child process.

There is one rule for both: what lies there, is stable and in nobody's hands is reported, whether it has just arrived or
was left behind by a crash. Recovery is no path of its own. The Scanner remembers what it reported only to save work: the
main process knows what is in hand, and says `LetGo` when a file is to be reported again.
"""

import logging
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from nfsw.actors.actor import Actor, Tell
from nfsw.actors.board import Board
from nfsw.actors.config import ScannerConfig
from nfsw.actors.envelope import Message
from nfsw.actors.files import Arrival, File, FileRef, Fingerprint
from nfsw.actors.logs import about
from nfsw.actors.messages import FileGone, FileRefused, FileStable, LetGo, Looked, LookFailed, NameAside, RefusalLifted, SessionFound, Watch
from nfsw.actors.names import COMPLETED, is_wanted, refusal
from nfsw.actors.nfs import Nfs, said
from nfsw.actors.stability import Quiet, Verdict
from nfsw.actors.tree import NfsTree, is_date

log = logging.getLogger("nfsw.scanner")

#: Files that one scan observes afresh on first sight, each a round trip on NFS. The others of a flood get theirs in a later scan.
FRESH_SIGHTS = 2_000
#: Sessions that one look tells of. A packet of the channel holds more than twice as many of the longest names.
MOST_SESSIONS = 400


_NOT_REFUSED = Fingerprint(-1, -1, -1, -1)


@dataclass(slots=True)
class Folder:
    """What is remembered of one folder between two scans; names that are gone are forgotten."""

    quiet: dict[str, Quiet] = field(default_factory=dict)  # seen, and not yet stable
    reported: set[str] = field(default_factory=set)
    awaited: set[str] = field(default_factory=set)  # claimed files that were let go: the main process waits to hear of them again
    refused: dict[str, Fingerprint | None] = field(default_factory=dict)  # the version that is refused; None: any, for its name's sake


class Scanner(Actor):
    def __init__(self, config: ScannerConfig, board: Board) -> None:
        self.interval = config.poll_interval_s
        self._age = config.min_file_age_s
        self._extensions = config.extensions
        self._largest = config.largest
        self._nfs = Nfs(NfsTree(config.nfs_root), board)
        self._watch = Watch(None, frozenset(), frozenset())
        self._folders: dict[str, Folder] = {}
        self._aside: set[tuple[str, str]] = set()  # session and name
        self._longest = 255
        self._fresh_left = 0
        self._error: OSError | None = None  # the first one of this look
        self._trouble: str | None = None  # of the look before, in words

    def on_message(self, message: Message, tell: Tell) -> None:
        match message:
            case Watch():
                self._watch = message
                for path in [path for path, folder in self._folders.items() if not self._is_watched(path)]:
                    self._forget(path, tell)
            case LetGo(file):
                path, name = os.path.split(self._nfs.tree.source(file))
                if folder := self._folders.get(path):
                    folder.reported.discard(name)
                    if isinstance(file, FileRef):
                        folder.awaited.add(name)

    def on_tick(self, tell: Tell) -> None:
        self._fresh_left = FRESH_SIGHTS
        self._error = None
        try:
            self._longest = self._name_limit()
            found = self._look_at_processing(tell)
            if self._watch.active:
                self._look_at(self._nfs.tree.incoming(self._watch.active), self._watch.active, None, tell)
            if found is not None:
                tell(Looked(self._news(found)))
        except OSError as error:
            self._note(error)
        self._say_trouble(tell)

    def _look_at_processing(self, tell: Tell) -> list[SessionFound] | None:
        """Reports what was claimed and is in nobody's hands; returns the sessions there are, None when not all can be known."""
        tree = self._nfs.tree
        found: dict[str, SessionFound] = {}
        watched: set[str] = set()
        complete = True
        asides = self._look_at_asides(tell)
        for date in sorted(filter(is_date, self._nfs.folders(tree.processing)), reverse=True):
            try:
                sessions = self._nfs.folders(tree.day(date))
            except OSError as error:
                self._note(error)
                complete = False
                continue
            for session in sessions:
                if session.startswith("."):
                    continue
                folder = tree.claimed(date, session)
                if session in self._watch.held:
                    watched.add(folder)
                files = self._look_at(folder, session, date, tell) or session in asides
                newest = found.get(session)
                if newest is None:
                    found[session] = SessionFound(session, date, self._mtime_ns(folder), files)
                elif files and not newest.files:
                    found[session] = SessionFound(session, newest.date, newest.mtime_ns, files=True)
        if not complete:
            return None
        for path in [path for path in self._folders if path.startswith(tree.processing) and path not in watched]:
            self._forget(path, tell)
        for session in asides - found.keys():  # it does not end before the name is back
            found[session] = SessionFound(session, "", 0, files=True)
        return list(found.values())

    def _news(self, found: list[SessionFound]) -> tuple[SessionFound, ...]:
        """Newest first. No more than fit a packet of the channel; ours come before others, and those with files before those without."""
        found.sort(key=lambda s: (s.name in self._watch.held, s.files, s.date, s.mtime_ns, s.name), reverse=True)
        return tuple(sorted(found[:MOST_SESSIONS], key=lambda s: (s.date, s.mtime_ns, s.name), reverse=True))

    def _look_at_asides(self, tell: Tell) -> set[str]:
        """Returns the sessions with a name aside. A newer file of such a name has to wait in `incoming`."""
        tree = self._nfs.tree
        self._aside.clear()
        for session in sorted(self._watch.held):
            for incarnation in self._nfs.folders(tree.asides(session)):
                for entry in self._nfs.listing(tree.aside(session, incarnation)):
                    tell(NameAside(session, entry.name, incarnation))
                    self._aside.add((session, entry.name))
        return {session for session, _ in self._aside}

    def _look_at(self, path: str, session: str, date: str | None, tell: Tell) -> bool:
        """Whether there is any file in the folder, as far as can be known. One that NFS does not let us look at holds no other up."""
        try:
            if date is None or session in self._watch.held:
                return self._scan(path, session, date, tell)
            return any(entry.is_file(follow_symlinks=False) for entry in self._nfs.listing(path))
        except OSError as error:
            self._note(error)
            return True

    def _mtime_ns(self, folder: str) -> int:
        try:
            seen = self._nfs.observe(folder)
        except OSError as error:
            self._note(error)
            return 0
        return seen.fingerprint.mtime_ns if seen else 0

    def _scan(self, path: str, session: str, date: str | None, tell: Tell) -> bool:
        """Looks at one folder; `date`: None for `incoming`. Returns whether it holds any file, `.completed` ones included."""
        folder = self._folders.setdefault(path, Folder())
        extensions = () if date else self._extensions
        listing = self._nfs.listing(path)
        regular = [entry for entry in listing if entry.is_file(follow_symlinks=False)]
        wanted = [entry for entry in regular if is_wanted(entry.name, extensions) and not (date and entry.name.endswith(COMPLETED))]
        if date is None and self._aside:
            wanted = [entry for entry in wanted if (session, entry.name) not in self._aside]
        now = time.monotonic()
        pending = [e for e in wanted if e.name not in folder.reported and folder.refused.get(e.name, _NOT_REFUSED) is not None]
        for entry, fingerprint in zip(pending, self._nfs.stats(path, pending), strict=True):
            quiet = folder.quiet.get(entry.name)
            if quiet is not None and quiet.goes_on(fingerprint, now, self._age):
                continue  # the common case, at the price of one comparison
            if isinstance(fingerprint, OSError):
                self._note(fingerprint)
                continue
            if fingerprint is None:
                folder.quiet.pop(entry.name, None)
                continue
            if folder.refused.get(entry.name) == fingerprint:
                continue
            if quiet is None:
                if reason := refusal(entry.name, f"{date or '00000000'}/{session}/", self._longest):
                    self._refuse(folder, _file(date, session, entry.name), None, reason, tell)
                    continue
                if folder.refused.pop(entry.name, None):
                    tell(RefusalLifted(_file(date, session, entry.name)))  # another version, which may fit
                quiet = folder.quiet[entry.name] = Quiet(fingerprint, now)
            else:
                quiet.see(fingerprint, now)
            if not self._is_stable(quiet, entry.path, now):
                continue
            if quiet.fingerprint.size > self._largest:
                reason = f"its {quiet.fingerprint.size} bytes can never be staged: the limit leaves room for {self._largest}"
                self._refuse(folder, _file(date, session, entry.name), quiet.fingerprint, reason, tell)
            else:
                tell(FileStable(_file(date, session, entry.name), quiet.fingerprint, quiet.seen_at))
                folder.reported.add(entry.name)
            folder.awaited.discard(entry.name)
            del folder.quiet[entry.name]
        self._forget_all_but(folder, {entry.name for entry in wanted}, session, date, tell)
        return bool(regular)

    def _is_stable(self, quiet: Quiet, path: str, now: float) -> bool:
        """Whether the file is stable, after a fresh observation where one is needed."""
        verdict = quiet.verdict(now, self._age)
        if (quiet.fresh and verdict is Verdict.WAIT) or not (quiet.fresh or self._spend()):
            return False
        begun = time.monotonic()
        try:
            seen = self._nfs.observe(path)
        except OSError as error:
            self._note(error)
            return False
        if seen is None or not seen.regular:
            return False  # the next scan knows more
        quiet.see_fresh(seen.fingerprint, time.monotonic())
        return quiet.verdict(begun, self._age, looked=True) is Verdict.STABLE

    def _spend(self) -> bool:
        self._fresh_left -= 1
        return self._fresh_left >= 0

    def _refuse(self, folder: Folder, file: File, version: Fingerprint | None, reason: str, tell: Tell) -> None:
        folder.refused[file.name] = version
        log.warning("refused: %s", reason, extra=about(file.session, file.name, "refuse"))
        tell(FileRefused(file, reason))

    def _forget_all_but(self, folder: Folder, present: set[str], session: str, date: str | None, tell: Tell) -> None:
        for name in folder.refused.keys() - present:
            del folder.refused[name]
            tell(RefusalLifted(_file(date, session, name)))
        for name in folder.awaited - present:
            folder.awaited.remove(name)
            tell(FileGone(_file(date, session, name)))
        folder.reported &= present
        for name in folder.quiet.keys() - present:
            del folder.quiet[name]

    def _forget(self, path: str, tell: Tell) -> None:
        """Nobody watches the folder any more, or it is gone."""
        folder = self._folders.pop(path)
        for file in self._files(path, folder.refused):
            tell(RefusalLifted(file))
        for file in self._files(path, folder.awaited):
            tell(FileGone(file))

    def _files(self, path: str, names: Iterable[str]) -> Iterator[File]:
        above, session = os.path.split(path)
        date = os.path.basename(above)
        for name in names:
            yield _file(date if is_date(date) else None, session, name)

    def _is_watched(self, path: str) -> bool:
        above, session = os.path.split(path)
        return session in self._watch.held if is_date(os.path.basename(above)) else session == self._watch.active

    def _name_limit(self) -> int:
        with self._nfs.call("statvfs", self._nfs.tree.root):
            return os.statvfs(self._nfs.tree.root).f_namemax

    def _note(self, error: OSError) -> None:
        self._error = self._error or error

    def _say_trouble(self, tell: Tell) -> None:
        """Logged once, until it changes: a folder that cannot be read is looked at again every few seconds."""
        trouble = None
        if error := self._error:
            trouble = f"{said(error)} at {self._nfs.tree.shown(os.fsdecode(error.filename or ''))}"
            tell(LookFailed(trouble))
            if trouble != self._trouble:
                log.error("cannot look at NFS, will go on trying: %s", trouble, extra={"action": "scan"})
        elif self._trouble:
            log.info("NFS answers again")
        self._trouble = trouble


def _file(date: str | None, session: str, name: str) -> File:
    return FileRef(date, session, name) if date else Arrival(session, name)
