"""The Collector ends a file's story: it marks what is safe in Azure as `.completed`, and deletes it, at once or later. A child process.

Every step can be repeated, and each one looks before it acts: a source that has changed since it was read is given back.
The sweep does the same for what a crash left behind, and removes folders and staged copies that nothing stands for any more.
With `APP_RECURSIVE` it also removes the folders that writers have left empty in `incoming`.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from nfsw.actors.actor import Actor, Tell
from nfsw.actors.call_board import CallBoard
from nfsw.actors.completion import Completion, Ending
from nfsw.actors.config import CollectorConfig
from nfsw.actors.empty_folders import EmptyFolders
from nfsw.actors.envelope import Message, Reply
from nfsw.actors.files import FileRef, Fingerprint
from nfsw.actors.folder_walk import everything
from nfsw.actors.kept import noted_marks, read_note
from nfsw.actors.kept_sweep import KeptSweep
from nfsw.actors.logs import about
from nfsw.actors.messages import (
    Changed,
    Completed,
    CompleteFile,
    DiskMeasured,
    DiskName,
    Evicted,
    EvictStaged,
    Failed,
    FilesKept,
    Outage,
    ReportAgain,
    RuleFound,
    StillOpen,
    Unstaged,
    WatchedSessions,
)
from nfsw.actors.names import COMPLETED, printable
from nfsw.actors.nfs import Nfs, describe
from nfsw.actors.stability import Rule
from nfsw.actors.staging_folder import discard, staged_files
from nfsw.actors.tree import NfsTree, StagingTree, is_date

log = logging.getLogger("nfsw.collector")


class Collector(Actor):
    def __init__(self, config: CollectorConfig, board: CallBoard) -> None:
        self.interval = self._interval_s = config.interval_s
        self.capacity = config.workers
        self._nfs = Nfs(NfsTree(config.nfs_root), board)
        self._staging = StagingTree(config.staging_dir)
        self._watch = WatchedSessions(None, frozenset(), frozenset())
        self._rule: Rule | None = None  # whether the file system tells that somebody has a file open; None: not known yet
        self._keep = config.keep_s > 0
        self._errors: list[OSError] = []  # of this sweep
        self._kept = KeptSweep(self._nfs, config.keep_s, self._completion, self._alone, self._noted, self._errors.append)
        self._told_kept = FilesKept(0, 0)
        self._sweep_at: float | None = None  # until then (seconds, CLOCK_MONOTONIC) ticks are for kept files alone
        self._in_hand: set[FileRef] = set()
        self._config = config
        self._empty_folders = EmptyFolders(self._nfs)
        self._turn = threading.Condition()  # guards it

    def on_message(self, message: Message, tell: Tell) -> Reply | None:  # noqa: ARG002 - it has no news of a job
        match message:
            case WatchedSessions():
                self._watch = message
            case RuleFound(rule):
                self._rule = rule
            case CompleteFile(file, version):
                try:
                    return self._complete(file, version)
                except OSError as error:
                    log.error(
                        "NFS error: %s; the file is completed later", describe(error), extra=about(file.session, file.name, "complete")
                    )
                    return Failed(f"NFS: {describe(error)}", Outage.NFS)
            case EvictStaged(file):
                reason = self._unstage(file)
                return Failed(reason, Outage.STAGING) if reason else Evicted()
        return None

    def on_tick(self, tell: Tell) -> None:
        self._errors.clear()
        whole = self._sweep_at is None or time.monotonic() >= self._sweep_at
        wait_s = None
        with self._noted():
            wait_s = self._kept.step(self._watch.held, whole=whole, may_end=self._rule is not None)
        if self._files_kept() != self._told_kept:
            self._told_kept = self._files_kept()
            tell(self._told_kept)
        if whole:
            with self._noted():
                self._measure(tell)
            with self._noted():
                self._sweep(tell)
            if self._config.recursive:
                with self._noted():
                    self._sweep_incoming()
        self._next_tick(wait_s, whole=whole)
        if self._errors:
            log.warning("sweep cut short, next one in %.0f s: %s", self.interval, describe(self._errors[0]), extra={"action": "sweep"})

    def _measure(self, tell: Tell) -> None:
        """The Scanner, which asks as well, cannot tell for as long as the queue is full. Raises OSError."""
        with suppress(FileNotFoundError):  # it is made with the first file
            disk = os.statvfs(self._staging.root)
            tell(DiskMeasured(DiskName.STAGING, disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize))
        disk = self._nfs.disk()
        tell(DiskMeasured(DiskName.EXPORT, disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize))

    def _next_tick(self, kept_due_s: float | None, *, whole: bool) -> None:
        """The next whole sweep comes `interval_s` seconds after the last one. If a kept file is due before it, there is a tick for that."""
        now = time.monotonic()
        sweep_at = now + self._interval_s if whole or self._sweep_at is None else self._sweep_at
        until_sweep_s = max(0.0, sweep_at - now)
        early = kept_due_s is not None and kept_due_s < until_sweep_s
        self._sweep_at = sweep_at if early or not whole else None
        self.interval = kept_due_s if early and kept_due_s is not None else until_sweep_s

    def _files_kept(self) -> FilesKept:
        return FilesKept(self._kept.files.count, self._kept.files.size)

    def _complete(self, file: FileRef, sent: Fingerprint) -> Reply:
        with self._alone(file):
            ending, marked_at = self._completion(file).complete(sent)
            if ending in (Ending.DELETED, Ending.KEPT):
                return Completed(marked_at, unstaged=self._unstage(file) is None, kept=self._now_kept(file, ending))
        self._log_given_back(file, ending)
        return StillOpen() if ending is Ending.OPEN else Changed()

    def _now_kept(self, file: FileRef, ending: Ending) -> FilesKept | None:
        if ending is not Ending.KEPT:
            return None
        with suppress(OSError):  # the next sweep looks at it
            self._kept.files.add(file)
        return self._files_kept()

    def _completion(self, file: FileRef) -> Completion:
        return Completion(self._nfs, self._staging, file, leased=self._rule is not Rule.TIME, keep=self._keep)

    def _log_given_back(self, file: FileRef, ending: Ending) -> None:
        if ending is Ending.OPEN:
            log.info("somebody has it open for writing: it is looked at again once it is closed", extra=self._about(file))
        else:
            log.info("changed after its upload, or not known to be what was sent: it is taken up again", extra=self._about(file))

    @contextmanager
    def _alone(self, file: FileRef) -> Iterator[None]:
        """The sweep and a message never work on the same file at a time."""
        with self._turn:
            self._turn.wait_for(lambda: file not in self._in_hand)
            self._in_hand.add(file)
        try:
            yield
        finally:
            with self._turn:
                self._in_hand.remove(file)
                self._turn.notify_all()

    def _unstage(self, file: FileRef) -> str | None:
        """Removes the staged copy. Returns why it cannot be removed; None: it is gone."""
        try:
            discard(self._staging, file)
        except OSError as error:
            log.error("cannot remove the staged copy: %s", describe(error), extra=about(file.session, file.name, "evict"))
            return describe(error)
        return None

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """What NFS refuses is noted, and the sweep goes on with the next folder or file."""
        try:
            yield
        except OSError as error:
            self._errors.append(error)

    def _sweep(self, tell: Tell) -> None:
        recorded: set[str] = set()  # sessions whose newest folder has been passed
        for date in sorted(filter(is_date, self._nfs.folders(self._nfs.tree.processing)), reverse=True):
            with self._noted():
                self._sweep_day(date, recorded, tell)
        for date, session, name, _ in staged_files(self._staging):
            with self._noted():
                self._sweep_staged(FileRef(date, session, name), tell)

    def _sweep_staged(self, file: FileRef, tell: Tell) -> None:
        """Removes the staged copy of a file that is gone, or that a crash left kept and staged."""
        tree = self._nfs.tree
        with self._alone(file):
            if self._nfs.observe(tree.source(file)) is not None:
                return
            marked = self._nfs.observe(tree.completed(file))
            proven = marked is None or marked.fingerprint == read_note(self._nfs, file)
            if proven and self._unstage(file) is None:
                tell(Unstaged(file.for_message()))

    def _sweep_incoming(self) -> None:
        if self._watch.active is None:
            self._empty_folders.forget()
        elif self._rule is not None:
            age_s = self._config.min_file_age_s if self._rule is Rule.LEASE else self._config.writeback_age_s
            self._empty_folders.sweep(self._watch.active, age_s, self._errors.append)

    def _sweep_day(self, date: str, recorded: set[str], tell: Tell) -> None:
        tree = self._nfs.tree
        for session in self._nfs.folders(tree.day(date)):
            if session not in self._watch.held:
                continue
            keep = session in self._watch.recorded and session not in recorded
            recorded.add(session)
            with self._noted():
                self._sweep_folder(date, session, tell)
                if not keep:
                    self._nfs.remove_folder(tree.claimed(date, session))
        self._nfs.remove_folder(tree.day(date))

    def _sweep_folder(self, date: str, session: str, tell: Tell) -> None:
        emptied: list[str] = []  # folders inside it that may be empty now
        for place, entries in everything(self._nfs, self._nfs.tree.claimed(date, session), self._errors.append):
            marks = [entry.name for entry in entries if entry.is_file(follow_symlinks=False) and entry.name.endswith(COMPLETED)]
            kept = noted_marks(self._nfs, date, session, place.below) if marks else set()
            for name in marks:
                if name in kept:
                    continue
                with self._noted():
                    self._finish(FileRef(date, session, place.below + name.removesuffix(COMPLETED)), tell)
            folders = sum(entry.is_dir(follow_symlinks=False) for entry in entries)
            if place.below and len(marks) + folders == len(entries):
                emptied.append(place.path)
        for path in reversed(emptied):
            self._nfs.remove_folder(path)

    def _finish(self, file: FileRef, tell: Tell) -> None:
        """A `.completed` that a crash left: its blob was verified."""
        if self._rule is None:
            return  # the next sweep knows whether a lease has to be granted
        with self._alone(file):
            if self._nfs.observe(self._nfs.tree.source(file)) is not None:
                return  # it was given back, and this is its other name, which goes when the file is complete
            marked = self._nfs.observe(self._nfs.tree.completed(file))
            if marked is None:
                return
            with suppress(FileExistsError):
                ending = self._completion(file).finish()
                if ending not in (Ending.DELETED, Ending.KEPT):
                    self._log_given_back(file, ending)
                    tell(ReportAgain(file.for_message()))
                    return
                self._now_kept(file, ending)
                if self._unstage(file) is None:
                    tell(Unstaged(file.for_message()))
                log.info(
                    "in Azure and %s NFS: blob %s, %d bytes, sent by an earlier process",
                    "kept on" if ending is Ending.KEPT else "deleted from",
                    printable(file.blob),
                    marked.fingerprint.size,
                    extra=self._about(file),
                )

    def _about(self, file: FileRef) -> dict[str, str]:
        return about(file.session, file.name, "complete")
