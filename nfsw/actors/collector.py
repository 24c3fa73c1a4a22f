"""The Collector ends a file's story: it marks what is safe in Azure as `.completed`, and deletes it. A child process.

Every step can be repeated, and each one looks before it acts: a source that has changed since it was read is given back.
The sweep does the same for what a crash left behind, and removes folders and staged copies that nothing stands for any more.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from nfsw.actors.actor import Actor, Tell
from nfsw.actors.board import Board
from nfsw.actors.config import CollectorConfig
from nfsw.actors.envelope import Message
from nfsw.actors.files import FileRef, Fingerprint
from nfsw.actors.logs import about
from nfsw.actors.manifest import BadManifest, BlockManifest
from nfsw.actors.messages import Complete, FileChanged, FileCompleted, FileTroubled, Unstage, Unstaged, Watch
from nfsw.actors.names import COMPLETED, shown
from nfsw.actors.nfs import Nfs, is_gone, said
from nfsw.actors.staging_folder import discard, staged_files
from nfsw.actors.tree import NfsTree, StagingTree, is_date

log = logging.getLogger("nfsw.collector")


class Collector(Actor):
    def __init__(self, config: CollectorConfig, board: Board) -> None:
        self.interval = config.interval_s
        self.capacity = config.workers
        self._nfs = Nfs(NfsTree(config.nfs_root), board)
        self._staging = StagingTree(config.staging_dir)
        self._watch = Watch(None, frozenset(), frozenset())
        self._errors: list[OSError] = []  # of this sweep

    def on_message(self, message: Message, tell: Tell) -> None:
        match message:
            case Watch():
                self._watch = message
            case Complete(file, fingerprint):
                try:
                    self._complete(file, fingerprint, tell)
                except OSError as error:
                    log.error("cannot complete: NFS: %s", said(error), extra=about(file.session, file.name, "complete"))
                    tell(FileTroubled(file, f"NFS: {said(error)}"))
            case Unstage(file):
                self._unstage(file, tell)

    def on_tick(self, tell: Tell) -> None:
        self._errors.clear()
        with self._noted():
            self._sweep(tell)
        if self._errors:
            log.warning("sweep cut short, next one in %.0f s: %s", self.interval, said(self._errors[0]), extra={"action": "sweep"})

    def _complete(self, file: FileRef, fingerprint: Fingerprint, tell: Tell) -> None:
        source, completed = self._nfs.tree.source(file), self._nfs.tree.completed(file)
        marked_at: float | None = None
        seen = self._nfs.observe(source)
        if seen is not None:
            if seen.fingerprint != fingerprint:
                log.info("changed after its upload, will be sent again", extra=about(file.session, file.name, "complete"))
                tell(FileChanged(file))
                return
            if self._nfs.observe(completed) is not None:
                # No claim is made while a .completed is there, so this one has been looked at before: it is this file's, or an older one's.
                self._nfs.unlink(completed)
            self._rename(source, completed)
            marked_at = time.monotonic()
        if not self._delete(file, fingerprint, tell):
            return
        self._unstage(file, tell)
        tell(FileCompleted(file, marked_at))

    def _rename(self, source: str, completed: str) -> None:
        """The ambiguous answer of a replayed request is settled by a look."""
        try:
            self._nfs.rename(source, completed)
        except OSError as error:
            if not is_gone(error) or self._nfs.observe(completed) is None:
                raise

    def _delete(self, file: FileRef, fingerprint: Fingerprint, tell: Tell) -> bool:
        """Deletes `.completed` unless it is another version than the one that was sent; that one becomes a claimed file again.

        Raises OSError; FileExistsError when it has been given back already: then the mark goes when the file is complete.
        """
        completed = self._nfs.tree.completed(file)
        seen = self._nfs.observe(completed)
        if seen is None:
            return True
        if seen.fingerprint.same_but_ctime(fingerprint):  # marking it changed the ctime
            self._nfs.unlink(completed)
            return True
        log.warning("changed after it was marked as sent, will be sent again", extra=about(file.session, file.name, "complete"))
        self._nfs.link(completed, self._nfs.tree.source(file))
        self._nfs.unlink(completed)
        tell(FileChanged(file))
        return False

    def _unstage(self, file: FileRef, tell: Tell) -> None:
        try:
            discard(self._staging, file)
        except OSError as error:
            log.error("cannot remove the staged copy: %s", said(error), extra=about(file.session, file.name, "unstage"))
            return
        tell(Unstaged(file))

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
            file = FileRef(date, session, name)
            with self._noted():
                if self._nfs.observe(self._nfs.tree.source(file)) is None and self._nfs.observe(self._nfs.tree.completed(file)) is None:
                    self._unstage(file, tell)

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
        for entry in self._nfs.listing(self._nfs.tree.claimed(date, session)):
            if entry.is_file(follow_symlinks=False) and entry.name.endswith(COMPLETED):
                with self._noted():
                    self._finish(FileRef(date, session, entry.name.removesuffix(COMPLETED)), tell)

    def _finish(self, file: FileRef, tell: Tell) -> None:
        """A `.completed` that a crash left: its blob was verified. What is still staged of it tells which version that was."""
        if self._nfs.observe(self._nfs.tree.source(file)) is not None:
            return  # it was given back, and this is its other name, which goes when the file is complete
        completed = self._nfs.observe(self._nfs.tree.completed(file))
        with suppress(FileExistsError):
            if completed is not None and self._delete(file, self._sent(file) or completed.fingerprint, tell):
                log.info(
                    "in Azure and deleted from NFS: blob %s, %d bytes, sent by an earlier life",
                    shown(file.blob),
                    completed.fingerprint.size,
                    extra=about(file.session, file.name, "complete"),
                )
                self._unstage(file, tell)

    def _sent(self, file: FileRef) -> Fingerprint | None:
        try:
            with open(self._staging.manifest(file), encoding="ascii", errors="replace") as lines:
                return BlockManifest.parse_header(lines.readline().removesuffix("\n")).fingerprint
        except (OSError, BadManifest):
            return None
