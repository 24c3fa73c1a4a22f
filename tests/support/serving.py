"""The HTTP application over a `MemoryService`, on a real socket, in a thread."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Thread

from nfsw.api.app import create_app
from nfsw.api.server import Server
from tests.support.memory_service import MemoryService
from tests.support.ports import listening
from tests.support.waiting import until


@contextmanager
def served(service: MemoryService, port: int = 0, hosts: Iterable[str] = ()) -> Iterator[str]:
    """The URL. `port`: a reserved one; 0: any. Leaving it drops every connection, as the end of a service does."""
    with listening(port) as sock:
        server = Server(create_app(service, hosts), sock, on_signal=lambda: None)
        thread = Thread(target=server.run, name="server")
        thread.start()
        try:
            until(lambda: server.started, within=30, what="the server listens")
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
