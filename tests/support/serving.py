"""The HTTP application over a `MemoryService`, on a real socket, in a thread."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Thread

import uvicorn

from nfsw.api.app import create_app
from tests.support.memory_service import MemoryService
from tests.support.waiting import until


@contextmanager
def served(service: MemoryService, port: int = 0, hosts: Iterable[str] = ()) -> Iterator[str]:
    """The URL. Leaving it drops every connection, as the end of a service does."""
    server = uvicorn.Server(
        uvicorn.Config(create_app(service, hosts), host="127.0.0.1", port=port, log_level="critical", timeout_graceful_shutdown=0)
    )
    thread = Thread(target=server.run, name="server")
    thread.start()
    try:
        until(lambda: server.started, within=30, what="the server listens")
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
