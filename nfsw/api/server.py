"""The HTTP server: uvicorn, behind an accept loop that bounds the number of connections. Main process.

However many connections somebody opens, the next one is accepted: the one that has been idle for longest makes room for it. So a
probe is answered, and descriptors are left for the rest of the service.
"""

import asyncio
import logging
import resource
import socket
from collections.abc import Callable
from types import FrameType
from typing import override

import uvicorn
from fastapi import FastAPI

from nfsw.api.connection import BadRequests, Connection

log = logging.getLogger("nfsw.http")

#: Connections at a time, each with at most 128 KiB of requests in memory. A page has one, and some more for a moment.
MOST = 256
#: File descriptors that the rest of the process may need: a few for each child, and for its replacements while it cannot be reaped.
RESERVED = 64
#: Seconds until the next attempt when the system has no descriptor or memory left for a connection.
PAUSE_S = 1.0
#: Such trouble is logged at most once in this many seconds.
QUIET_S = 60.0


class Server(uvicorn.Server):
    def __init__(self, app: FastAPI, listening: socket.socket, on_signal: Callable[[], object]) -> None:
        """`listening`: closed when the server ends. `on_signal`: what SIGTERM and SIGINT do, which uvicorn takes over while it runs."""
        # Nothing is drained at the end: who is connected then is cut off.
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",  # uvloop, which is there for the Uploader, has no place for the accept loop below
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="on",
                timeout_graceful_shutdown=0,
            )
        )
        self._listening = listening
        self._on_signal = on_signal
        self._bad_requests = BadRequests()
        self._most = _most()
        self._logged_at = -QUIET_S

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._on_signal()

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._listening.setblocking(False)
        await super().startup(sockets=[])

    @override
    async def main_loop(self) -> None:
        """Until `should_exit`."""
        async with asyncio.TaskGroup() as tasks:
            accepting = tasks.create_task(self._accept(), name="accept connections")
            await super().main_loop()
            accepting.cancel()
        self._listening.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._listening)
                self._make_room(self._most)
                await loop.connect_accepted_socket(self._connection, accepted)
            except ConnectionError:  # it is gone already
                continue
            except OSError as error:
                self._log(error)
                self._make_room(1)
                await asyncio.sleep(PAUSE_S)

    def _make_room(self, most: int) -> None:
        """For one more, where `most` are allowed."""
        connections = self._open()
        if len(connections) >= most:
            min(connections, key=lambda connection: connection.precedence).abort()

    def _open(self) -> list[Connection]:
        return [one for one in self.server_state.connections if isinstance(one, Connection)]

    def _connection(self) -> Connection:
        return Connection(self._bad_requests, config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    def _log(self, error: OSError) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._logged_at >= QUIET_S:
            self._logged_at = now
            log.warning("cannot accept a connection: %s; %d are open; idle ones are closed", error.strerror, len(self._open()))


def _most() -> int:
    """Connections that this process may have at a time."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if descriptors == resource.RLIM_INFINITY else max(1, min(MOST, descriptors - RESERVED))
