"""The mailbox of an actor: what waits for it, in order, with a bound and a gate. Main process, one event loop.

It outlives the actor's process. The sender of a job waits while the mailbox is full: that is the back-pressure. The gate
decides whether the first job may go yet, for instance because staging has room for it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from nfsw.actors.envelope import Envelope, Message


class Mailbox:
    """`bound`: jobs that may wait; None: as many as come, because something else bounds them."""

    def __init__(self, bound: int | None = None) -> None:
        self._bound = bound
        self._waiting: deque[Envelope] = deque()
        self._changed = asyncio.Event()
        #: Whether a message may be handed out now. Whoever changes its mind calls `wake`.
        self.gate: Callable[[Message], bool] = lambda _: True

    def __len__(self) -> int:
        return len(self._waiting)

    async def put(self, envelope: Envelope) -> None:
        """Waits while the mailbox is full."""
        await self.room()
        self.post(envelope)

    async def room(self) -> None:
        """Returns when the mailbox is not full. It stays so until the caller waits for something else."""
        while self._bound is not None and len(self._waiting) >= self._bound:
            await self._change()

    def post(self, envelope: Envelope) -> None:
        """Whether or not there is room: for messages that something else bounds."""
        self._waiting.append(envelope)
        self.wake()

    def give_back(self, envelopes: Iterable[Envelope]) -> None:
        """Puts them in front again, in this order."""
        self._waiting.extendleft(reversed(list(envelopes)))
        self.wake()

    async def get(self) -> Envelope:
        """The first message, as soon as the gate lets it go."""
        while (envelope := self.get_now()) is None:
            await self._change()
        return envelope

    def get_now(self) -> Envelope | None:
        """The first message; None while there is none, or the gate keeps it."""
        while self._waiting:
            first = self._waiting[0]
            if self.gate(first.message):
                self._waiting.popleft()
                self.wake()
                return first
            if self._waiting[0] is first:
                return None  # else the gate has brought another one forward
        return None

    def has(self, wanted: Callable[[Message], bool]) -> bool:
        return any(wanted(envelope.message) for envelope in self._waiting)

    def bring_forward(self, wanted: Callable[[Message], bool]) -> None:
        """The first message that is wanted becomes the first of all."""
        for envelope in self._waiting:
            if wanted(envelope.message):
                self._waiting.remove(envelope)
                self._waiting.appendleft(envelope)
                return

    def remove(self, unwanted: Callable[[Message], bool]) -> list[Message]:
        """Takes out what is unwanted and returns it."""
        removed = [envelope.message for envelope in self._waiting if unwanted(envelope.message)]
        self._waiting = deque(envelope for envelope in self._waiting if not unwanted(envelope.message))
        self.wake()
        return removed

    def wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _change(self) -> None:
        await self._changed.wait()
