"""The Collector's sweep of kept files: those that are due are deleted, those that have changed lose their notes, empty folders go.

Every pod does it for the whole share, whoever holds the sessions: a delete takes the note, the file's fingerprint and a lease, and one pod
at a time makes it. To give a file back takes the session's lock, so the sweep only removes the note: then the mark is in the way of its
session, which is taken up again for it if it has ended, and whoever holds it gives the file back.
"""

import logging
from collections.abc import Callable, Iterable, Set
from contextlib import AbstractContextManager

from nfsw.actors.abandoned import forget_abandoned
from nfsw.actors.completion import Completion, Ending
from nfsw.actors.files import FileRef
from nfsw.actors.folder_walk import remove_empty
from nfsw.actors.kept import holds_no_file, remove_folder_of_notes, remove_note, sweeping
from nfsw.actors.kept_files import KeptFiles
from nfsw.actors.lock import LockTaken, SessionLock
from nfsw.actors.logs import about
from nfsw.actors.nfs import Nfs
from nfsw.actors.tree import is_date

log = logging.getLogger("nfsw.collector")

#: Files that one step ends, each in ten calls or so. Between two steps the Collector does what it is asked to.
_MOST_ENDED = 50
#: Seconds until the next step while there is more to do, and at least between two steps that wait for a file to be due.
_NEXT_STEP_S = 0.1
_LEAST_S = 1.0


class KeptSweep:
    def __init__(
        self,
        nfs: Nfs,
        keep_s: float,
        completion: Callable[[FileRef], Completion],
        alone: Callable[[FileRef], AbstractContextManager[None]],
        noted: Callable[[], AbstractContextManager[None]],
        note: Callable[[OSError], None],
    ) -> None:
        """`alone`: nobody else in this process works on the file. `noted`: what NFS refuses is noted, with `note`."""
        self.files = KeptFiles(nfs, keep_s, note)
        self._nfs = nfs
        self._completion = completion
        self._alone = alone
        self._noted = noted

    def step(self, held: Set[str], *, whole: bool, may_end: bool) -> float | None:
        """One step. Returns in how many seconds the next one is to come; None: with the next whole sweep. Raises OSError.

        `held`: sessions that this pod holds. `whole`: the notes are listed again. `may_end`: it is known whether leases are granted.
        """
        if whole:
            self._remove_folders(self.files.read_names(), held)
        if not self.files.count or not may_end:
            return None
        with sweeping(self._nfs) as (alone, now_ns):
            for file in self.files.look(now_ns):
                self._remove_stale_note(file, held)
            ended: list[FileRef] = []
            if alone:
                changed = self.files.changed() if whole else []
                ended = self.files.due(now_ns, _MOST_ENDED)
                self._end(dict.fromkeys((*changed, *ended)), self.files.due_ns(now_ns))
                self._remove_folders({(f.date, f.session) for f in ended if self.files.is_empty(f.date, f.session)}, held)
            wait_s = self.files.next_due_s(now_ns)
        if self.files.unseen or len(ended) == _MOST_ENDED:
            return _NEXT_STEP_S
        return None if wait_s is None else max(_LEAST_S, wait_s)

    def _end(self, files: Iterable[FileRef], due_ns: int) -> None:
        deleted = size = 0
        for file in files:
            with self._noted(), self._alone(file):
                ending = self._completion(file).finish_kept(due_ns)
                if ending is Ending.KEPT:
                    self.files.add(file)  # what was remembered of it is older
                    continue
                freed = self.files.forget(file)
                if ending is Ending.DELETED:
                    deleted, size = deleted + 1, size + freed
                elif ending is not None:
                    why = "somebody has it open for writing" if ending is Ending.OPEN else "it has changed since it was sent"
                    extra = about(file.session, file.name, "complete")
                    log.info("a kept file is taken up again: %s", why, extra=extra)
        if deleted:
            log.info("kept files that were due are deleted from NFS: %d, %d bytes", deleted, size, extra={"action": "sweep"})

    def _remove_stale_note(self, file: FileRef, held: Set[str]) -> None:
        """A note without a mark: a crash after the delete left it. Only who holds the session knows that no mark is coming."""
        self.files.forget(file)
        if file.session in held:
            with self._noted(), self._alone(file):
                if self._nfs.observe(self._nfs.tree.completed(file)) is None:
                    remove_note(self._nfs, file)

    def _remove_folders(self, folders: Iterable[tuple[str, str]], held: Set[str]) -> None:
        for date, session in folders:
            with self._noted():
                if session in held:  # the folder of its files goes with the sweep of the sessions, unless it has to stay
                    remove_folder_of_notes(self._nfs, date, session)
                elif holds_no_file(self._nfs, date, session):
                    self._remove_folders_of_nobody(date, session)

    def _remove_folders_of_nobody(self, date: str, session: str) -> None:
        """The folder of notes goes last: as long as it is there, an empty folder of a session that is over is no record of it."""
        nfs, tree = self._nfs, self._nfs.tree
        try:
            lock = SessionLock.take(nfs, session)
        except LockTaken:
            return  # whoever holds it removes them
        forget = False
        try:
            if lock.note.draining or not lock.note.active:  # it is over
                if not remove_empty(nfs, tree.claimed(date, session)) and nfs.observe(tree.claimed(date, session)):
                    return
                nfs.remove_folder(tree.day(date))
                forget = not any(nfs.observe(tree.claimed(day, session)) for day in filter(is_date, nfs.folders(tree.processing)))
            if forget:
                forget_abandoned(nfs, session)
            remove_folder_of_notes(nfs, date, session)
        finally:
            lock.release(forget=forget)
