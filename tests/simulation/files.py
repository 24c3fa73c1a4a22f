"""The NFS directory and the staging disk of the simulation, as the actors' system calls find them.

The folders are real ones on a memory file system, so `link`, `rename`, `unlink` and `flock` are as atomic as the kernel makes
them. What a kernel cannot be asked for is added: a client that answers from its attribute cache and through stale dentries,
requests whose answer is lost and that are replayed, errors, hangs, a disk without room, and a process that ends between two calls.
"""

from __future__ import annotations

import errno
import os
import stat as modes
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.simulation.threads import ActorThread, Killed

if TYPE_CHECKING:
    from tests.simulation.child import SimulatedChild
    from tests.simulation.world import World

#: How long the client answers from its caches (seconds): `actimeo`.
_ACTIMEO_S = 5.0
#: The longest time that a call takes on NFS and on the local disk, in seconds.
_NFS_S, _DISK_S = 0.004, 0.0005
#: What a replayed request answers, though it has succeeded.
_REPLAYED = {"link": errno.EEXIST, "rename": errno.ENOENT, "unlink": errno.ENOENT, "mkdir": errno.EEXIST, "rmdir": errno.ENOENT}


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a file's attributes were at some time; the fields are named as in `os.stat_result`."""

    st_size: int
    st_mtime_ns: int
    st_ctime_ns: int
    st_ino: int
    st_mode: int
    st_nlink: int
    st_dev: int
    st_uid: int

    @property
    def st_mtime(self) -> float:
        return self.st_mtime_ns / 1e9


class Entry:
    """An `os.DirEntry` of a listing, with the client's caches behind it."""

    def __init__(self, files: SimulatedFiles, folder: str, name: str) -> None:
        self.name = name
        self.path = f"{folder}/{name}"
        self._files = files
        self._mode = os.lstat(self.path).st_mode
        self._inode = os.lstat(self.path).st_ino

    def inode(self) -> int:
        return self._inode

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return modes.S_ISREG(self._mode)

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return modes.S_ISDIR(self._mode)

    def is_symlink(self) -> bool:
        return modes.S_ISLNK(self._mode)

    def stat(self, *, follow_symlinks: bool = True) -> Attributes:
        return self._files.cached(self.path)


class SimulatedFiles:
    """Stands for the module `os` in the actors' modules. One client: all pods of the simulation run on one node."""

    def __init__(self, world: World, nfs_root: str) -> None:
        self._world = world
        self._root = nfs_root
        self._paths: dict[int, str] = {}  # of open descriptors
        self._owners: dict[int, SimulatedChild] = {}  # whose they are
        self._dentries: dict[str, tuple[int, float]] = {}  # a descriptor that pins the inode, and since when
        self._attributes: dict[int, tuple[Attributes, float]] = {}  # by inode, and since when
        self.ctimes: dict[int, int] = {}  # by inode (ns): the kernel's clock is not the simulation's

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def statvfs(self, path: str) -> os.statvfs_result:
        """What is free on this machine's disk is no matter of the seed."""
        with self._call("statvfs", path):
            found = os.statvfs(path)
            return os.statvfs_result((*found[:2], 1_000_000, 500_000, 500_000, *found[5:]))

    # Calls that change the folder.

    def link(self, path: str, name: str, *, follow_symlinks: bool = True) -> None:
        with self._call("link", name):
            self._own_change(path)
            os.link(path, name, follow_symlinks=follow_symlinks)
            self.touched(name)
            self.folder_changed(name)
            self._forget(name)

    def rename(self, path: str, name: str) -> None:
        with self._call("rename", path):
            self._own_change(path)
            with self._checked_removal(name):
                os.rename(path, name)
            self.touched(name)
            self.folder_changed(path)
            self.folder_changed(name)
            self._forget(name)
            if (dentry := self._dentries.pop(path, None)) is not None:
                self._dentries[name] = dentry  # d_move: the client goes on with what it believed to be there

    def unlink(self, path: str) -> None:
        with self._call("unlink", path):
            self._own_change(path)
            inode = os.lstat(path).st_ino
            with self._checked_removal(path):
                os.unlink(path)
            self.ctimes[inode] = time.monotonic_ns()
            self.folder_changed(path)
            self._forget(path)

    def mkdir(self, path: str, mode: int = 0o777) -> None:
        with self._call("mkdir", path):
            os.mkdir(path, mode)
            self.folder_changed(path)

    def rmdir(self, path: str) -> None:
        with self._call("rmdir", path):
            os.rmdir(path)
            self.folder_changed(path)

    def makedirs(self, path: str, mode: int = 0o777, exist_ok: bool = False) -> None:
        with self._call("mkdir", path):
            os.makedirs(path, mode, exist_ok)

    # Calls that look.

    def scandir(self, folder: str) -> Any:
        with self._call("scandir", folder):
            entries = [Entry(self, folder, name) for name in sorted(os.listdir(folder))]
        if self._on_nfs(folder):
            for entry in entries:  # READDIR tells the truth, and refreshes the dentries
                if (dentry := self._dentries.get(entry.path)) and os.fstat(dentry[0]).st_ino != entry.inode():
                    self._forget(entry.path)
        return _Listing(entries)

    def lstat(self, path: str) -> Attributes | os.stat_result:
        if self._on_nfs(path) and os.path.isfile(path):  # mostly of many files in a row, whose attributes have come with the listing
            return self.cached(path)
        with self._call("lstat", path):
            return os.lstat(path)

    def observe(self, path: str, *, fresh: bool) -> Attributes:
        """statx(2). `fresh` asks the server for the attributes of what the client believes to be at `path`."""
        with self._call("statx", path):
            inode_fd = self._looked_up(path)
            if not fresh:
                return self.cached(path)
            seen = self._attributes_of(os.fstat(inode_fd))
            if seen.st_nlink == 0:
                self._forget(path)
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)
            self._attributes[seen.st_ino] = seen, time.monotonic()
            return seen

    def cached(self, path: str) -> Attributes:
        """As the attribute cache has it. Raises OSError."""
        fd = self._looked_up(path)
        inode = os.fstat(fd).st_ino
        kept = self._attributes.get(inode)
        if kept and time.monotonic() - kept[1] < _ACTIMEO_S:
            return kept[0]
        seen = self._attributes_of(os.fstat(fd))
        if seen.st_nlink == 0:
            self._forget(path)
            seen = self._attributes_of(os.lstat(path))
        self._attributes[inode] = seen, time.monotonic()
        return seen

    # Calls on descriptors.

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        with self._call("open", path):
            fd = os.open(path, flags, mode)
            if self._on_nfs(path):
                self._forget(path)  # close-to-open: the client looks the name up again
                if flags & os.O_CREAT:
                    self.stamp(fd)
                    self.folder_changed(path)
            self._paths[fd] = path
            if thread := ActorThread.current():
                self._owners[fd] = thread.child
            return fd

    def close(self, fd: int) -> None:
        path = self._paths.pop(fd, None)
        self._owners.pop(fd, None)
        self._world.leases.closed(fd)
        try:
            if path and (thread := ActorThread.current()) and thread.child.alive:
                with self._call("close", path):
                    pass
        finally:
            os.close(fd)

    def close_all(self, child: SimulatedChild) -> None:
        """The process has ended: what it had open is closed, and the locks on it are free."""
        for fd in [fd for fd, owner in self._owners.items() if owner is child]:
            self.close(fd)

    def preadv(self, fd: int, buffers: list[memoryview], offset: int) -> int:
        path = self._paths.get(fd)
        if path is None:  # a staged copy that was opened otherwise
            return os.preadv(fd, buffers, offset)
        with self._call("read", path):
            return os.preadv(fd, buffers, offset)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        with self._call("read", self._paths[fd]):
            return os.pread(fd, size, offset)

    def fstat(self, fd: int) -> Attributes:
        if path := self._paths.get(fd):
            with self._call("fstat", path):
                return self._attributes_of(os.fstat(fd))
        return self._attributes_of(os.fstat(fd))  # a staged copy that was opened otherwise

    def posix_fadvise(self, fd: int, offset: int, length: int, advice: int) -> None:
        pass

    def pwrite(self, fd: int, data: Any, offset: int) -> int:
        with self._call("pwrite", self._paths[fd]):
            return os.pwrite(fd, data, offset)

    def write(self, fd: int, data: Any) -> int:
        with self._call("write", self._paths[fd]):
            return os.write(fd, data)

    def utime(self, fd: int) -> None:
        with self._call("utime", self._paths[fd]):
            self.stamp(fd)

    def ftruncate(self, fd: int, length: int) -> None:
        with self._call("ftruncate", self._paths[fd]):
            os.ftruncate(fd, length)

    def fsync(self, fd: int) -> None:
        with self._call("fsync", self._paths[fd]):
            pass

    # The model.

    def stamp(self, fd: int, *, mtime: bool = True) -> None:
        """The file was written to just now. `mtime`: False: whoever did has put that back."""
        now = round(time.time() * 1e9)
        if mtime:
            os.utime(fd, ns=(now, now))
        self.ctimes[os.fstat(fd).st_ino] = time.monotonic_ns()

    def touched(self, path: str) -> None:
        """Something has changed the inode at `path`, on whichever client."""
        self.ctimes[os.lstat(path).st_ino] = time.monotonic_ns()

    def folder_changed(self, path: str) -> None:
        """A name has come to the folder of `path`, or gone from it, on whichever client."""
        self.touched(os.path.dirname(path))

    @contextmanager
    def _call(self, call: str, path: str) -> Iterator[None]:
        """One system call: it takes a while, in which others run; the process may end, and the plan may make it fail."""
        thread = ActorThread.current()
        if thread is None:
            yield
            return
        if not thread.child.alive:
            raise Killed  # its code unwinds, and would clean up
        on_nfs = self._on_nfs(path)
        lost_answer = self._world.enters(thread, call, path, on_nfs=on_nfs, within_s=_NFS_S if on_nfs else _DISK_S)
        yield
        if lost_answer:
            raise OSError(code := _REPLAYED.get(call, errno.EIO), os.strerror(code), path)

    def _own_change(self, path: str) -> None:
        if self._on_nfs(path):
            self._world.leases.own_change(os.lstat(path).st_ino)

    @contextmanager
    def _checked_removal(self, path: str) -> Iterator[None]:
        """What is at `path` is about to lose that name, and maybe its last one."""
        if self._on_nfs(path) and os.path.lexists(path):
            self._world.removes(path)
        yield

    def _looked_up(self, path: str) -> int:
        """A descriptor of what the client believes to be at `path`."""
        kept = self._dentries.get(path)
        if kept and time.monotonic() - kept[1] < _ACTIMEO_S:
            return kept[0]
        self._forget(path)
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._dentries[path] = fd, time.monotonic()
        return fd

    def _forget(self, path: str) -> None:
        if dentry := self._dentries.pop(path, None):
            os.close(dentry[0])

    def _attributes_of(self, status: os.stat_result) -> Attributes:
        changed = self.ctimes.get(status.st_ino, 0)
        modified = changed if modes.S_ISDIR(status.st_mode) else status.st_mtime_ns  # which nobody sets for folders
        return Attributes(status.st_size, modified, changed, status.st_ino, status.st_mode, status.st_nlink, status.st_dev, status.st_uid)

    def _on_nfs(self, path: str) -> bool:
        return path.startswith(self._root)

    def end(self) -> None:
        for path in list(self._dentries):
            self._forget(path)


class _Listing:
    def __init__(self, entries: list[Entry]) -> None:
        self._entries = entries

    def __enter__(self) -> list[Entry]:
        return self._entries

    def __exit__(self, *_: object) -> None:
        pass
