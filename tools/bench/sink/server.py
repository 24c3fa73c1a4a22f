"""The sink's loop: listeners and connections on one epoll, one thread. Sink process."""

import select
import socket
import ssl
from collections import deque
from typing import BinaryIO, Self

from tools.bench.sink.bucket import Bucket
from tools.bench.sink.connection import AGAIN, THROTTLED, Connection, Waiting
from tools.bench.sink.http import Api

#: With a cap the kernel must not take in what the link could not have carried yet: it would hide the cap from a sender of small files.
CAPPED_RECEIVE_BUFFER = 128 * 1024
BACKLOG = 512


class Server:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._listeners: dict[int, _Listener] = {}
        self._serving: dict[int, tuple[Connection, Waiting]] = {}
        self._interest: dict[int, int] = {}
        self._again: deque[int] = deque()
        self._throttled: dict[int, None] = {}  # in their order: first come, first served

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection, _waiting in self._serving.values():
            connection.sock.close()
        for listener in self._listeners.values():
            listener.sock.close()
        self._epoll.close()

    def listen(self, port: int, api: Api, *, bucket: Bucket | None = None, tls: ssl.SSLContext | None = None) -> int:
        """Returns the port, which is on the loopback interface only."""
        sock = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
        sock.setblocking(False)
        self._listeners[sock.fileno()] = _Listener(sock, api, bucket or Bucket(), tls)
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        bound: int = sock.getsockname()[1]
        return bound

    def run_until_closed(self, lifeline: BinaryIO) -> None:
        """Serves until `lifeline`, which nobody writes to, is closed at its other end: its starter is gone, or wants an end."""
        self._epoll.register(lifeline.fileno(), select.EPOLLIN)
        while True:
            ready = self._epoll.poll(self._patience())
            turns = [self._again.popleft() for _ in range(len(self._again))]
            for number, _events in ready:
                if number == lifeline.fileno():
                    return
                if number in self._listeners:
                    self._accept(self._listeners[number])
                else:
                    turns.append(number)
            for number in dict.fromkeys(turns):
                if number not in self._throttled:  # a peer that hung up is an event that nobody asked for
                    self._go_on(number)
            while self._throttled and self._pause() <= 0:
                first = next(iter(self._throttled))
                del self._throttled[first]
                self._go_on(first)

    def _patience(self) -> float | None:
        """How long to wait for an event; None: for ever."""
        if self._again:
            return 0
        return max(0.0, self._pause()) if self._throttled else None

    def _pause(self) -> float:
        connection, _waiting = self._serving[next(iter(self._throttled))]
        return connection.bucket.pause()

    def _accept(self, listener: "_Listener") -> None:
        while True:
            try:
                sock, _peer = listener.sock.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if listener.bucket.rate is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CAPPED_RECEIVE_BUFFER)
            if listener.tls is not None:
                sock = listener.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            connection = Connection(sock, listener.api, listener.bucket)
            number = sock.fileno()
            self._serving[number] = (connection, connection.serve())
            self._interest[number] = 0
            self._epoll.register(number, 0)
            self._go_on(number)  # which says what is waited for

    def _go_on(self, number: int) -> None:
        if number not in self._serving:
            return
        connection, waiting = self._serving[number]
        try:
            wanted = next(waiting)
        except StopIteration:
            self._epoll.unregister(number)
            del self._serving[number], self._interest[number]
            connection.sock.close()
            return
        if wanted == AGAIN:
            self._again.append(number)
        elif wanted == THROTTLED:
            self._throttled[number] = None
            self._expect(number, 0)  # or its bytes would wake us all the time
        else:
            self._expect(number, wanted)

    def _expect(self, number: int, events: int) -> None:
        if events != self._interest[number]:
            self._interest[number] = events
            self._epoll.modify(number, events)


class _Listener:
    def __init__(self, sock: socket.socket, api: Api, bucket: Bucket, tls: ssl.SSLContext | None) -> None:
        self.sock = sock
        self.api = api
        self.bucket = bucket
        self.tls = tls
