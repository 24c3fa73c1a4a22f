"""The Scanner looks at `incoming` and `.processing` again and again, and reports every file that is stable. A child process.

There is one rule for both: what lies there, is stable and in nobody's hands is reported, whether it has just arrived or
was left behind by a crash. Recovery is no path of its own. Each version of a file is reported once: what becomes of it is the
main process's matter, which says `ReportAgain` when that has come to nothing. As a safety net all are reported again every ten minutes.
"""

import os
import time
from collections.abc import Callable

from nfsw.actors.abandoned import AbandonedFiles
from nfsw.actors.actor import Actor, Tell
from nfsw.actors.call_board import CallBoard
from nfsw.actors.config import ScannerConfig
from nfsw.actors.envelope import Message, Reply
from nfsw.actors.files import FileRef
from nfsw.actors.folder_scan import FolderScan, is_in_the_way
from nfsw.actors.messages import DisplacedFile, RefusalLifted, ReportAgain, ScanFinished, SessionFound, WatchedSessions
from nfsw.actors.names import for_message
from nfsw.actors.nfs import LinkInTheWay, Nfs
from nfsw.actors.scan_news import ScanNews
from nfsw.actors.scanned_folder import Folder
from nfsw.actors.stability import Rule
from nfsw.actors.stability_rule import StabilityRule
from nfsw.actors.tree import NfsTree, is_date

#: Sessions that one look tells of. A packet of the channel holds more than twice as many of the longest names.
MOST_SESSIONS = 400
#: Seconds after which all that is stable is reported again: should a bug have lost a file, it comes back by itself.
REPORT_AGAIN_S = 600.0
#: A look that takes so many seconds may have waited for a server that was away.
_LONG_LOOK_S = 10.0


class Scanner(Actor):
    def __init__(self, config: ScannerConfig, board: CallBoard) -> None:
        self.interval = config.poll_interval_s
        self._nfs = Nfs(NfsTree(config.nfs_root), board)
        self._watch = WatchedSessions(None, frozenset(), frozenset())
        self._folders: dict[str, Folder] = {}
        self._displaced: set[tuple[str, str]] = set()  # session and name
        self._reported_all_at = time.monotonic()
        self._abandoned = AbandonedFiles(self._nfs)
        self._news = ScanNews(self._nfs.tree, config.writeback_age_s)
        self._stability = StabilityRule(self._nfs)
        self._files = FolderScan(self._nfs, config, self._stability, self._news.note)

    def on_message(self, message: Message, tell: Tell) -> Reply | None:
        match message:
            case WatchedSessions():
                self._watch = message
                for path in [path for path, folder in self._folders.items() if not self._is_watched(folder)]:
                    self._forget(path, tell)
            case ReportAgain(file):
                path, name = os.path.split(self._nfs.tree.source(file))
                if isinstance(file, FileRef) and file.session in self._watch.held:
                    self._folders.setdefault(path, Folder(path, file.session, file.date)).awaited.add(name)
                if folder := self._folders.get(path):
                    folder.reported.pop(name, None)
        return None

    def on_tick(self, tell: Tell) -> None:
        begun = time.monotonic()
        self._news.begin()
        if begun - self._reported_all_at >= REPORT_AGAIN_S:
            self._reported_all_at = begun
            for folder in self._folders.values():
                folder.reported.clear()
        try:
            self._find_out_rule(begun, tell)
            self._files.begin()
            found = self._look_at_processing(tell)
            if self._watch.active:
                self._look_at(self._nfs.tree.incoming(self._watch.active), self._watch.active, None, tell)
            if found is not None:
                tell(ScanFinished(self._most_important(found)))
        except OSError as error:
            self._news.note(error)
        if self._news.error or time.monotonic() - begun > _LONG_LOOK_S:
            self._stability.doubt()
        self._news.end(self._folders.values(), tell)

    def _find_out_rule(self, now: float, tell: Tell) -> None:
        self._stability.find_out(now)
        self._news.rule(self._stability, tell)
        if self._stability.rule is Rule.TIME:
            for folder in self._folders.values():
                folder.opened.clear()  # nobody can tell any more

    def _look_at_processing(self, tell: Tell) -> list[SessionFound] | None:
        """Reports what was claimed and is in nobody's hands; returns the sessions there are, None when not all can be known."""
        tree = self._nfs.tree
        found: dict[str, SessionFound] = {}
        watched: set[str] = set()
        complete = True
        displaced = self._look_at_displaced(tell)
        self._look_for_notes(tell)
        for date in sorted(filter(is_date, self._folders_in(tree.processing, is_date)), reverse=True):
            try:
                sessions = self._folders_in(tree.day(date), lambda name: name in self._watch.held)
            except OSError as error:
                self._news.note(error)
                complete = False
                continue
            for session in sessions:
                if session.startswith(".") or session != for_message(session):
                    continue  # no session's
                folder = tree.claimed(date, session)
                if session in self._watch.held:
                    watched.add(folder)
                files = self._look_at(folder, session, date, tell) or session in displaced
                newest = found.get(session)
                if newest is None:
                    found[session] = SessionFound(session, date, self._mtime_ns(folder), files)
                elif files and not newest.files:
                    found[session] = SessionFound(session, newest.date, newest.mtime_ns, files=True)
        if not complete:
            return None
        for path in [path for path in self._folders if path.startswith(tree.processing) and path not in watched]:
            self._forget(path, tell)
        self._abandoned.tell_refused(tell)
        for session in displaced - found.keys():  # it does not end before the name is back
            found[session] = SessionFound(session, "", 0, files=True)
        return list(found.values())

    def _look_for_notes(self, tell: Tell) -> None:
        try:
            self._abandoned.look()
        except OSError as error:
            self._news.note(error)
        self._abandoned.tell_lifted(tell)

    def _folders_in(self, path: str, is_ours: Callable[[str], bool]) -> list[str]:
        """Names of the folders in the one at `path`. A link that has the name of one of ours is said, and not followed."""
        names: list[str] = []
        for entry in self._nfs.listing(path):
            if entry.is_dir(follow_symlinks=False):
                names.append(entry.name)
            elif is_ours(entry.name) and entry.is_symlink():
                self._news.note(LinkInTheWay(entry.path))
        return names

    def _most_important(self, found: list[SessionFound]) -> tuple[SessionFound, ...]:
        """Newest first. No more than fit a packet of the channel; ours come before others, and those with files before those without."""
        found.sort(key=lambda s: (s.name in self._watch.held, s.files, s.date, s.mtime_ns, s.name), reverse=True)
        return tuple(sorted(found[:MOST_SESSIONS], key=lambda s: (s.date, s.mtime_ns, s.name), reverse=True))

    def _look_at_displaced(self, tell: Tell) -> set[str]:
        """Returns the sessions with a displaced name. A newer file of such a name has to wait in `incoming`."""
        tree = self._nfs.tree
        self._displaced.clear()
        for session in sorted(self._watch.held):
            for instance_id in self._nfs.folders(tree.all_displaced(session)):
                for entry in self._nfs.listing(tree.displaced(session, instance_id)):
                    tell(DisplacedFile(session, for_message(entry.name), instance_id))
                    self._displaced.add((session, entry.name))
        return {session for session, _ in self._displaced}

    def _look_at(self, path: str, session: str, date: str | None, tell: Tell) -> bool:
        """Whether there is any file in the folder, as far as can be known. One that NFS does not let us look at holds no other up."""
        abandoned = self._abandoned.names(date, session) if date else set()
        try:
            if date is None or session in self._watch.held:
                folder = self._folders.setdefault(path, Folder(path, session, date))
                folder.abandoned = abandoned
                return self._files.scan(folder, self._displaced, tell)
            return any(is_in_the_way(entry, abandoned) for entry in self._nfs.listing(path))
        except OSError as error:
            self._news.note(error)
            return True

    def _mtime_ns(self, folder: str) -> int:
        try:
            seen = self._nfs.observe(folder)
        except OSError as error:
            self._news.note(error)
            return 0
        return seen.fingerprint.mtime_ns if seen else 0

    def _forget(self, path: str, tell: Tell) -> None:
        """Nobody watches the folder any more, or it is gone."""
        folder = self._folders.pop(path)
        for name in folder.refused:
            tell(RefusalLifted(folder.file(name)))
        folder.tell_gone(folder.awaited, tell)

    def _is_watched(self, folder: Folder) -> bool:
        return folder.session in self._watch.held if folder.date else folder.session == self._watch.active
