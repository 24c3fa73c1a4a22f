"""A FUSE file system that passes calls on to a folder, except where a rule says: hang, or answer with an error. A process of its own.

Started by tests/support/fuse.py, which sends rules as lines of JSON over a socket; when that socket ends, so does the file
system. A call that hangs has been taken from the kernel, so its caller is in a wait that not even SIGKILL ends.
"""

import fcntl
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from mfusepy import FUSE, Operations  # type: ignore[import-untyped]

from tests.support.fuse_rules import Rules, ruled, ruled_by_handle

#: Threads of the server: so many calls may hang at a time before the others do as well.
THREADS = 200


class Fuse(FUSE):  # type: ignore[misc]
    """mfusepy 3.1 does not expect that these two come without a path."""

    def flock(self, path: bytes | None, fip: Any, op: int) -> int:
        self.operations.flock(None, fip.contents.fh, op)
        return 0

    def truncate_fuse_3(self, path: bytes | None, length: int, fip: Any) -> int:
        self.operations.truncate(os.fsdecode(path) if path else None, length, fip.contents.fh if fip else None)
        return 0


class PassThrough(Operations):  # type: ignore[misc]
    """Names of calls are libfuse's."""

    use_ns = True
    flag_nopath = flag_nullpath_ok = True  # no paths for calls on what is open

    def __init__(self, behind: str, rules: Rules, up: Callable[[], None]) -> None:
        self._behind = behind
        self._up = up
        self.rules = rules
        self.opened: dict[int, str] = {}  # by handle, which is a descriptor of ours

    def _at(self, path: str) -> str:
        return self._behind + path

    def init_with_config(self, conn_info: object, config_3: Any) -> None:
        del conn_info
        config_3.use_ino = 1  # names of one inode are to be seen as such
        config_3.hard_remove = 1  # no .fuse_hidden names for files that are open
        config_3.direct_io = 1  # every read and write comes here
        config_3.entry_timeout = config_3.attr_timeout = config_3.negative_timeout = 0.0
        self._up()

    def getattr(self, path: str | None, fh: int | None = None) -> dict[str, Any]:
        return self._look_at_open(path, fh) if path is None else self._look(path)

    @ruled
    def _look(self, path: str) -> dict[str, Any]:
        return _attributes(os.lstat(self._at(path)))

    @ruled_by_handle(at=0)
    def _look_at_open(self, path: str | None, fh: int) -> dict[str, Any]:
        return _attributes(os.fstat(fh))

    @ruled
    def opendir(self, path: str) -> int:
        return self._remember(path, os.open(self._at(path), os.O_RDONLY | os.O_DIRECTORY))

    @ruled_by_handle(at=0)
    def readdir(self, path: str | None, fh: int) -> Iterator[tuple[str, dict[str, int], int]]:
        with os.scandir(fh) as listing:
            found = [(entry.name, {"st_mode": entry.stat(follow_symlinks=False).st_mode, "st_ino": entry.inode()}, 0) for entry in listing]
        return iter([(".", {}, 0), ("..", {}, 0), *found])

    def releasedir(self, path: str | None, fh: int) -> None:
        self._forget(fh)

    @ruled
    def readlink(self, path: str) -> str:
        return os.readlink(self._at(path))

    @ruled
    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(self._at(path))
        names = ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_favail", "f_ffree", "f_files", "f_flag", "f_frsize", "f_namemax")
        return {name: getattr(found, name) for name in names}

    # Names

    @ruled
    def link(self, target: str, source: str) -> None:
        os.link(self._at(source), self._at(target), follow_symlinks=False)

    @ruled
    def rename(self, old: str, new: str) -> None:
        os.rename(self._at(old), self._at(new))

    @ruled
    def unlink(self, path: str) -> None:
        os.unlink(self._at(path))

    @ruled
    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(self._at(path), mode)

    @ruled
    def rmdir(self, path: str) -> None:
        os.rmdir(self._at(path))

    @ruled
    def symlink(self, target: str, source: str) -> None:
        os.symlink(source, self._at(target))

    @ruled
    def mknod(self, path: str, mode: int, dev: int) -> None:
        os.mknod(self._at(path), mode, dev)

    @ruled
    def chmod(self, path: str, mode: int) -> None:
        os.chmod(self._at(path), mode)

    @ruled
    def chown(self, path: str, uid: int, gid: int) -> None:
        os.chown(self._at(path), uid, gid, follow_symlinks=False)

    @ruled
    def utimens(self, path: str, times: tuple[int, int] | None = None) -> None:
        os.utime(self._at(path), ns=times, follow_symlinks=False) if times else os.utime(self._at(path))

    # Files

    @ruled
    def open(self, path: str, flags: int) -> int:
        return self._remember(path, os.open(self._at(path), flags & ~os.O_DIRECT))

    @ruled
    def create(self, path: str, mode: int, flags: int) -> int:
        return self._remember(path, os.open(self._at(path), flags | os.O_CREAT, mode))

    @ruled_by_handle(at=2)
    def read(self, path: str | None, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    @ruled_by_handle(at=2)
    def write(self, path: str | None, data: bytes, offset: int, fh: int) -> int:
        return os.pwrite(fh, data, offset)

    def truncate(self, path: str | None, length: int, fh: int | None = None) -> None:
        if path is None:
            self._cut_open(path, length, fh)
        else:
            self._cut(path, length)

    @ruled
    def _cut(self, path: str, length: int) -> None:
        os.truncate(self._at(path), length)

    @ruled_by_handle(at=1)
    def _cut_open(self, path: str | None, length: int, fh: int) -> None:
        os.ftruncate(fh, length)

    @ruled_by_handle(at=1)
    def fsync(self, path: str | None, datasync: int, fh: int) -> None:
        os.fsync(fh)

    @ruled_by_handle(at=0)
    def flush(self, path: str | None, fh: int) -> None:
        """Each close(2) of a descriptor: a fault here is what the closer sees."""

    @ruled_by_handle(at=0)
    def release(self, path: str | None, fh: int) -> None:
        self._forget(fh)

    @ruled_by_handle(at=0)
    def flock(self, path: str | None, fh: int, op: int) -> None:
        fcntl.flock(fh, op)

    def _remember(self, path: str, handle: int) -> int:
        self.opened[handle] = path
        return handle

    def _forget(self, handle: int) -> None:
        del self.opened[handle]
        os.close(handle)


def _attributes(found: os.stat_result) -> dict[str, Any]:
    names = ("st_dev", "st_gid", "st_ino", "st_mode", "st_nlink", "st_size", "st_uid", "st_blocks")
    times = {f"st_{kind}time": getattr(found, f"st_{kind}time_ns") for kind in "amc"}
    return {name: getattr(found, name) for name in names} | times


def _serve_rules(control: socket.socket, rules: Rules) -> None:
    with control.makefile("rw") as lines:
        for line in lines:
            lines.write(json.dumps({"ok": rules.obey(json.loads(line))}) + "\n")
            lines.flush()
    os._exit(0)  # whoever mounted this is gone: hung calls end with ENOTCONN, the mount point is theirs to clear


def main(behind: str, mount: str, control_fd: str) -> None:
    control = socket.socket(fileno=int(control_fd))
    rules = Rules()

    def up() -> None:
        threading.Thread(target=_serve_rules, args=(control, rules), daemon=True).start()
        control.sendall(b'{"ok": "up"}\n')

    Fuse(PassThrough(behind, rules, up), mount, foreground=True, max_threads=THREADS, max_idle_threads=10, fsname="nfsw-tests")


if __name__ == "__main__":
    main(*sys.argv[1:])
