"""A simulated child process: the supervisor's view of it (`Child`), its channel, and the host that runs a real actor in it.

What passes the channel is packed and unpacked as in a real process, and arrives in order after a while. The host does
what `host` and `async_host` do: messages to workers, ticks, replies, heartbeats, and the end of all of it at a kill.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING

from nfsw.actors.actor import Actor
from nfsw.actors.call_board import CallBoard
from nfsw.actors.channel import pack, unpack
from nfsw.actors.envelope import Envelope, Message, Started
from nfsw.actors.uploader import Uploader
from tests.simulation.threads import ActorThread

if TYPE_CHECKING:
    from tests.simulation.pod import Pod

#: Packets that a child has told and the main process has not read; then the child waits. A socket has a bound in bytes.
_ON_THE_WAY = 64
_SLOTS = 8
_CRASHED = 70
#: Seconds: the longest time that a packet takes, and a process to start.
_CHANNEL_S = 0.004
_BOOT_S = 0.6

#: To which process a task belongs: those that a task starts belong to the same.
_PROCESS: contextvars.ContextVar[SimulatedChild | None] = contextvars.ContextVar("process", default=None)


class SimulatedChild:
    """Implements `nfsw.supervisor.child.Child`. `make` builds the actor in the new process."""

    def __init__(self, pod: Pod, name: str, make: Callable[[SimulatedChild], Actor | Uploader]) -> None:
        self.pod = pod
        self.world = pod.world
        self.name = name
        self.pid = self.world.next_pid()
        self.started = time.monotonic()
        self.alive = True
        self.stopped = False  # by SIGSTOP: nothing of it runs
        self.unkillable_until = 0.0  # SIGKILL takes effect then (seconds, monotonic)
        self.calls = 0  # system calls so far
        fd = CallBoard.create(_SLOTS)
        self.board = CallBoard(fd, _SLOTS)
        self.own_board = CallBoard(fd, _SLOTS)
        os.close(fd)
        self._make = make
        self._actor: Actor | Uploader | None = None
        self._code = -9
        self._killed = False
        self._ended = asyncio.Event()
        self._inbox: deque[Envelope] = deque()
        self._outbox: deque[bytes] = deque()
        self._on_the_way: tuple[deque[bytes], deque[bytes]] = deque(), deque()  # packets, each way
        self._readable = asyncio.Event()
        self._arrives = [0.0, 0.0]  # of the latest packet each way (seconds, monotonic)
        self.threads: list[ActorThread] = []
        self._idle: list[ActorThread] = []
        self._blocked: list[ActorThread] = []
        self._loop = asyncio.get_running_loop()
        self._timers: set[asyncio.TimerHandle] = set()
        self._later(self.world.rng.uniform(0.05, _BOOT_S), self._boot)

    # The supervisor's side.

    async def send(self, envelopes: Sequence[Envelope]) -> None:
        if not self.alive:
            raise BrokenPipeError
        packet = pack(envelopes)
        self._on_the_way[0].append(packet)
        self._later(self._latency(0), lambda: self._arrive(unpack(self._on_the_way[0].popleft())))

    async def receive(self) -> tuple[Envelope, ...] | None:
        while not self._outbox:
            if not self.alive:
                return None
            self._readable.clear()
            await self._readable.wait()
        packet = self._outbox.popleft()
        if self._blocked:
            self._blocked.pop(0).resume_after(0)
        return unpack(packet)

    def kill(self) -> None:
        if self.alive and not self._killed:  # else the order of those that end at a time would be that of the later calls
            self._killed = True
            self._loop.call_later(max(0.0, self.unkillable_until - time.monotonic()), self.exits, -9)

    def ends(self, within_s: float) -> bool:
        return not self.alive or self.unkillable_until <= time.monotonic() + within_s

    async def gone(self) -> int:
        await self._ended.wait()
        return self._code

    def close(self) -> None:
        if not self.alive:
            self.board.close()
        else:  # the main process ends, and this one cannot yet
            assert self.pod.ended, "closed while it lives"

    # The process.

    def exits(self, code: int) -> None:
        if not self.alive:
            return
        self.alive, self._code = False, code
        self.world.event(self.who, f"ends: {code}")
        for timer in self._timers:
            timer.cancel()
        for task in asyncio.all_tasks():
            if task.get_context().get(_PROCESS) is self:
                task.cancel()
        for thread in self.threads:
            thread.kill()
        self.world.files.close_all(self)
        self._ended.set()
        self._readable.set()

    def crashed(self, error: BaseException) -> None:
        self.world.violated(f"{self.who} crashed: {error!r}", error)
        self._loop.call_soon(self.exits, _CRASHED)

    @property
    def who(self) -> str:
        return f"{self.pod.name}.{self.name}"

    def tell(self, message: Message, number: int | None = None) -> None:
        """What the actor says, of the job with that number."""
        while (thread := ActorThread.current()) and len(self._outbox) >= _ON_THE_WAY:
            self._blocked.append(thread)
            thread.pause()
        packet = pack([Envelope(message, number, told_at=time.monotonic())])
        self.world.event(self.who, f"tells {_numbered(message, number)}")
        # What is in the socket's buffer is read, though the process that wrote it has ended.
        self._on_the_way[1].append(packet)
        self._loop.call_later(self._latency(1), self._told)

    def _told(self) -> None:
        self._outbox.append(self._on_the_way[1].popleft())  # in order, whatever the timers' order is
        self._readable.set()
        self._loop.call_later(0, self.world.check)

    def _latency(self, way: int) -> float:
        now = time.monotonic()
        self._arrives[way] = max(self._arrives[way], now + self.world.rng.uniform(0, _CHANNEL_S))
        return self._arrives[way] - now

    def _later(self, seconds: float, then: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.discard(timer)
            if not self.stopped:
                then()

        timer = self._loop.call_later(seconds, run)
        self._timers.add(timer)

    # The host.

    def _boot(self) -> None:
        try:
            self._actor = actor = self._make(self)
        except Exception as error:  # noqa: BLE001 - a process that cannot be made is one that crashed
            self.crashed(error)
            return
        self._beat()
        if isinstance(actor, Uploader):
            self._start_task(self._start_uploader(actor))
            waiting, self._inbox = tuple(self._inbox), deque()
            self._arrive(waiting)
        else:
            self._spawn(lambda: self._first(actor))

    def _beat(self) -> None:
        self.own_board.beat()
        self._later(1.0, self._beat)

    def _arrive(self, envelopes: tuple[Envelope, ...]) -> None:
        for envelope in envelopes:
            self.world.event(self.who, f"hears {_numbered(envelope.message, envelope.number)}")
            if isinstance(self._actor, Uploader):
                self._start_task(self._handle_async(self._actor, envelope))
            else:
                self._inbox.append(envelope)
                if self._idle:
                    self._idle.pop(0).resume_after(0)

    def _spawn(self, work: Callable[[], None]) -> None:
        thread = ActorThread(self, len(self.threads), work)
        thread.parent = self.world.main
        self.threads.append(thread)
        thread.resume_after(0)

    def _first(self, actor: Actor) -> None:
        actor.on_start(self.tell)
        self.tell(Started())
        for _ in range(1, actor.capacity):
            self._spawn(lambda: self._work(actor))
        due = time.monotonic()
        while True:
            if actor.interval is not None and due <= time.monotonic():
                actor.on_tick(self.tell)
                due = time.monotonic() + actor.interval
            elif envelope := self._next(None if actor.interval is None else due):
                self._handle(actor, envelope)

    def _work(self, actor: Actor) -> None:
        while True:
            if envelope := self._next(None):
                self._handle(actor, envelope)

    def _next(self, until: float | None) -> Envelope | None:
        """The next message; None: something else may have come up."""
        if not self._inbox:
            thread = ActorThread.current()
            assert thread
            self._idle.append(thread)
            if until is not None:
                thread.resume_after(max(0.0, until - time.monotonic()))
            try:
                thread.pause()
            finally:
                if thread in self._idle:
                    self._idle.remove(thread)
        return self._inbox.popleft() if self._inbox else None

    def _handle(self, actor: Actor, envelope: Envelope) -> None:
        if reply := actor.on_message(envelope.message, partial(self.tell, number=envelope.number)):
            self.tell(reply, envelope.number)

    def _start_task(self, work: Coroutine[object, object, None]) -> None:
        context = contextvars.copy_context()
        context.run(_PROCESS.set, self)
        task = self._loop.create_task(work, name=f"{self.who} message", context=context)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and self.alive:
            self.crashed(error)

    async def _start_uploader(self, actor: Uploader) -> None:
        await actor.on_start(self.tell)
        if self.alive:
            self.tell(Started())

    async def _handle_async(self, actor: Uploader, envelope: Envelope) -> None:
        def tell(message: Message) -> None:
            if self.alive:
                self.tell(message, envelope.number)

        with contextlib.suppress(asyncio.CancelledError):
            if reply := await actor.on_message(envelope.message, tell):
                tell(reply)


def _numbered(message: Message, number: int | None) -> str:
    return f"{message}" if number is None else f"{number}: {message}"
