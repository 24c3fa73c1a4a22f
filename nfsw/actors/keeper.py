"""The Keeper holds sessions for this pod: their locks, and the folders that record the active one. A child process.

It makes no call that it is not asked for, so a server that goes away later finds it idle, and it keeps its locks while
other actors hang and are replaced. When it is replaced itself the main process asks it to hold the same sessions again;
if another pod was quicker, this pod ends.
"""

import logging
import os
import stat
import uuid
from dataclasses import replace
from datetime import UTC, datetime

from nfsw.actors.abandoned import abandon, claimed_files, forget_abandoned
from nfsw.actors.actor import Actor, Tell
from nfsw.actors.call_board import CallBoard
from nfsw.actors.config import KeeperConfig
from nfsw.actors.envelope import Message, Reply
from nfsw.actors.folder_walk import remove_empty
from nfsw.actors.kept import holds_kept_files_alone
from nfsw.actors.lock import LockTaken, SessionLock, begun
from nfsw.actors.logs import about
from nfsw.actors.messages import (
    AbandonFile,
    AcquireLock,
    Failed,
    FileAbandoned,
    LockVerified,
    MarkStopped,
    NotOneClaimedFile,
    Outage,
    ReleaseLock,
    SessionDenied,
    SessionHeld,
    SessionReleased,
    SessionUnusable,
    StopNoted,
    VerifyLock,
)
from nfsw.actors.nfs import Nfs, describe, is_gone
from nfsw.actors.tree import NfsTree, is_date

log = logging.getLogger("nfsw.keeper")


class Keeper(Actor):
    def __init__(self, config: KeeperConfig, board: CallBoard) -> None:
        self._holder = config.holder
        self._instance = uuid.uuid4().hex
        self._nfs = Nfs(NfsTree(config.nfs_root), board)
        self._locks: dict[str, SessionLock] = {}

    def on_message(self, message: Message, tell: Tell) -> Reply | None:  # noqa: ARG002 - it has no news of a job
        try:
            match message:
                case AcquireLock():
                    return self._acquire(message)
                case MarkStopped(session):
                    return self._mark_stopped(session)
                case VerifyLock(session):
                    return self._verify(session)
                case AbandonFile():
                    return self._abandon(message)
                case ReleaseLock(session, forget):
                    return SessionReleased(kept=self._release(session, forget=forget))
        except OSError as error:
            return _failed(error)
        return None

    def _acquire(self, job: AcquireLock) -> Reply:
        session = job.session
        try:
            lock = self._locks[session] = self._locks.get(session) or SessionLock.take(self._nfs, session)
        except LockTaken as taken:
            return SessionDenied(self._named(taken.holder))
        recorded = lock.note.active
        try:
            if job.record and job.started_at is None and not self._is_there(session):
                return SessionReleased(self._release(session, forget=True))  # it ended between the look that found it and this lock
            if job.started_at is not None and (reason := self._unusable(session)):
                self._release(session, forget=False)
                return SessionUnusable(reason)
            if job.record:
                lock.write(begun(lock.note, self._holder, self._instance, job.started_at))
                self._nfs.make_folder(self._nfs.tree.incoming(session))
                self._nfs.make_folder(self._nfs.tree.claimed(f"{datetime.now(UTC):%Y%m%d}", session))
            else:
                lock.write(replace(lock.note, holder=self._holder, instance=self._instance))
        except OSError as error:
            self._release(session, forget=False)
            return _failed(error)
        log.info("session held", extra={"session_name": session, "action": "hold"})
        return SessionHeld(lock.note.started_at or 0.0, lock.note.draining, recorded)

    def _verify(self, session: str) -> Reply:
        lock = self._locks.get(session)
        if lock is None:
            return LockVerified()  # it was given up meanwhile
        try:
            new_owner = lock.new_owner()
        except OSError as error:
            log.warning("cannot look at the session's lock: %s", describe(error), extra={"session_name": session, "action": "verify"})
            return _failed(error)
        if new_owner is None:
            return LockVerified()
        self._release(session, forget=False)
        return SessionDenied(self._named(new_owner.holder))

    def _named(self, holder: str | None) -> str | None:
        """The other pod as people are told of it."""
        return f"{holder} (another process with the APP_POD_NAME of this one)" if holder == self._holder else holder

    def _release(self, session: str, *, forget: bool) -> bool:
        """Whether a folder of a session that is to be forgotten stays, because something is in it: a kept file, or what is not ours."""
        lock = self._locks.pop(session, None)
        if lock is None:
            return False
        kept = False
        extra = {"session_name": session, "action": "release"}
        try:
            if forget:
                left, kept = self._remove_folders(session)
                if left:
                    log.warning("a folder of the session stays, because it is not empty: %s", left, extra=extra)
                if kept:
                    forget = False
                    lock.write(replace(lock.note, draining=True))  # the folder is found again, and this says that the session is over
        except OSError as error:
            log.error("cannot remove the session's folders: %s", describe(error), extra=extra)
            forget = False
        try:
            lock.release(forget=forget)
        except OSError as error:
            log.error("cannot release the session: %s", describe(error), extra=extra)
        else:
            log.info("session released", extra=extra)
        return kept

    def _abandon(self, job: AbandonFile) -> Reply:
        session = job.session
        if session not in self._locks:
            return Failed("the session's lock is not held")
        files = claimed_files(self._nfs, session, job.name, job.date)
        if len(files) != 1:
            return NotOneClaimedFile(tuple(file.date for file in files))
        [file] = files
        if not abandon(self._nfs, file, job.reason):
            return NotOneClaimedFile(())
        log.warning("abandoned: %s", job.reason, extra=about(session, file.name, "abandon"))
        return FileAbandoned(file.for_message())

    def _unusable(self, session: str) -> str | None:
        """Which of the session's folders is no folder; None: none of them. One that is missing will be made."""
        tree = self._nfs.tree
        today = f"{datetime.now(UTC):%Y%m%d}"
        for path in (tree.incoming(session), tree.processing, tree.day(today), tree.claimed(today, session)):
            with self._nfs.call("lstat", path):
                try:
                    mode = os.lstat(path).st_mode
                except OSError as error:
                    if is_gone(error):
                        continue
                    raise
            if stat.S_ISLNK(mode):
                return f"{tree.printable(path)} is a symbolic link, which is not followed"
            if not stat.S_ISDIR(mode):
                return f"{tree.printable(path)} is not a folder"
        return None

    def _is_there(self, session: str) -> bool:
        """Whether any folder under `.processing` records the session."""
        tree = self._nfs.tree
        return any(self._nfs.observe(tree.claimed(date, session)) for date in filter(is_date, self._nfs.folders(tree.processing)))

    def _remove_folders(self, session: str) -> tuple[str | None, bool]:
        """The record of the session. Returns a folder that holds something that is not ours, if there is one, and whether any stays."""
        tree = self._nfs.tree
        for instance_id in self._nfs.folders(tree.all_displaced(session)):
            remove_empty(self._nfs, tree.displaced(session, instance_id))
        self._nfs.remove_folder(tree.all_displaced(session))
        left, kept = None, False
        for date in filter(is_date, self._nfs.folders(tree.processing)):
            folder = tree.claimed(date, session)
            if remove_empty(self._nfs, folder):
                self._nfs.remove_folder(tree.day(date))
            elif self._nfs.observe(folder):
                kept = True
                if not holds_kept_files_alone(self._nfs, date, session):
                    left = tree.printable(folder)
        if left is None:
            forget_abandoned(self._nfs, session)
        return left, kept

    def _mark_stopped(self, session: str) -> Reply:
        lock = self._locks.get(session)
        if lock is None:
            return Failed("its lock is not held")
        lock.write(replace(lock.note, draining=True))
        return StopNoted()


def _failed(error: OSError) -> Failed:
    return Failed(describe(error), Outage.NFS)
