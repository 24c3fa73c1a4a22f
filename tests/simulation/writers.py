"""The writers of the simulation: instruments on other clients, and people. What they leave behind at a close is a version."""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tests.simulation.plan import Action, Append, ChangeKept, Remove, Rewrite, Write

if TYPE_CHECKING:
    from tests.simulation.world import World

#: Seconds for which another client keeps what was written to itself.
_WRITEBACK_S = 30.0
#: Seconds for which a writer waits for a name that it cannot have now.
_PATIENCE_S = 60


class Writers:
    def __init__(self, world: World) -> None:
        self._world = world
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: dict[int, int] = defaultdict(int)  # how often each inode is open for writing
        self._numbers = 0
        self._removed: set[tuple[str, str]] = set()  # since their latest version
        self._newest: dict[tuple[str, str], int] = {}  # the inode that was given the name last
        self._last: dict[tuple[str, str], tuple[int, bytes]] = {}  # the inode that had the name last, and what was left in it
        #: All that was ever left under a name, by session and name.
        self.versions: dict[tuple[str, str], list[bytes]] = defaultdict(list)

    def start(self, action: Action) -> None:
        match action:
            case Write():
                work = self._write(action)
            case Append():
                work = self._append(action)
            case Rewrite():
                work = self._rewrite(action)
            case Remove():
                work = self._remove(action)
            case ChangeKept():
                work = self._change_kept(action)
            case _:
                raise AssertionError(action)
        task = asyncio.get_running_loop().create_task(work, name=str(action))
        self._tasks.add(task)

    async def finished(self) -> None:
        if self._tasks:
            await asyncio.gather(*self._tasks)

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()

    def has_open(self, inode: int) -> bool:
        return self._open[inode] > 0

    def latest(self) -> dict[tuple[str, str], bytes]:
        """The last version of each name that is nfsw's to send. One that somebody has removed is not."""
        return {key: content for key, (_, content) in self._last.items() if key not in self._removed}

    async def _write(self, action: Write) -> None:
        final = self._path(action.session, action.name)
        folder, name = os.path.split(final)
        path = f"{folder}/.{name}.{self._numbers}" if action.rename else final
        if (made := await self._made(path, action.rename)) is None:
            return
        with made as file:
            inode = os.fstat(file.fileno()).st_ino
            self._opened(inode)
            if not action.rename:
                self._world.markers.begins(action.session, action.name)
                self._newest[action.session, action.name] = inode
            waiting = b""  # written, and still in the cache of the writer's client
            flushed_at = time.monotonic()
            for piece in range(action.pieces):
                if piece:
                    await asyncio.sleep(action.pause_s)
                waiting += self._content(action.size // action.pieces)
                if time.monotonic() - flushed_at >= _WRITEBACK_S:
                    file.write(waiting)
                    self._world.files.stamp(file.fileno())
                    waiting, flushed_at = b"", time.monotonic()
            file.write(waiting)  # close-to-open: a close writes back
            self._world.files.stamp(file.fileno())
            content = self._closed(file.fileno())
        if action.rename:
            if os.path.isdir(final):
                os.unlink(path)
                return
            self._world.markers.begins(action.session, action.name)
            os.rename(path, final)
            self._world.files.touched(final)
            self._world.files.folder_changed(final)
            self._newest[action.session, action.name] = inode
        self._left(action.session, action.name, inode, content)

    async def _made(self, path: str, hidden: bool) -> BinaryIO | None:
        """Opens a file that need not be there, nor its folder. None: a file has the name of the folder, or a folder that of the file."""
        for _ in range(_PATIENCE_S):
            try:
                self._make_folder(os.path.dirname(path))
                if not hidden:
                    await self._opens(path)
                file = open(path, "wb", buffering=0)  # noqa: SIM115 - whoever asked closes it
            except (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError):
                await asyncio.sleep(1)
            else:
                self._world.files.folder_changed(path)
                return file
        return None

    def _make_folder(self, path: str) -> None:
        if not os.path.isdir(path):
            self._make_folder(os.path.dirname(path))
            os.mkdir(path)
            self._world.files.folder_changed(path)

    def replace(self, path: str, size: int) -> None:
        """At once, on another node: another file takes the name `path`."""
        key = self._world.key(path)
        assert key
        made = f"{os.path.dirname(path)}/.{os.path.basename(path)}.{self._numbers}"
        content = self._content(size)
        Path(made).write_bytes(content)
        fd = os.open(made, os.O_RDONLY)
        self._world.files.stamp(fd)
        inode = os.fstat(fd).st_ino
        os.close(fd)
        os.rename(made, path)
        self._world.files.folder_changed(path)
        self._newest[key] = inode
        self._left(*key, inode, content, raced=True)

    def change_at_once(self, path: str, size: int, hold_s: float) -> bool:
        """On another node, to a claimed file: whether nothing kept the writer from opening it. `size`, `hold_s`: as for `RaceCall`."""
        if not os.path.isfile(path) or self._world.leases.is_held(os.stat(path).st_ino):
            return False
        if not size and path.endswith(".completed") and not self._world.setting.leases:
            return False  # our own rename has changed the ctime just now, and without leases nothing else tells
        key = self._world.key(path)
        assert key
        file = open(path, "ab" if size else "r+b", buffering=0)  # noqa: SIM115 - it may stay open for a while
        status = os.fstat(file.fileno())
        self._opened(status.st_ino)

        def change() -> None:
            file.write(self._content(size or status.st_size))
            if not size:
                os.utime(file.fileno(), ns=(status.st_mtime_ns, status.st_mtime_ns))
            self._world.files.stamp(file.fileno(), mtime=bool(size))
            content = self._closed(file.fileno())
            file.close()
            self._left(*key, status.st_ino, content, claimed=True)

        if hold_s and self._world.setting.leases:  # else nobody can know that it is open still
            self._tasks.add(asyncio.get_running_loop().create_task(self._later(hold_s, change), name="writer"))
        else:
            change()
        return True

    async def _later(self, seconds: float, then: Callable[[], None]) -> None:
        await asyncio.sleep(seconds)
        then()

    async def _append(self, action: Append) -> None:
        path = self._path(action.session, action.name)
        if not await self._opens(path):
            return
        with open(path, "ab", buffering=0) as file:
            self._world.markers.changes(action.session, action.name)
            inode = os.fstat(file.fileno()).st_ino
            self._opened(inode)
            file.write(self._content(action.size))
            self._world.files.stamp(file.fileno())
            if action.hold_s:
                await asyncio.sleep(action.hold_s)
                file.write(self._content(action.size))
                self._world.files.stamp(file.fileno())
            content = self._closed(file.fileno())
        self._left(action.session, action.name, inode, content)

    async def _rewrite(self, action: Rewrite) -> None:
        path = self._path(action.session, action.name)
        if not await self._opens(path):
            return
        with open(path, "r+b", buffering=0) as file:
            self._world.markers.changes(action.session, action.name)
            status = os.fstat(file.fileno())
            file.write(self._content(status.st_size))
            os.utime(file.fileno(), ns=(status.st_mtime_ns, status.st_mtime_ns))
            self._world.files.ctimes[status.st_ino] = time.monotonic_ns()
            self._opened(status.st_ino)
            content = self._closed(file.fileno())
        self._left(action.session, action.name, status.st_ino, content)

    async def _remove(self, action: Remove) -> None:
        path = self._path(action.session, action.name)
        self._world.markers.removed(action.session, action.name)
        try:
            os.unlink(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return
        self._world.files.folder_changed(path)
        self._removed.add((action.session, action.name))
        self._world.event("writer", f"removes {action.session}/{action.name}")

    async def _change_kept(self, action: ChangeKept) -> None:
        for _ in range(_PATIENCE_S):
            for mark in self._world.kept_marks():
                if self.change_at_once(str(mark), action.size, action.hold_s):
                    self._world.event("writer", f"changes the kept file {mark.name}")
                    return
            await asyncio.sleep(1)

    async def _opens(self, path: str) -> bool:
        """Whether there is anything to open, once no lease is in the way."""
        if not os.path.isfile(path):
            return False
        await self._world.leases.broken(os.stat(path).st_ino)
        return os.path.isfile(path)

    def _opened(self, inode: int) -> None:
        self._open[inode] += 1

    def _closed(self, fd: int) -> bytes | None:
        """Returns what the file holds now; None: it has no name any more, and nobody can help that."""
        self._open[os.fstat(fd).st_ino] -= 1
        return Path(f"/proc/self/fd/{fd}").read_bytes() if os.fstat(fd).st_nlink else None

    def _left(self, session: str, name: str, inode: int, content: bytes | None, *, raced: bool = False, claimed: bool = False) -> None:
        if content is None or self.has_open(inode):
            return  # when another writer is still at it, what that one leaves counts
        key = session, name
        self.versions[key].append(content)
        newest = self._newest.get(key, inode)
        if newest == inode:
            self._last[key] = inode, content
            self._removed.discard(key)
        self._world.event("writer", f"leaves {session}/{name}: {len(content)} bytes, inode {inode}")
        self._world.markers.left(session, name, inode, content, newest=newest == inode, raced=raced, claimed=claimed)

    def _content(self, size: int) -> bytes:
        self._numbers += 1
        return (f"<{self._numbers}>".encode() * (size // 3 + 1))[:size]

    def _path(self, session: str, name: str) -> str:
        return f"{self._world.nfs}/incoming/{session}/{name}"
