"""The host runs one actor in its child process: threads that take messages, a loop that beats, and an end when the parent ends.

The main thread makes no NFS call. It reads the channel, so that it sees the end of the main process even while every
other thread hangs, and beats on the board, so that the main process sees a child that does not run at all.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from functools import partial

from nfsw.actors import logs
from nfsw.actors.actor import Actor
from nfsw.actors.call_board import CallBoard
from nfsw.actors.channel import ChildEnd
from nfsw.actors.envelope import Envelope, Message, Started
from nfsw.actors.start import HEARTBEAT_S

log = logging.getLogger("nfsw.host")

#: The exit code of a child whose actor raised (EX_SOFTWARE of sysexits.h).
CRASHED = 70


class Host:
    def __init__(self, actor: Actor, channel: ChildEnd, board: CallBoard) -> None:
        self._actor = actor
        self._channel = channel
        self._board = board
        self._inbox: queue.SimpleQueue[Envelope] = queue.SimpleQueue()

    def run(self) -> None:
        """Never returns: the process ends with the main process, or with the first exception that its actor does not catch."""
        self._board.beat()
        threading.Thread(target=self._guarded, args=(self._start,), name="start", daemon=True).start()
        self._guarded(self._read)

    def _read(self) -> None:
        while True:
            envelopes = self._channel.receive(HEARTBEAT_S)
            self._board.beat()
            if envelopes is None:
                logs.leave(0)
            for envelope in envelopes:
                self._inbox.put(envelope)

    def _start(self) -> None:
        self._actor.on_start(self._tell)
        log.debug("takes messages", extra={"action": "start"})
        self._tell(Started())
        for number in range(1, self._actor.capacity):
            threading.Thread(target=self._guarded, args=(self._work,), name=f"worker {number}", daemon=True).start()
        self._work_and_tick()

    def _work(self) -> None:
        while True:
            self._handle(self._inbox.get())

    def _work_and_tick(self) -> None:
        """The first thread: messages too, and a tick whenever it is due."""
        if self._actor.interval is None:
            self._work()
            return
        due = time.monotonic()
        while True:
            if (left := due - time.monotonic()) <= 0:
                self._actor.on_tick(self._tell)
                due = time.monotonic() + self._actor.interval
                continue
            try:
                envelope = self._inbox.get(timeout=left)
            except queue.Empty:
                continue
            self._handle(envelope)

    def _handle(self, envelope: Envelope) -> None:
        logs.traceparent.set(envelope.traceparent)
        tell = self._tell if envelope.number is None else partial(self._tell, number=envelope.number)
        if reply := self._actor.on_message(envelope.message, tell):
            tell(reply)
        logs.traceparent.set(None)

    def _tell(self, message: Message, *, number: int | None = None) -> None:
        self._channel.send(Envelope(message, number, logs.traceparent.get(), time.monotonic()))

    def _guarded(self, work: Callable[[], None]) -> None:
        """Let it crash: the supervisor starts another, which begins from what lies on the disk."""
        try:
            work()
        except BaseException as error:
            if isinstance(error, (BrokenPipeError, ConnectionResetError)):
                logs.leave(0)  # the main process is gone, and nobody reads what we tell
            log.critical("crashed: %r", error, exc_info=error)
            logs.leave(CRASHED)
