"""The NFS calls, each one announced on the board while it lasts. NFS processes only: any of these may hang for ever.

What comes back is either the answer or OSError. ENOENT and ESTALE mean the same thing: gone. A stale handle is looked
up again by path once (open(2) on NFS; the kernel retries path walks itself since 3.13, but not calls on descriptors).
"""

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from operator import attrgetter

from nfsw.actors import statx
from nfsw.actors.call_board import CallBoard
from nfsw.actors.lease import Lease
from nfsw.actors.mount import UnknownMount, mount_of
from nfsw.actors.statx import Seen
from nfsw.actors.tree import NfsTree

#: Files that are looked at under one announcement: an announcement for each would cost as much as the look.
_STATS_A_CALL = 256

#: How often a folder above may go in between: another pod's sweep removes it while it is empty.
_SWEPT_AWAY = 8

#: Kinds of file system on which our own change of a file may have to wait for our own lease on it.
_MAY_BE_NFS = ("nfs", "nfs4", None)

#: The values of a Fingerprint, and equal to it, for a third of what it costs to make one.
type Looked = tuple[int, int, int, int]

_looked: Callable[[os.stat_result], Looked] = attrgetter("st_size", "st_mtime_ns", "st_ino", "st_ctime_ns")

GONE = frozenset({errno.ENOENT, errno.ESTALE, errno.ENOTDIR})


def is_gone(error: OSError) -> bool:
    return error.errno in GONE


def describe(error: OSError) -> str:
    """An error in words, without the path, which the log line names anyway."""
    return f"{errno.errorcode.get(error.errno or 0, 'E?')}: {error.strerror}"


class LinkInTheWay(OSError):
    """A symbolic link is where a folder has to be. It is not followed: what lies behind it may be anybody's, and on another device."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.ELOOP, "it is a symbolic link, which is not followed", path)


class FileInTheWay(OSError):
    """Something that is no folder is where a folder has to be."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.EEXIST, "it is not a folder", path)


class Nfs:
    """The calls of one actor. Threads share it; each has a slot of its own on the board."""

    def __init__(self, tree: NfsTree, board: CallBoard) -> None:
        self.tree = tree
        self._board = board
        self._own = threading.local()
        self._slots = iter(range(board.slots))
        self._numbering = threading.Lock()
        self._mounted: tuple[int, str | None] = (-1, None)  # device, and the kind of file system that is mounted there

    @contextmanager
    def call(self, what: str, path: str) -> Iterator[None]:
        """Announces a call, such as `link 20260131/s1/a.bin`, until it has come back."""
        slot = self._slot()
        self._board.enter(slot, f"{what} {self.tree.printable(path)}")
        try:
            yield
        finally:
            self._board.leave(slot, what)

    def observe(self, path: str) -> Seen | None:
        """What the server says `path` is now; None: gone."""
        with self.call("statx", path):
            return _unless_gone(lambda: statx.observe(path, fresh=True))

    def look(self, path: str) -> Seen | None:
        """What `path` is, as the attribute cache may have it; None: gone."""
        with self.call("statx", path):
            return _unless_gone(lambda: statx.observe(path, fresh=False))

    @contextmanager
    def lease(self, path: str) -> Iterator[Lease]:
        """A lease on `path`, granted or not; it ends with the block. Raises OSError when the file cannot be opened for reading.

        Costs one `open` at the server, and no more while the client holds a delegation.
        """
        try:
            with self.call("open", path):
                fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except BlockingIOError as error:  # a writer has a lease of its own
            yield Lease(None, own_changes_end_it=False, error=error)
            return
        closing = partial(self.call, "close", path)
        try:
            with self.call("lease", path):
                lease = Lease.on(fd, own_changes_end_it=self.kind(os.fstat(fd).st_dev) in _MAY_BE_NFS, closing=closing)
        except BaseException:
            with closing():
                os.close(fd)
            raise
        try:
            yield lease
        finally:
            lease.close()

    def listing(self, folder: str) -> "list[os.DirEntry[str]]":
        """What is in `folder`, with the kind of each entry; empty when it is not there. Raises LinkInTheWay, FileInTheWay, OSError."""
        with self.call("scandir", folder):
            try:
                mode = os.lstat(folder).st_mode
                if stat.S_ISLNK(mode):
                    raise LinkInTheWay(folder)
                if not stat.S_ISDIR(mode):
                    raise FileInTheWay(folder)
                with os.scandir(folder) as listing:
                    entries = list(listing)
                for entry in entries:
                    entry.is_symlink()  # some servers leave the kinds out of long listings: then this asks, and may hang
                return entries
            except OSError as error:
                if is_gone(error):
                    return []
                raise

    def listed_inode(self, path: str) -> int | None:
        """The inode that has the name `path` by what its folder lists; None: there is no such name.

        What an NFS client remembers of a name goes with it when the name is moved, though a writer on another node has put another
        file there: statx and open then still mean the old one. A listing comes from the server, and mends what is remembered.
        """
        folder, _, name = path.rpartition("/")
        with self.call("scandir", folder):
            try:
                with os.scandir(folder) as listing:
                    return next((entry.inode() for entry in listing if entry.name == name), None)
            except OSError as error:
                if is_gone(error):
                    return None
                raise

    def refuse_link(self, folder: str) -> None:
        """Raises LinkInTheWay when `folder` is a symbolic link; it need not be there."""
        with self.call("lstat", folder):
            if os.path.islink(folder):
                raise LinkInTheWay(folder)

    def folders(self, folder: str) -> list[str]:
        return [entry.name for entry in self.listing(folder) if entry.is_dir(follow_symlinks=False)]

    def stats(self, folder: str, entries: "list[os.DirEntry[str]]") -> "Iterator[Looked | OSError | None]":
        """What each of the entries is, as the attribute cache may have it; None: gone. One that cannot be looked at ends nothing."""
        for start in range(0, len(entries), _STATS_A_CALL):
            some = entries[start : start + _STATS_A_CALL]
            with self.call("stat", folder):
                found: Sequence[Looked | OSError | None]
                try:  # not `entry.stat`, which would be kept with each entry: of 100,000 that is 40 MB
                    found = [_looked(os.lstat(f"{folder}/{entry.name}")) for entry in some]
                except OSError:
                    found = [_look(f"{folder}/{entry.name}") for entry in some]
            yield from found

    def make_folder(self, path: str) -> None:
        """Makes `path` and what is missing above it, up to the root, which has to be there. No error when it exists."""
        if path == self.tree.root:
            raise FileNotFoundError(errno.ENOENT, "the NFS root is not there", path)
        for _ in range(_SWEPT_AWAY):
            with self.call("mkdir", path):
                try:
                    os.mkdir(path)
                    return
                except FileExistsError:
                    return
                except FileNotFoundError:
                    pass  # the folder above comes first
            self.make_folder(os.path.dirname(path))
        raise FileNotFoundError(errno.ENOENT, "the folder above does not stay", path)

    def make_file(self, path: str) -> os.stat_result:
        """Makes an empty file that is not there yet, and says what it is. Raises OSError."""
        with self.call("create", path):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                return os.fstat(fd)
            finally:
                os.close(fd)

    def remove_folder(self, path: str) -> bool:
        """Whether `path` was empty and is gone now."""
        with self.call("rmdir", path):
            try:
                os.rmdir(path)
            except OSError as error:
                if is_gone(error) or error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
                    return False
                raise
            return True

    def link(self, path: str, name: str) -> None:
        """A second name for `path`; never replaces anything. Raises FileExistsError when `name` is taken."""
        with self.call("link", name):
            os.link(path, name, follow_symlinks=False)

    def rename(self, path: str, name: str) -> None:
        """For names that only we make: rename(2) replaces an existing one without a word."""
        with self.call("rename", path):
            os.rename(path, name)

    def unlink(self, path: str) -> bool:
        """Whether `path` was there to be removed."""
        with self.call("unlink", path):
            try:
                os.unlink(path)
            except OSError as error:
                if is_gone(error):
                    return False
                raise
            return True

    def disk(self) -> os.statvfs_result:
        """What the server says of the disk that the tree lies on. Raises OSError."""
        with self.call("statvfs", self.tree.root):
            return os.statvfs(self.tree.root)

    def kind(self, device: int) -> str | None:
        """The kind of file system that the tree lies on, such as nfs4; None: the kernel does not tell, as in a chroot.

        `device`: of a file in the tree. It is looked up again when that is another one: something was mounted there since.
        """
        seen, kind = self._mounted
        if seen != device:
            try:
                kind = mount_of(os.path.realpath(self.tree.root)).kind
            except UnknownMount:
                kind = None
            self._mounted = device, kind
        return kind

    def _slot(self) -> int:
        slot: int | None = getattr(self._own, "slot", None)
        if slot is None:
            with self._numbering:
                slot = self._own.slot = next(self._slots)
        return slot


def _unless_gone[T](look: Callable[[], T]) -> T | None:
    """The answer; None when there is nothing. A stale handle gets one more look."""
    for again in (True, False):
        try:
            return look()
        except OSError as error:
            if error.errno == errno.ESTALE and again:
                continue
            if is_gone(error):
                return None
            raise
    return None


def regular_file(nfs: Nfs, path: str, note: Callable[[OSError], None]) -> Seen | None:
    """The regular file at `path`, past the attribute cache; None: there is none, or it cannot be looked at, which `note` is told."""
    try:
        seen = nfs.observe(path)
    except OSError as error:
        note(error)
        return None
    return seen if seen and seen.regular else None


def _look(path: str) -> "Looked | OSError | None":
    try:
        return _looked(os.lstat(path))
    except OSError as error:
        return None if is_gone(error) else error
