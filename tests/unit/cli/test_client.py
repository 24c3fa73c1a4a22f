"""The client of the REST API, against the real application."""

import dataclasses
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import msgspec
import pytest

from nfsw.actors.names import printable
from nfsw.client import Client, ClientError, checked_url, default_url
from nfsw.supervisor.service import NfsSilent
from nfsw.supervisor.status import Status
from tests.support.memory_service import ACTIVE, BUSY, HUNG, IDLE, MemoryService
from tests.support.serving import served


@contextmanager
def somebody_else(status: int, body: bytes) -> Iterator[str]:
    """A server that is not ours and answers everything alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """StabilityTracker."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("status", [IDLE, ACTIVE, HUNG], ids=["idle", "active", "hung"])
def test_the_status_comes_back_as_the_service_has_it_but_for_fractions_of_a_second_and_broken_names(status: Status) -> None:
    with served(MemoryService(status)) as url:
        answer = Client(url).status()
    assert [file.file for file in answer.refused] == [printable(file.file) for file in status.refused]
    session = status.session and dataclasses.replace(status.session, started_at=status.session.started_at.replace(microsecond=0))
    assert answer == dataclasses.replace(status, session=session, refused=answer.refused)


def test_fields_of_a_later_version_are_passed_over_and_shown_as_json() -> None:
    later = msgspec.json.encode(msgspec.to_builtins(IDLE) | {"mood": "good"})
    with somebody_else(200, later) as url:
        assert Client(url).status() == IDLE
        assert json.loads(Client(url).status_json()) == json.loads(later)


def test_a_no_of_the_service_is_its_own_words() -> None:
    service = MemoryService(BUSY)
    with served(service) as url:
        with pytest.raises(ClientError, match=r"\Asession s1 is active\Z"):
            Client(url).start("s2")
        with pytest.raises(ClientError, match=r"\Asession: a session name does not begin with a dot\Z"):
            Client(url).start(".s")
        service.refuses = NfsSilent("mkdir has not come back\nfor 10 s\x1b[2J")
        with pytest.raises(ClientError, match=r"\Amkdir has not come back\\x0afor 10 s\\x1b\[2J\Z"):
            Client(url).stop()


def test_nobody_there_is_told_with_the_url() -> None:
    with socket.socket() as bound:  # bound, but not listening
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(ClientError, match=f"cannot reach {url}: Connection refused"):
            Client(url).status()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"<html>", "unexpected response from .*another version of nfsw.*: JSON is malformed"),
        (404, b"<html>", "unexpected response from .*: status 404 .is this nfsw"),
        (502, b'{"error": "bad gateway"}', "unexpected response from .*: status 502 .is this nfsw"),
        (502, b'{"detail": 7}', "unexpected response from .*: status 502 .is this nfsw"),
        (200, b'{"session": null}', "another version of nfsw.*: Object missing required field `files`"),
        (200, b"[]", "another version of nfsw.*: Expected `object`, got `array`"),
    ],
)
def test_somebody_else_at_the_url_is_told(status: int, body: bytes, words: str) -> None:
    with somebody_else(status, body) as url, pytest.raises(ClientError, match=words):
        Client(url).status()


def test_a_server_that_does_not_speak_http_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")

        thread = Thread(target=answer)
        thread.start()
        with pytest.raises(ClientError, match="cannot reach"):
            Client(f"http://127.0.0.1:{listening.getsockname()[1]}").status()
        thread.join()


def test_a_url_may_have_a_path_before_ours() -> None:
    with somebody_else(200, b"[]") as url, pytest.raises(ClientError, match=f"unexpected response from {url}/nfsw"):
        Client(checked_url(f"{url}/nfsw/")).status()


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "https://box.example", "http://[::1]:8000", "http://box/nfsw"])
def test_a_good_url_is_taken(url: str) -> None:
    assert checked_url(url + "/") == url


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [
        ("", "", "http://127.0.0.1:8000"),
        ("", "9000", "http://127.0.0.1:9000"),
        ("0.0.0.0", "9000", "http://127.0.0.1:9000"),  # noqa: S104 - what the service may be told
        ("::", "", "http://[::1]:8000"),
        ("10.0.0.7", "", "http://10.0.0.7:8000"),
        ("fd00::7", " 9000 ", "http://[fd00::7]:9000"),
        ("box.example", "9000", "http://box.example:9000"),
    ],
)
def test_where_the_service_is_follows_from_its_settings(host: str, port: str, url: str) -> None:
    assert default_url({"APP_HOST": host, "APP_PORT": port}) == url


@pytest.mark.parametrize("port", ["0", "65536", "80x", "-1", "\u0664"])
def test_a_port_that_no_service_can_have_is_named(port: str) -> None:
    with pytest.raises(ValueError, match=r"APP_PORT is .*; use --url"):
        default_url({"APP_PORT": port})


def test_without_settings_it_is_where_a_service_without_settings_listens() -> None:
    assert default_url({}) == "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    "url",
    ["", "box:8000", "//box", "ftp://box", "http://", "http://box:99999", "http://box:port", "http://b x", "http://b\r\nx", "http://bóx"],
)
def test_a_bad_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"is not a URL such as http://127\.0\.0\.1:8000"):
        checked_url(url)
