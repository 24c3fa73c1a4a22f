"""The lock of a session: who, of all pods on the share, owns it and its files. Keeper process; Scanner and Collector look at it.

flock(2) on a file of the NFS directory. On NFSv4 the client turns it into a lock at the server, which outlives neither
the process that holds it nor, by the server's lease time (90 s), the node. There is no clock of ours in it and no heartbeat
that could be late. The file's content tells people and the next holder who holds it; the lock alone decides.
"""

import errno
import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass

from nfsw.actors.nfs import Nfs, is_gone

#: What flock says when another process has the lock. NFS has both.
TAKEN = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES})
#: No session started after that, in seconds since the epoch: the year 5138.
_LATEST = 1e11


class LockTaken(Exception):
    """Another pod holds the session. `args[0]`: what it calls itself, None when it has not noted that yet."""

    @property
    def holder(self) -> str | None:
        holder: str | None = self.args[0]
        return holder


@dataclass(frozen=True, slots=True)
class Note:
    """What the lock file says, in its first line. What is not readable there is as if it were not noted."""

    holder: str | None = None
    started_at: float | None = None  # seconds since the epoch
    active: bool = False  # a call made the session active
    draining: bool = False  # and another one stopped it
    instance: str | None = None  # a random number of the Keeper's life that wrote this: two pods may have one name

    def text(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def parse(cls, text: bytes) -> "Note":
        """Of whatever is there: people may edit the file, and a crash may leave the rest of a longer note behind the first line."""
        try:
            fields = json.loads(text.partition(b"\n")[0])
        except (ValueError, RecursionError):
            return cls()
        if not isinstance(fields, dict):
            return cls()
        holder, instance, started_at = fields.get("holder"), fields.get("instance"), fields.get("started_at")
        return cls(
            holder if isinstance(holder, str) and holder.isprintable() else None,
            started_at if isinstance(started_at, (int, float)) and 0 < started_at < _LATEST else None,
            fields.get("active") is True,
            fields.get("draining") is True,
            instance if isinstance(instance, str) else None,
        )


class SessionLock:
    """One held lock."""

    def __init__(self, nfs: Nfs, session: str, fd: int) -> None:
        self._nfs = nfs
        self._path = nfs.tree.lock(session)
        self._fd = fd
        self.note = Note.parse(self._read())

    @classmethod
    def take(cls, nfs: Nfs, session: str) -> "SessionLock":
        """Raises LockTaken, OSError."""
        path = nfs.tree.lock(session)
        nfs.make_folder(nfs.tree.sessions)
        while True:
            with nfs.call("open", path):
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                if _lock(nfs, path, fd):
                    return cls(nfs, session, fd)
            except BaseException:
                _close(nfs, path, fd)
                raise
            _close(nfs, path, fd)  # the one who held it has just removed the file: what we locked is nobody's any more

    def write(self, note: Note) -> None:
        """fsync before it returns: a process that has to die must have nothing left to write to NFS."""
        text = note.text()
        with self._nfs.call("write", self._path):
            os.pwrite(self._fd, text, 0)
            os.ftruncate(self._fd, len(text))
            os.fsync(self._fd)
        self.note = note

    def new_owner(self) -> Note | None:
        """What another holder has noted, or would have; None: the lock is ours. Raises OSError.

        The server forgets a lock when it has not heard of its client for the lease time. The client's kernel goes on as if it
        had it, but whoever takes it next writes its name, and the number of its life.
        """
        try:
            with self._nfs.call("open", self._path):
                fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)  # what was cached before is not read any more
        except FileNotFoundError:
            return Note()
        try:
            with self._nfs.call("read", self._path):
                same, note = os.fstat(fd).st_ino == self._inode(), Note.parse(os.pread(fd, 4096, 0))
        finally:
            _close(self._nfs, self._path, fd)
        unreadable = note.holder is None  # somebody has edited the file
        ours = unreadable or (note.holder, note.instance) == (self.note.holder, self.note.instance)
        return None if same and ours else note

    def _inode(self) -> int | None:
        """Of the file that was locked; None: the server knows it no more, since another pod has ended the session."""
        try:
            return os.fstat(self._fd).st_ino
        except OSError as error:
            if is_gone(error):
                return None
            raise

    def release(self, *, forget: bool) -> None:
        """`forget`: remove the file too, while it is ours. Raises OSError; the lock is given up whatever happens."""
        try:
            if forget:
                self._nfs.unlink(self._path)
        finally:
            _close(self._nfs, self._path, self._fd)

    def _read(self) -> bytes:
        with self._nfs.call("read", self._path):
            return os.pread(self._fd, 4096, 0)


def _close(nfs: Nfs, path: str, fd: int) -> None:
    with nfs.call("close", path):
        os.close(fd)


def _lock(nfs: Nfs, path: str, fd: int) -> bool:
    """Whether the locked file is still the one at `path`."""
    with nfs.call("flock", path):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in TAKEN:
                raise LockTaken(Note.parse(os.pread(fd, 4096, 0)).holder) from error
            raise
        ours = os.fstat(fd).st_ino
    seen = nfs.observe(path)
    return seen is not None and seen.fingerprint.inode == ours


def noted(nfs: Nfs, session: str) -> Note | None:
    """What the session's lock file says, whoever holds it; None: there is none. Raises OSError."""
    path = nfs.tree.lock(session)
    with nfs.call("read", path):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if is_gone(error):
                return None
            raise
        try:
            return Note.parse(os.pread(fd, 4096, 0))
        finally:
            os.close(fd)


def begun(note: Note, holder: str, instance: str, started_at: float | None) -> Note:
    """The note of a session that `holder` makes active; what the holder before it noted stays true."""
    draining = note.draining and started_at is None
    return Note(holder, started_at or note.started_at or time.time(), active=True, draining=draining, instance=instance)
