"""However many connections there are, the next one is answered."""

import errno
import os
import resource
import socket
from contextlib import ExitStack

import pytest

from nfsw.api import connection, server
from tests.support.http import call, raw_call
from tests.support.memory_service import MemoryService
from tests.support.serving import served

EVENTS = b"GET /v1/watch/events HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection goes because of its age."""
    monkeypatch.setattr(connection, "PATIENCE_S", 600.0)


def connected(port: int, sent: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(sent)
    return connection


def is_closed(connection: socket.socket) -> bool:
    """Waits for a word of the server."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_the_connection_that_has_been_idle_for_longest_makes_room_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST", 8)
    with served(MemoryService()) as url, ExitStack() as held:
        port = int(url.rpartition(":")[2])
        listening = held.enter_context(connected(port, EVENTS))
        assert listening.recv(1)
        idle = [held.enter_context(connected(port, b"G")) for _ in range(50)]
        assert call(port, "GET", "/healthz").status == 200
        assert all(is_closed(one) for one in idle[:40])
        assert listening.recv(1), "one that is being answered is the last to go"


def test_when_all_are_being_answered_the_oldest_of_them_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST", 4)
    with served(MemoryService()) as url, ExitStack() as held:
        port = int(url.rpartition(":")[2])
        listening = [held.enter_context(connected(port, EVENTS)) for _ in range(4)]
        assert all(one.recv(1) for one in listening)
        assert call(port, "GET", "/healthz").status == 200
        while not is_closed(listening[0]):
            pass
        assert listening[3].recv(1)


def test_few_descriptors_mean_few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 100))
    with served(MemoryService()) as url, ExitStack() as held:
        port = int(url.rpartition(":")[2])
        for _ in range(100 - server.RESERVED + 1):
            held.enter_context(connected(port, b"G"))
        assert call(port, "GET", "/healthz").status == 200


def test_a_system_that_has_no_descriptor_left_is_told_of_once_and_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "PAUSE_S", 0.0)
    left = [OSError(errno.EMFILE, os.strerror(errno.EMFILE)) for _ in range(300)]
    accept = socket.socket.accept

    def accept_or_not(listening: socket.socket) -> tuple[socket.socket, object]:
        if left:
            raise left.pop()
        return accept(listening)

    with served(MemoryService()) as url:
        monkeypatch.setattr(socket.socket, "accept", accept_or_not)
        assert raw_call(int(url.rpartition(":")[2]), b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").status == 200
    assert not left
    [line] = [record.getMessage() for record in caplog.records if record.name == "nfsw.http"]
    assert line == "cannot accept a connection: Too many open files; 0 are open; idle ones are closed"
