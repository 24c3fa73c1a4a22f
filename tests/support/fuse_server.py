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
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Concatenate

from mfusepy import FUSE, Operations  # type: ignore[import-untyped]

#: Threads of the server: so many calls may hang at a time before the others do as well.
THREADS = 200


@dataclass(slots=True)
class Rule:
    calls: list[str]
    path: str  # a pattern, for a path without its leading slash
    error: int  # 0: none, the call hangs until the rule is withdrawn, and is then carried out
    done: bool  # carried out first, then answered with the error
    times: int | None  # None: always
    hits: int = 0
    withdrawn: threading.Event = field(default_factory=threading.Event)

    def meets(self, call: str, paths: list[str]) -> bool:
        if self.times is not None and self.hits >= self.times:
            return False
        return ("*" in self.calls or call in self.calls) and any(fnmatchcase(path.lstrip("/"), self.path) for path in paths)


class Rules:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: dict[int, Rule] = {}

    def obey(self, request: dict[str, Any]) -> object:
        with self._lock:
            match request:
                case {"add": number, **fields}:
                    self._rules[number] = Rule(**fields)
                    return None
                case {"hits": number}:
                    return self._rules[number].hits
                case {"withdraw": number}:
                    rule = self._rules.pop(number)
                    rule.withdrawn.set()
                    return rule.hits
        raise ValueError(request)

    def hit(self, call: str, paths: list[str]) -> Rule | None:
        with self._lock:
            for rule in self._rules.values():
                if rule.meets(call, paths):
                    rule.hits += 1
                    return rule
        return None


type _Call[**P, R] = Callable[Concatenate["PassThrough", str, P], R]


def _ruled[**P, R](call: _Call[P, R]) -> _Call[P, R]:
    name = getattr(call, "__name__", "")

    def under_rules(self: "PassThrough", path: str, /, *rest: P.args, **more: P.kwargs) -> R:
        paths = [path, *(other for other in rest if isinstance(other, str))]
        rule = self.rules.hit(name, paths)
        if rule and not rule.error:
            rule.withdrawn.wait()
        elif rule:
            if rule.done:
                call(self, path, *rest, **more)
            raise OSError(rule.error, os.strerror(rule.error))
        return call(self, path, *rest, **more)

    return under_rules


class PassThrough(Operations):  # type: ignore[misc]
    """Names of calls are libfuse's. A call by path may name a second path (link, rename)."""

    use_ns = True

    def __init__(self, behind: str, rules: Rules, up: Callable[[], None]) -> None:
        self._behind = behind
        self._up = up
        self.rules = rules

    def _at(self, path: str) -> str:
        return self._behind + path

    def init_with_config(self, conn_info: object, config_3: Any) -> None:
        del conn_info
        config_3.use_ino = 1  # names of one inode are to be seen as such
        config_3.hard_remove = 1  # no .fuse_hidden names for files that are open
        config_3.direct_io = 1  # every read and write comes here
        config_3.entry_timeout = config_3.attr_timeout = config_3.negative_timeout = 0.0
        self._up()

    @_ruled
    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        found = os.lstat(self._at(path)) if fh is None else os.fstat(fh)
        names = ("st_dev", "st_gid", "st_ino", "st_mode", "st_nlink", "st_size", "st_uid", "st_blocks")
        times = {f"st_{kind}time": getattr(found, f"st_{kind}time_ns") for kind in "amc"}
        return {name: getattr(found, name) for name in names} | times

    @_ruled
    def readdir(self, path: str, fh: int) -> Iterator[tuple[str, dict[str, int], int]]:
        with os.scandir(self._at(path)) as listing:
            found = [(entry.name, {"st_mode": entry.stat(follow_symlinks=False).st_mode, "st_ino": entry.inode()}, 0) for entry in listing]
        return iter([(".", {}, 0), ("..", {}, 0), *found])

    @_ruled
    def opendir(self, path: str) -> int:
        os.close(os.open(self._at(path), os.O_RDONLY | os.O_DIRECTORY))
        return 0

    @_ruled
    def readlink(self, path: str) -> str:
        return os.readlink(self._at(path))

    @_ruled
    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(self._at(path))
        names = ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_favail", "f_ffree", "f_files", "f_flag", "f_frsize", "f_namemax")
        return {name: getattr(found, name) for name in names}

    # Names

    @_ruled
    def link(self, target: str, source: str) -> None:
        os.link(self._at(source), self._at(target), follow_symlinks=False)

    @_ruled
    def rename(self, old: str, new: str) -> None:
        os.rename(self._at(old), self._at(new))

    @_ruled
    def unlink(self, path: str) -> None:
        os.unlink(self._at(path))

    @_ruled
    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(self._at(path), mode)

    @_ruled
    def rmdir(self, path: str) -> None:
        os.rmdir(self._at(path))

    @_ruled
    def symlink(self, target: str, source: str) -> None:
        os.symlink(source, self._at(target))

    @_ruled
    def mknod(self, path: str, mode: int, dev: int) -> None:
        os.mknod(self._at(path), mode, dev)

    @_ruled
    def chmod(self, path: str, mode: int) -> None:
        os.chmod(self._at(path), mode)

    @_ruled
    def chown(self, path: str, uid: int, gid: int) -> None:
        os.chown(self._at(path), uid, gid, follow_symlinks=False)

    @_ruled
    def utimens(self, path: str, times: tuple[int, int] | None = None) -> None:
        os.utime(self._at(path), ns=times, follow_symlinks=False) if times else os.utime(self._at(path))

    # Files

    @_ruled
    def open(self, path: str, flags: int) -> int:
        return os.open(self._at(path), flags & ~os.O_DIRECT)

    @_ruled
    def create(self, path: str, mode: int, flags: int) -> int:
        return os.open(self._at(path), flags | os.O_CREAT, mode)

    @_ruled
    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    @_ruled
    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        return os.pwrite(fh, data, offset)

    @_ruled
    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        os.truncate(self._at(path) if fh is None else fh, length)

    @_ruled
    def fsync(self, path: str, datasync: int, fh: int) -> None:
        os.fsync(fh)

    @_ruled
    def flush(self, path: str, fh: int) -> None:
        """Each close(2) of a descriptor: a fault here is what the closer sees."""

    @_ruled
    def release(self, path: str, fh: int) -> None:
        os.close(fh)

    @_ruled
    def flock(self, path: str, fh: int, op: int) -> None:
        fcntl.flock(fh, op)


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

    fuse: Any = FUSE
    fuse(PassThrough(behind, rules, up), mount, foreground=True, max_threads=THREADS, max_idle_threads=10, fsname="nfsw-tests")


if __name__ == "__main__":
    main(*sys.argv[1:])
