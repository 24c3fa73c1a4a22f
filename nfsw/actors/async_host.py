"""The host of the Uploader: the same duties as `host`, on an event loop. A child process.

Each message is a task of its own; the loop beats. `tell` does not wait: what the Uploader tells is bounded by the files that it
has in hand.
"""

import asyncio
import logging
import socket
import time
from collections import deque
from functools import partial

from nfsw.actors import logs
from nfsw.actors.azure_store import Store
from nfsw.actors.blob_options import BlobOptions
from nfsw.actors.call_board import CallBoard
from nfsw.actors.channel import BATCH, PACKET, pack, unpack
from nfsw.actors.config import UploaderConfig
from nfsw.actors.envelope import Envelope, Message, Started
from nfsw.actors.host import CRASHED
from nfsw.actors.messages import ContainerRefused
from nfsw.actors.start import HEARTBEAT_S
from nfsw.actors.uploader import Uploader

log = logging.getLogger("nfsw.host")

#: Turns of the loop that what is told waits for more to go in its packet: a packet of its own costs more than all that is done for a
#: message. After two the last news of a job are followed by its reply; two more find what other jobs have to tell (measured).
_TURNS = 4


class AsyncHost:
    def __init__(self, actor: Uploader, sock: socket.socket, board: CallBoard) -> None:
        self._actor = actor
        self._sock = sock
        self._board = board
        self._outbox: deque[Envelope] = deque()
        self._told = asyncio.Event()

    async def run(self) -> None:
        """Never returns: the process ends with the main process, or with the first exception that its actor does not catch."""
        self._sock.setblocking(False)
        try:
            async with asyncio.TaskGroup() as group:
                for name, duty in (
                    ("beat", self._beat()),
                    ("send", self._send()),
                    ("receive", self._receive(group)),
                    ("start", self._start()),
                ):
                    group.create_task(duty, name=name)
        except* (BrokenPipeError, ConnectionResetError):
            logs.leave(0)
        except* Exception as failed:
            log.critical("crashed: %r", failed.exceptions[0], exc_info=failed)
            logs.leave(CRASHED)

    async def _start(self) -> None:
        """It takes messages at once. What the actor begins with may last for as long as Azure does not answer, which is no slow start."""
        log.debug("takes messages", extra={"action": "start"})
        self._tell(Started())
        await self._actor.on_start(self._tell)
        while True:
            await asyncio.sleep(self._actor.interval)
            await self._actor.on_tick()

    async def _receive(self, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            packet = await loop.sock_recv(self._sock, PACKET)
            if not packet:
                logs.leave(0)
            for envelope in unpack(packet):
                group.create_task(self._handle(envelope))

    async def _handle(self, envelope: Envelope) -> None:
        logs.traceparent.set(envelope.traceparent)  # of this task alone
        tell = self._tell if envelope.number is None else partial(self._tell, number=envelope.number)
        if reply := await self._actor.on_message(envelope.message, tell):
            tell(reply)

    def _tell(self, message: Message, *, number: int | None = None) -> None:
        self._outbox.append(Envelope(message, number, logs.traceparent.get(), time.monotonic()))
        self._told.set()

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._told.wait()
            self._told.clear()
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            while self._outbox:
                batch = [self._outbox.popleft() for _ in range(min(BATCH, len(self._outbox)))]
                await loop.sock_sendall(self._sock, pack(batch))

    async def _beat(self) -> None:
        while True:
            self._board.beat()
            await asyncio.sleep(HEARTBEAT_S)


def run(config: UploaderConfig, sock: socket.socket, board: CallBoard) -> None:
    """Never returns."""
    board.beat()
    import uvloop  # noqa: PLC0415 - it loads while the heartbeat above already tells that the child runs

    asyncio.run(_upload(config, sock, board), loop_factory=uvloop.new_event_loop)


async def _upload(config: UploaderConfig, sock: socket.socket, board: CallBoard) -> None:
    try:
        store = Store.connect(config.account_url, config.connection_string, config.container, BlobOptions(config.tier, config.tags))
    except ValueError as error:  # settings that only the SDK knows to be none, its own AZURE_... ones among them
        sock.sendall(pack([Envelope(ContainerRefused(f"the settings for Azure are not valid: {error}"))]))
        return
    await AsyncHost(Uploader(config, store), sock, board).run()
