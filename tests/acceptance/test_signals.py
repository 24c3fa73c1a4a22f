"""SIGTERM and SIGINT end everything at once, whoever is connected. Without its parent no child stays."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.azurite import CHECKOUT
from tests.support.link import Link
from tests.support.midway import in_mid_transfer
from tests.support.service import Service, clean_environment
from tests.support.site import Site
from tests.support.waiting import until

EVENT_STREAM = "text/event-stream"


@contextmanager
def clients(service: Service, folder: Path) -> Iterator[None]:
    """`status --watch`, an idle kept-alive connection, half a request, and a reader of each event stream that the API has."""
    said = folder / "watch.out"
    with said.open("wb") as output:
        watch = subprocess.Popen(
            [sys.executable, "-m", "nfsw", "status", "--watch", "--url", service.url],
            env=clean_environment(folder, {}),
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    connections = [socket.create_connection(("127.0.0.1", service.port), timeout=10) for _ in range(3)]
    try:
        connections[0].sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" in connections[0].recv(4096)
        connections[1].sendall(b"POST /v1/watch/start HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        for path in event_streams(service):
            stream = socket.create_connection(("127.0.0.1", service.port), timeout=10)
            connections.append(stream)
            stream.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {EVENT_STREAM}\r\n\r\n".encode())
            assert b"200" in stream.recv(4096)
        until(lambda: said.stat().st_size > 0, within=20, what="`status --watch` shows something")
        yield
    finally:
        for connection in connections:
            connection.close()
        watch.kill()
        watch.wait()


def event_streams(service: Service) -> list[str]:
    paths = service.call("GET", "/openapi.json").json()["paths"]
    return [
        path for path, calls in paths.items() if EVENT_STREAM in calls.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_every_process_is_gone_at_once_with_clients_connected(linked: Site, link: Link, number: signal.Signals) -> None:
    service = in_mid_transfer(linked, link)
    with clients(service, linked.folder):
        service.send(number)
        service.gone()
    link.limit(None)
    linked.serve()
    linked.all_arrived()


def test_a_service_that_is_still_starting_is_gone_at_once(linked: Site, link: Link) -> None:
    link.hold()
    service = linked.launch()
    until(lambda: len(service.processes()) > 1, within=30, what="it has children")
    service.stop()


def test_no_child_outlives_its_parent(linked: Site, link: Link) -> None:
    service = in_mid_transfer(linked, link)
    with clients(service, linked.folder):
        service.crash()


def test_a_stopped_child_does_not_hold_up_the_end(site: Site) -> None:
    service = site.serve()
    for actor in service.actors().values():
        os.kill(actor.pid, signal.SIGSTOP)
    service.stop()
