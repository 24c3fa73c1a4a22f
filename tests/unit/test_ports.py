"""The tests' own ports."""

import socket

import pytest

from tests.support.ports import listening, reserved_port


def refused(port: int) -> bool:
    with socket.socket() as client:
        try:
            client.connect(("127.0.0.1", port))
        except ConnectionRefusedError:
            return True
    return False


def test_a_reserved_port_refuses_connections_while_nobody_listens_and_takes_them_whenever_somebody_does() -> None:
    with reserved_port() as port:
        for _ in range(3):
            assert refused(port)
            with listening(port):
                assert not refused(port)


def test_a_reserved_port_is_given_to_nobody_else() -> None:
    with reserved_port() as port, pytest.raises(OSError, match="already in use"):
        socket.create_server(("127.0.0.1", port)).close()


def test_connections_that_are_left_over_do_not_keep_a_server_from_coming_back() -> None:
    with reserved_port() as port:
        with listening(port) as server:
            client = socket.create_connection(("127.0.0.1", port))
            accepted, _ = server.accept()
        accepted.close()  # waits for the other end's close, and after it for a minute
        with listening(port):
            assert not refused(port)
        client.close()
