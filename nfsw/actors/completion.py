"""How a file that is in Azure leaves NFS: marked as `.completed`, looked at once more, deleted. Else it is given back. Collector process.

1. While nobody has the source open for writing it is what was sent, by size, mtime, inode and ctime: it is renamed to `.completed`.
2. The rename has changed the ctime. So under the new name a new baseline is taken, and noted in the manifest of the staged copy.
3. While nobody has it open for writing it is deleted. Or it is kept for a while: a note says what it is, and this comes when it is due.

A lease is held over each look and the change that follows it. On NFS it has to be let go right before our own change, and another one is
asked for after it. One that a writer breaks ends at once: the writer goes first, and the file is given back.

To give a file back means that it becomes a claimed file again: it is linked to its old name, which replaces nothing, and then the mark
goes. It has to become stable again, and is staged and looked for in Azure like any other: what is there already is not sent again.

A mark that a crash left is deleted or kept only when the manifest or a note proves it to be what was sent: when its ctime was noted after
the rename.
"""

import errno
import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from enum import Enum

from nfsw.actors.files import FileRef, Fingerprint
from nfsw.actors.kept import read_note, remove_note, write_note
from nfsw.actors.lease import Lease
from nfsw.actors.logs import about
from nfsw.actors.manifest import BadManifest, ManifestReader, completed_line
from nfsw.actors.nfs import Nfs, is_gone
from nfsw.actors.tree import StagingTree

log = logging.getLogger("nfsw.collector")


class _NotThere:
    """In a lease's place when there is no file, which the look that follows tells too."""

    def held(self) -> bool:
        return False

    def let_go(self) -> None:
        pass

    def before_own_change(self) -> None:
        pass


#: None: it cannot be known whether somebody has the file open for writing.
type _Asked = Lease | _NotThere | None


class Ending(Enum):
    DELETED = "deleted"
    #: It is marked, and a note proves that it is what was sent.
    KEPT = "kept"
    #: It is not what was sent, or it is not known what was sent. It is a claimed file.
    CHANGED = "changed"
    #: Somebody has it open for writing. It is a claimed file.
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Completion:
    """What is done with one file. Raises OSError; FileExistsError when there is another file under a name that it needs."""

    nfs: Nfs
    staging: StagingTree
    file: FileRef
    leased: bool  # whether a lease has to be granted, where that is possible
    keep: bool = False  # the mark stays for now

    @property
    def _source(self) -> str:
        return self.nfs.tree.source(self.file)

    @property
    def _mark(self) -> str:
        return self.nfs.tree.completed(self.file)

    def complete(self, sent: Fingerprint) -> tuple[Ending, float | None]:
        """Marks and ends the source if it is `sent`. Also returns when it was marked (seconds, CLOCK_MONOTONIC); None: it was before."""
        with self._lease(self._source) as lease:
            seen = self.nfs.observe(self._source)
            if seen is None:
                return self.finish(), None
            if seen.fingerprint != sent:
                return Ending.CHANGED, None
            marked_before = self._is_marked(sent)
            if not _is_closed(lease):
                return Ending.OPEN, None
            _before_own_change(lease)
            still_held = lease if lease and lease.held() else None
            if marked_before:
                self._remove_mark()
            self._rename()
            marked_at = time.monotonic()
            with nullcontext(still_held) if still_held else self._lease(self._mark) as lease_now:
                return self._end_marked(sent, lease_now), marked_at

    def finish(self) -> Ending:
        """Deletes or keeps the mark that was left, if it is proven to be what was sent. DELETED also when there is none."""
        with self._lease(self._mark) as lease:
            seen = self.nfs.observe(self._mark)
            noted = read_note(self.nfs, self.file)
            proven = seen is not None and seen.fingerprint in (noted, self._noted())
            if noted and not proven:
                remove_note(self.nfs, self.file)
            if seen is None:
                return Ending.DELETED
            if not proven:
                return self._give_back(lease, Ending.CHANGED)
            if self.keep:
                return self._keep(lease, seen.fingerprint, noted)
            ending = self._delete(lease)
            if noted:
                remove_note(self.nfs, self.file)
            return ending

    def finish_kept(self, due_ns: int) -> Ending | None:
        """Deletes a kept file that was marked at `due_ns` at the latest (ns since the epoch, the server's clock); else it is KEPT.

        One that is not what its note says, or is open for writing, loses the note: who holds the session gives it back. None: there
        is no note, so it is not kept.
        """
        with self._lease(self._mark) as lease:
            noted = read_note(self.nfs, self.file)
            if noted is None:
                return None
            seen = self.nfs.observe(self._mark)
            if seen and seen.fingerprint == noted and noted.ctime_ns > due_ns:
                return Ending.KEPT
            ending = Ending.DELETED
            if seen and seen.fingerprint != noted:
                ending = Ending.CHANGED
            elif seen and not _is_closed(lease):
                ending = Ending.OPEN
            elif seen:
                _before_own_change(lease)
                self._remove_mark()
        remove_note(self.nfs, self.file)
        return ending

    def _end_marked(self, sent: Fingerprint, lease: _Asked) -> Ending:
        """`lease`: asked for after the rename, or kept over it."""
        seen = self.nfs.observe(self._mark)
        if seen is None:
            return Ending.DELETED
        if not seen.fingerprint.same_but_ctime(sent):
            return self._give_back(lease, Ending.CHANGED)
        if not _is_closed(lease):
            return self._give_back(lease, Ending.OPEN)
        self._note(seen.fingerprint.ctime_ns)
        return self._keep(lease, seen.fingerprint, None) if self.keep else self._delete(lease)

    def _keep(self, lease: _Asked, marked: Fingerprint, noted: Fingerprint | None) -> Ending:
        """`noted`: by the note that is there."""
        if not _is_closed(lease):
            if noted:
                remove_note(self.nfs, self.file)
            return self._give_back(lease, Ending.OPEN)
        if lease:
            lease.let_go()  # a writer that comes now changes the ctime, which shows when the file is due
        if noted != marked:
            write_note(self.nfs, self.file, marked)
        return Ending.KEPT

    def _delete(self, lease: _Asked) -> Ending:
        if not _is_closed(lease):
            return self._give_back(lease, Ending.OPEN)
        _before_own_change(lease)
        self._remove_mark()
        return Ending.DELETED

    def _remove_mark(self) -> None:
        """Raises OSError when NFS says that it is gone and it is not: a file that was taken for deleted would lie there for nobody."""
        if not self.nfs.unlink(self._mark) and self.nfs.observe(self._mark):
            raise OSError(errno.ESTALE, "the file is still there, though NFS says that it is gone", self._mark)

    def _give_back(self, lease: _Asked, why: Ending) -> Ending:
        _before_own_change(lease)
        self.nfs.link(self._mark, self._source)
        self._remove_mark()
        return why

    def _is_marked(self, sent: Fingerprint) -> bool:
        """Whether the source has the mark as a second name: a crash left it when the file was given back.

        A mark of another file is nobody's to remove. It cannot be ours: no file is claimed while a mark of its name is there.
        """
        mark = self.nfs.observe(self._mark)
        if mark and mark.fingerprint.inode != sent.inode:
            raise FileExistsError(errno.EEXIST, "another file is marked as .completed, and nothing proves that it was sent", self._mark)
        return mark is not None

    def _rename(self) -> None:
        """The ambiguous answer of a replayed request is settled by a look."""
        try:
            self.nfs.rename(self._source, self._mark)
        except OSError as error:
            if not is_gone(error) or self.nfs.observe(self._mark) is None:
                raise

    def _note(self, ctime_ns: int) -> None:
        """What is not noted costs a crash in the next moment one more reading of the file, no more."""
        try:
            lines = os.open(self.staging.manifest(self.file), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                os.write(lines, completed_line(ctime_ns).encode())
            finally:
                os.close(lines)
        except OSError as error:
            log.debug("cannot note that it is completed: %s", error.strerror, extra=about(self.file.session, self.file.name, "complete"))

    def _noted(self) -> Fingerprint | None:
        """What the mark was after the rename; None: nobody came to note it, or what was staged is gone."""
        try:
            manifest = ManifestReader(self.staging.manifest(self.file)).read_on(None)
        except (OSError, BadManifest):
            return None
        return manifest.completed if manifest else None

    @contextmanager
    def _lease(self, path: str) -> Iterator[_Asked]:
        if not self.leased:
            yield None
            return
        with ExitStack() as opened:
            try:
                lease = opened.enter_context(self.nfs.lease(path))
            except OSError as error:
                if not is_gone(error) and error.errno != errno.ELOOP:
                    raise
                yield _NotThere()
            else:
                yield None if lease.impossible else lease


def _is_closed(lease: _Asked) -> bool:
    """Whether nobody has the file open for writing, as far as that can be known."""
    return lease is None or lease.held()


def _before_own_change(lease: _Asked) -> None:
    if lease:
        lease.before_own_change()
