"""How far a file is on its way to Azure, in bytes that have left; told twice a second at most. Uploader process, one event loop.

A block is acknowledged as a whole, and on a slow uplink that may be minutes after its first byte has left. So what has left is
counted meanwhile: handed to the kernel, which takes no more while it holds much unsent. What a request had sent that fails is
taken back, for Azure keeps nothing of it.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nfsw.actors.actor import Tell
from nfsw.actors.manifest import Block
from nfsw.actors.messages import UploadProgress

#: Seconds between two messages about a file, at least.
EVERY_S = 0.5


class Progress:
    """Of one file, over all its attempts, one after the other."""

    def __init__(self) -> None:
        self._tell: Tell | None = None  # None: no attempt is under way
        self._held = 0  # bytes that Azure holds
        self._bodies: set[Body] = set()  # on their way
        self._furthest: dict[int, int] = {}  # the most bytes that have left in any request, by block
        self._sent = self._resent = self._blocks = 0  # since the latest message
        self._told = (0, 0)  # held, and left, as of the latest message
        self._told_at = asyncio.get_running_loop().time()
        self._due: asyncio.TimerHandle | None = None

    @contextmanager
    def told(self, tell: Tell) -> Iterator[None]:
        """Around one attempt, of which `tell` takes the news; the last of them at its end."""
        self._tell = tell
        try:
            yield
        finally:
            self.tell()
            self._tell = None
            if self._due:
                self._due.cancel()
                self._due = None

    def begin(self, held: int = 0) -> None:
        """Another attempt, or Azure was asked what it holds: `held` bytes."""
        self._held = held
        self._soon()

    def holds(self, size: int) -> None:
        """Azure holds `size` more bytes, which need not be sent."""
        self._held += size
        self._soon()

    @contextmanager
    def request(self, block: Block) -> "Iterator[Body]":
        """Around a request that carries the block, which tells the body how to count what has left."""
        body = Body(self, block)
        self._bodies.add(body)
        self._soon()
        try:
            yield body
            self._held += block.length
            self._blocks += 1
        finally:
            body.look()
            self._bodies.remove(body)

    def left(self, block: Block, before: int, now: int) -> None:
        """In one request, `before` and now `now` bytes of the block have left."""
        furthest = self._furthest.get(block.index, 0)
        self._sent += now - before
        self._resent += max(0, min(now, furthest) - before)
        self._furthest[block.index] = max(now, furthest)

    def tell(self) -> None:
        """Now, if there is anything new."""
        if self._due:
            self._due.cancel()
            self._due = None
        self._told_at = asyncio.get_running_loop().time()
        for body in self._bodies:
            body.look()
        now = (self._held, self._held + sum(body.left for body in self._bodies))
        if self._tell is not None and (now != self._told or self._sent or self._blocks):
            self._told = now
            self._tell(UploadProgress(*now, self._sent, self._resent, self._blocks))
            self._sent = self._resent = self._blocks = 0
        if self._bodies:
            self._soon()

    def _soon(self) -> None:
        if self._due is None:
            self._due = asyncio.get_running_loop().call_at(self._told_at + EVERY_S, self.tell)


class Body:
    """Of a request that carries a block, and of those that take its place."""

    def __init__(self, progress: Progress, block: Block) -> None:
        self.left = 0  # bytes, when it was last looked at
        self._progress = progress
        self._block = block
        self._count: Callable[[], int] | None = None

    def follow(self, count: Callable[[], int]) -> None:
        """A request begins; `count` tells how many of its bytes have left."""
        self.look()
        self.left, self._count = 0, count

    def look(self) -> None:
        if self._count and (now := self._count()) > self.left:
            self._progress.left(self._block, self.left, now)
            self.left = now
