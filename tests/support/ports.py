"""Ports of 127.0.0.1 that stay a test's own while nobody listens on them: of a server that goes away and comes back."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reserved_port() -> Iterator[int]:
    """Connections to it are refused until somebody `listens` there. The kernel gives it to nobody else meanwhile."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


def listening(port: int, *, backlog: int = 128) -> socket.socket:
    """A server's socket on a reserved port; 0: on any free one."""
    return socket.create_server(("127.0.0.1", port), reuse_port=port != 0, backlog=backlog)
