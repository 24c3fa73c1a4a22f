"""A read lease (fcntl F_SETLEASE, F_RDLCK): the file system says whether anybody has a file open for writing. NFS processes.

On NFSv4 the client grants one only while it holds a read delegation, and a server gives that only while nobody has the file open
for writing: no other client, nobody at the server itself, nobody on our own node. A local file system counts the writers in the
inode. While we hold the lease the `open` of a writer waits. So who has a lease must do little and end it soon, and
`held` has to be asked after each step.

- A lease that somebody wants to break is reported by a signal. Its default, SIGIO, would end the process; SIGURG is one that a
  process ignores by itself. `held` asks the kernel instead (F_GETLEASE).
- LINK, RENAME and UNLINK of a file that this node has leased wait for the lease on NFS, the caller's own too: for
  /proc/sys/fs/lease-break-time, 45 s. Hence `before_own_change`. On a local file system they do not, and the lease stays.
- After a server has called a delegation back for a writer it gives none for that file for about a minute, though the writer has
  long closed it. Being refused means: wait.
- Only the file's owner may lease it, or who has CAP_LEASE. Who has CAP_SETUID can be its owner for the length of a call.
"""

import ctypes
import errno
import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

from nfsw.actors.files import Fingerprint

#: What a process that has not set a handler ignores (signal(7)), and what no library in the NFS processes uses.
_BROKEN = signal.SIGURG
_ANY_USER = 2**32 - 1

#: setfsuid(2) counts for the calling thread alone, in glibc too, and returns the user that was set before.
_setfsuid = ctypes.CDLL(None).setfsuid
_setfsuid.argtypes = (ctypes.c_uint32,)
_setfsuid.restype = ctypes.c_uint32


type Announcement = Callable[[], AbstractContextManager[None]]


class Lease:
    """A lease on an open file, as far as it was granted. It ends when the file is closed at the latest. One thread."""

    def __init__(
        self, fd: int | None, *, own_changes_end_it: bool, closing: Announcement = nullcontext, error: OSError | None = None
    ) -> None:
        """`fd`: becomes the lease's own; None when the file could not even be opened for reading without breaking a writer's lease."""
        self._fd = fd
        self._own_changes_end_it = own_changes_end_it
        self._closing = closing
        self._error = error
        #: What the file was once the lease was granted. On NFS the attributes that came with the answer to `open`.
        self.seen: Fingerprint | None = None
        self._mine = error is None

    @classmethod
    def on(cls, fd: int, *, own_changes_end_it: bool, closing: Announcement = nullcontext) -> "Lease":
        """Asks for one. Raises OSError when it is granted and the file cannot be looked at.

        `fd`: open for reading, and for nothing else. `own_changes_end_it`: whether it is a file on NFS. `closing`: is entered while the
        file is closed, which may hang there.
        """
        try:
            fcntl.fcntl(fd, fcntl.F_SETSIG, _BROKEN)
            try:
                fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            except PermissionError:
                with _as_owner_of(fd):
                    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except OSError as error:
            return cls(fd, own_changes_end_it=own_changes_end_it, closing=closing, error=error)
        lease = cls(fd, own_changes_end_it=own_changes_end_it, closing=closing)
        status = os.fstat(fd)
        lease.seen = Fingerprint(status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns)
        return lease

    @property
    def granted(self) -> bool:
        """Nobody had the file open for writing when it was asked for."""
        return self._error is None

    @property
    def refused(self) -> bool:
        """Somebody has the file open for writing or had until a minute ago, or the file system refuses every lease."""
        return self._error is not None and self._error.errno == errno.EAGAIN

    @property
    def impossible(self) -> OSError | None:
        """Why nobody can tell whether the file is open: EINVAL from a file system without leases, EACCES for want of a right."""
        return None if self.granted or self.refused else self._error

    def held(self) -> bool:
        """Whether nobody can have opened the file for writing since it was granted. One that is being broken is let go at once."""
        if self._mine and self._fd is not None and fcntl.fcntl(self._fd, fcntl.F_GETLEASE) != fcntl.F_RDLCK:
            self.let_go()
        return self._mine

    def let_go(self) -> None:
        """Ends it, if it is held; a writer that waits can go on."""
        if self._mine and self._fd is not None:
            self._mine = False
            with suppress(BlockingIOError):  # the kernel has ended it: a writer had waited for as long as one has to
                fcntl.fcntl(self._fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)

    def before_own_change(self) -> None:
        """To be called before our own LINK, RENAME or UNLINK of the file: ends the lease where the call would wait for it.

        From then on `held` says False on NFS; the next one is asked for when the change is made. The file is closed there too: an NFS
        client renames a file that is unlinked while it is open, and removes it some time later, which changes the ctime once more.
        """
        if self._own_changes_end_it:
            self.let_go()
            self.close()

    def close(self) -> None:
        """Ends it for good. Can be repeated."""
        if self._fd is not None:
            fd, self._fd, self._mine = self._fd, None, False
            with self._closing():
                os.close(fd)


@contextmanager
def _as_owner_of(fd: int) -> Iterator[None]:
    """The calling thread is the file's owner, as far as the file system is concerned. Raises PermissionError without CAP_SETUID."""
    owner = os.fstat(fd).st_uid
    before = _setfsuid(owner)
    try:
        if _setfsuid(_ANY_USER) != owner:  # no such user: it only tells who is set
            raise PermissionError(errno.EACCES, "leasing a file of another owner takes the capability SETUID")
        yield
    finally:
        _setfsuid(before)
