"""The Scanner looks at `incoming` and `.processing` again and again, and reports every file that is stable. A child process.

There is one rule for both: what lies there, is stable and in nobody's hands is reported, whether it has just arrived or
was left behind by a crash. Recovery is no path of its own. Each version of a file is reported once: what becomes of it is the
main process's matter, which says `ReportAgain` when that has come to nothing. As a safety net all are reported again every ten minutes.
"""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime

from nfsw.actors.abandoned import AbandonedFiles
from nfsw.actors.actor import Actor, Tell
from nfsw.actors.arrival_folders import ArrivalFolders
from nfsw.actors.call_board import CallBoard
from nfsw.actors.config import ScannerConfig
from nfsw.actors.envelope import Message, Reply
from nfsw.actors.files import FileRef
from nfsw.actors.folder_scan import FolderScan, is_in_the_way
from nfsw.actors.folder_walk import FolderWalk, WalkedFolder, everything
from nfsw.actors.kept_marks import KeptMarks
from nfsw.actors.marker import is_displaced_marker
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
        self._nfs = Nfs(NfsTree(config.nfs_root, config.done_suffix), board)
        self._watch = WatchedSessions(None, frozenset(), frozenset())
        self._folders: dict[str, Folder] = {}
        self._displaced: set[tuple[str, str]] = set()  # session and name
        self._reported_all_at = time.monotonic()
        self._abandoned = AbandonedFiles(self._nfs)
        self._kept = KeptMarks(self._nfs)
        self._news = ScanNews(self._nfs.tree, config.writeback_age_s)
        self._stability = StabilityRule(self._nfs)
        self._files = FolderScan(self._nfs, config, self._stability, self._news.note)
        self._arrivals = ArrivalFolders(self._nfs, recursive=config.recursive)

    def on_message(self, message: Message, tell: Tell) -> Reply | None:
        match message:
            case WatchedSessions():
                if message.active != self._watch.active:
                    self._news.forget_count()
                self._watch = message
                for path in [path for path, folder in self._folders.items() if not self._is_watched(folder)]:
                    self._forget(path, tell)
            case ReportAgain(file):
                path, name = os.path.split(self._nfs.tree.source(file))
                if isinstance(file, FileRef) and file.session in self._watch.held:
                    self._folder(WalkedFolder(path, file.name.removesuffix(name)), file.session, file.date).awaited.add(name)
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
            self._look_at_incoming(tell)
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
                files = self._look_at_claimed(folder, date, session, watched, tell) or session in displaced
                over = self._is_over(session)
                newest = found.get(session)
                if over and not files:
                    continue
                if newest is None:
                    found[session] = SessionFound(session, date, self._mtime_ns(folder), files, over)
                elif files and not newest.files:
                    found[session] = SessionFound(session, newest.date, newest.mtime_ns, files=True, over=over)
        if not complete:
            return None
        for path in [path for path in self._folders if path.startswith(tree.processing) and path not in watched]:
            self._forget(path, tell)
        self._abandoned.tell_refused(tell)
        for session in displaced - found.keys():  # it does not end before the name is back
            found[session] = SessionFound(session, "", 0, files=True)
        return list(found.values())

    def _look_for_notes(self, tell: Tell) -> None:
        for notes in (self._abandoned, self._kept):
            try:
                notes.look()
            except OSError as error:
                self._news.note(error)
        self._abandoned.tell_lifted(tell)

    def _is_over(self, session: str) -> bool:
        """Whether it had ended, and its folders stay for the sake of kept files."""
        try:
            return session not in self._watch.held and self._kept.is_over(session)
        except OSError as error:
            self._news.note(error)
            return True  # for want of an answer it is not made active

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
                for place, entries in everything(self._nfs, tree.displaced(session, instance_id), self._news.note):
                    for entry in entries:
                        if not entry.is_dir(follow_symlinks=False):
                            name = place.below + entry.name
                            tell(DisplacedFile(session, for_message(name), instance_id))
                            if self._files.marked and is_displaced_marker(name, instance_id, tree.done_suffix):
                                self._files.marked.found_displaced(session, name, entry.path)
                            else:
                                self._displaced.add((session, name))
        return {session for session, _ in self._displaced}

    def _look_at_incoming(self, tell: Tell) -> None:
        session = self._watch.active
        self._arrivals.begin(session, tell)
        if session is None:
            return
        while place := self._arrivals.next():
            try:
                _, others = self._look_at(place, session, None, tell)
                self._arrivals.enter(place, others)
            except OSError as error:
                if not self._arrivals.cannot_list(place, error):
                    self._news.note(error)
        self._news.count(self._folders.values(), tell)
        self._files.judge(tell)
        for path in self._arrivals.end([path for path, folder in self._folders.items() if folder.date is None]):
            self._forget(path, tell)

    def _look_at_claimed(self, path: str, date: str, session: str, watched: set[str], tell: Tell) -> bool:
        """Whether there is any file in the folder or those in it, as far as can be known. One that cannot be looked at holds no other up.

        Those in it are looked at whatever APP_RECURSIVE says now: what was claimed is finished.
        """
        held, found = session in self._watch.held, False
        if self._is_undisturbed(path, date, session):
            watched.add(path)
            return False
        walk = FolderWalk(path)
        while (held or not found) and (place := walk.next()):
            try:
                if held:
                    watched.add(place.path)
                    in_the_way, others = self._look_at(place, session, date, tell)
                else:
                    others = self._nfs.listing(place.path)
                    abandoned = self._abandoned.names(date, session, place.below)
                    is_kept = self._kept.among(date, session, place.below)
                    in_the_way = any(is_in_the_way(entry, abandoned, is_kept) for entry in others)
                found = found or in_the_way
                walk.enter(place, others)
            except OSError as error:
                self._news.note(error)
                watched.update(known for known in self._folders if known.startswith(f"{place.path}/"))
                found = True
        if held:
            self._files.judge(tell)
        if not found:
            self._settle(date, session)
        return found

    def _is_undisturbed(self, path: str, date: str, session: str) -> bool:
        """Whether it is known that only kept files are there, so that a folder of 100,000 of them is not read at each look."""
        known = self._folders.get(path)
        try:
            return not (known and (known.awaited or known.refused)) and self._kept.is_undisturbed(date, session)
        except OSError as error:
            self._news.note(error)
            return False

    def _settle(self, date: str, session: str) -> None:
        try:
            self._kept.settle(date, session)
        except OSError as error:
            self._news.note(error)

    def _look_at(self, place: WalkedFolder, session: str, date: str | None, tell: Tell) -> "tuple[bool, list[os.DirEntry[str]]]":
        """Whether a file of the folder is to be seen to, and the entries that are no files. Raises OSError."""
        listing = self._nfs.listing(place.path)
        folder = self._folder(place, session, date)
        folder.abandoned = self._abandoned.names(date, session, place.below) if date else frozenset()
        folder.kept_on = self._kept_on(session) if date is None else None
        is_kept = self._kept.among(date or "", session, place.below)
        looked = self._files.look(folder, listing, self._displaced, is_kept, tell)
        if place.below and folder.is_blank:
            del self._folders[place.path]  # so that what is remembered grows with the files, whatever folders there are
        return looked

    def _kept_on(self, session: str) -> str | None:
        """The date of a claim made now, if kept files of the session have it."""
        today = f"{datetime.now(UTC):%Y%m%d}"
        return today if self._kept.has(today, session) else None

    def _folder(self, place: WalkedFolder, session: str, date: str | None) -> Folder:
        folder = self._folders.get(place.path)
        if folder is None:
            folder = self._folders[place.path] = Folder(place.path, session, date, place.below)
        return folder

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
