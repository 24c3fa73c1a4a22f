"""Read leases as an NFS server grants them: to nobody while anybody has the file open for writing. Stands for `fcntl`.

A writer that opens a leased file waits until the lease is let go, and so does a LINK, RENAME or UNLINK of our own; after the
server has called a lease back it grants none for the file for a minute.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import time
from typing import TYPE_CHECKING, Any

from tests.simulation.threads import ActorThread

if TYPE_CHECKING:
    from tests.simulation.world import World

#: Seconds for which a file whose lease was called back gets no other.
_REFUSED_S = 60.0
#: Seconds for which the kernel waits for whoever holds a lease (/proc/sys/fs/lease-break-time), before it takes the lease away.
_BREAK_S = 45.0
_LOOK_S = 0.01


class Leases:
    def __init__(self, world: World, *, granted: bool) -> None:
        """`granted`: whether the server grants any."""
        self._world = world
        self._granted = granted
        self._holders: dict[int, set[int]] = {}  # descriptors, by inode
        self._breaking: set[int] = set()  # inodes
        self._free: dict[int, asyncio.Event] = {}  # by inode: set when no lease is left, for the writer that waits
        self._recalled: dict[int, float] = {}  # by inode, when (seconds, monotonic)
        self.longest_wait = 0.0  # of a writer's `open`, in seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(fcntl, name)

    def fcntl(self, fd: int, command: int, argument: int = 0) -> int:
        inode = os.fstat(fd).st_ino
        holders = self._holders.setdefault(inode, set())
        match command:
            case fcntl.F_SETLEASE if argument == fcntl.F_UNLCK:
                self._let_go(inode, fd)
            case fcntl.F_SETLEASE:
                refused = time.monotonic() - self._recalled.get(inode, -_REFUSED_S) < _REFUSED_S
                if not self._granted or refused or self._world.writers.has_open(inode):
                    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
                holders.add(fd)
            case fcntl.F_GETLEASE:
                return fcntl.F_RDLCK if fd in holders and inode not in self._breaking else fcntl.F_UNLCK
        return 0

    def closed(self, fd: int) -> None:
        for inode in list(self._holders):
            self._let_go(inode, fd)

    def is_held(self, inode: int) -> bool:
        return bool(self._holders.get(inode))

    async def broken(self, inode: int) -> None:
        """A writer opens the file: returns once nobody holds a lease on it any more."""
        if not self._holders.get(inode):
            return
        since = self._recalled[inode] = time.monotonic()
        self._breaking.add(inode)
        try:
            async with asyncio.timeout(_BREAK_S):
                await self._free.setdefault(inode, asyncio.Event()).wait()
        except TimeoutError:
            self._holders[inode].clear()
        self._free.pop(inode, None)
        self._breaking.discard(inode)
        self.longest_wait = max(self.longest_wait, time.monotonic() - since)

    def _let_go(self, inode: int, fd: int) -> None:
        holders = self._holders.get(inode, set())
        holders.discard(fd)
        if not holders and inode in self._free:
            self._free[inode].set()

    def own_change(self, inode: int) -> None:
        """A LINK, RENAME or UNLINK of ours is about to be made: it waits for leases too, its own process's among them."""
        thread, since = ActorThread.current(), time.monotonic()
        while self._holders.get(inode) and thread:
            self._breaking.add(inode)
            thread.sleep(_LOOK_S)
            if time.monotonic() - since > _BREAK_S:
                self._world.violated(f"{thread.child.who} has waited {_BREAK_S:.0f} s for a lease")
                self._holders[inode].clear()
        self._breaking.discard(inode)
