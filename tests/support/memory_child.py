"""A child in memory, played by the test: to the supervisor it is what a process is.

What is said to it and by it is packed as on a channel, so nothing passes that a process could not be told. It has a real
board, on which it beats by itself for as long as it is not silenced. Needs the loop of `faketime`.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Sequence
from itertools import count

from nfsw.actors.call_board import CallBoard
from nfsw.actors.channel import pack, unpack
from nfsw.actors.envelope import Envelope, Job, Message, Reply, Started
from nfsw.actors.start import HEARTBEAT_S

#: Packets that wait on the way to a child before the sender has to wait. A socket has a bound in bytes.
_ON_THE_WAY = 4
SLOTS = 6

_pids = count(1000)


class MemoryChild:
    """`beats`: its loop turns. One that never does has not come so far yet."""

    def __init__(self, *, beats: bool = True) -> None:
        self.pid = next(_pids)
        self.started = time.monotonic()
        fd = CallBoard.create(SLOTS)
        self.board = CallBoard(fd, SLOTS)  # as the supervisor maps it
        self._own_board = CallBoard(fd, SLOTS)
        os.close(fd)
        #: Packets, in order.
        self._inbox: deque[bytes] = deque()
        self._outbox: deque[bytes] = deque()
        self._unseen: list[Envelope] = []  # it has read them, and the test has not looked at them
        self._in_hand: dict[int, Job] = {}  # by number
        self._changed = asyncio.Event()
        self._code: int | None = None
        self._beating: asyncio.TimerHandle | None = None
        #: SIGKILL does not end it: one of its calls hangs in the kernel.
        self.unkillable = False
        self.kills: list[float] = []  # when it was sent SIGKILL
        self.closed = False
        #: Nobody reads what it is sent.
        self.deaf = False
        if beats:
            self._beat()

    # The supervisor's side.

    async def send(self, envelopes: Sequence[Envelope]) -> None:
        while len(self._inbox) >= _ON_THE_WAY and self.deaf and self._code is None:
            await self._changed.wait()
        if self._code is not None:
            raise BrokenPipeError
        self._inbox.append(pack(envelopes))

    async def receive(self) -> tuple[Envelope, ...] | None:
        while not self._outbox:
            if self._code is not None:
                return None
            await self._changed.wait()
        return unpack(self._outbox.popleft())

    def kill(self) -> None:
        if self._code is None:
            self.kills.append(time.monotonic())
            if not self.unkillable:
                asyncio.get_running_loop().call_soon(self.exits, -9)

    def ends(self, within_s: float) -> bool:
        assert within_s >= 0
        return self._code is not None or not self.unkillable

    async def gone(self) -> int:
        while self._code is None:
            await self._changed.wait()
        return self._code

    def close(self) -> None:
        assert not self.closed, "closed twice"
        assert self._code is not None, "closed while it lives"
        self.closed = True
        self.board.close()
        self._own_board.close()

    # The child's side: what the test makes it do.

    @property
    def alive(self) -> bool:
        return self._code is None

    def reads(self) -> list[Envelope]:
        """All that it was sent since the test last looked."""
        self._read()
        envelopes, self._unseen = self._unseen, []
        return envelopes

    def hears(self) -> list[Message]:
        """The same, without what goes with the messages."""
        return [envelope.message for envelope in self.reads()]

    @property
    def in_hand(self) -> list[Job]:
        """The jobs that it has not answered."""
        self._read()
        return list(self._in_hand.values())

    def says(self, *messages: Message) -> None:
        """News that are about no job, in one packet. The channel takes it, whether or not the supervisor reads."""
        self._say(messages)

    def starts(self) -> None:
        self.says(Started())

    def news(self, job: Job, *messages: Message) -> None:
        """Of a job that it has in hand."""
        self._say(messages, self._number(job))

    def replies(self, job: Job, reply: Reply) -> None:
        """It has the job in hand, and no more."""
        number = self._number(job)
        del self._in_hand[number]
        self._say([reply], number)

    @property
    def unread(self) -> int:
        """Packets of its own that the supervisor has not taken yet."""
        return len(self._outbox)

    def exits(self, code: int) -> None:
        if self._code is None:
            self._code = code
            self.goes_silent()
            self._wake()

    def enters(self, call: str, slot: int = 0) -> None:
        """It makes an NFS call, which lasts until it leaves it."""
        self._own_board.enter(slot, call)

    def leaves(self, slot: int = 0) -> None:
        self._own_board.leave(slot, "other")

    def goes_silent(self) -> None:
        """Its loop does not turn any more, as after SIGSTOP."""
        if self._beating:
            self._beating.cancel()
        self._beating = None

    def _read(self) -> None:
        for packet in self._inbox:
            for envelope in unpack(packet):
                self._unseen.append(envelope)
                if envelope.number is not None:
                    assert isinstance(envelope.message, Job)
                    self._in_hand[envelope.number] = envelope.message
        self._inbox.clear()
        self._wake()

    def _number(self, job: Job) -> int:
        """Of the one that it was given last."""
        self._read()
        return [number for number, one in self._in_hand.items() if one == job][-1]

    def _say(self, messages: Sequence[Message], number: int | None = None) -> None:
        assert self.alive, "the dead say nothing"
        self._outbox.append(pack([Envelope(message, number, told_at=time.monotonic()) for message in messages]))
        self._wake()

    def _beat(self) -> None:
        self._own_board.beat()
        self._beating = asyncio.get_running_loop().call_later(HEARTBEAT_S, self._beat)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Processes:
    """All processes of one actor, in order. `start` is what a `ChildSpec` wants."""

    def __init__(self, *, beats: bool = True, unstartable: OSError | None = None) -> None:
        self.all: list[MemoryChild] = []
        self.beats = beats
        #: Why there can be no child now.
        self.unstartable = unstartable
        self.attempts: list[float] = []  # when one was to be started

    def start(self) -> MemoryChild:
        self.attempts.append(time.monotonic())
        if self.unstartable:
            raise self.unstartable
        child = MemoryChild(beats=self.beats)
        self.all.append(child)
        return child

    @property
    def now(self) -> MemoryChild:
        return self.all[-1]

    def __len__(self) -> int:
        return len(self.all)
