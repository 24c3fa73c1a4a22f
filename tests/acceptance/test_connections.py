"""Clients that open connections and send no request, in a service that may have few descriptors: probes are answered, files go on."""

import os
import resource
import signal
import socket
from contextlib import ExitStack

import pytest

from tests.support.content import some_bytes
from tests.support.figures import Figure
from tests.support.http import raw_call
from tests.support.logs import TROUBLE
from tests.support.midway import replaced
from tests.support.site import Site

DESCRIPTORS = 128
HALF_OPEN = 500


@pytest.mark.slow
def test_five_hundred_half_open_connections_and_128_descriptors_leave_the_service_at_work(site: Site, figure: Figure) -> None:
    service = site.launch()
    resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))  # as `ulimit -n` before it was started
    service.ready()
    service.start_session("s")
    with ExitStack() as held:
        for number in range(HALF_OPEN):
            connection = held.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=10))
            if number % 2:
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHo")
        seconds = sorted(service.call("GET", "/healthz").seconds for _ in range(100))
        assert service.call("GET", "/healthz").status == 200

        claimer = service.actors()["claimer"]
        os.kill(claimer.pid, signal.SIGKILL)
        replaced(service, claimer)
        site.write("s", "a.bin", some_bytes(1, 100_000))
        site.all_arrived()
    said = [line["message"] for line in service.log() if line["level"] in TROUBLE]
    assert len(said) <= 5, said[:20]
    figure(
        "/healthz with 500 half-open connections and 128 descriptors, ms: median, longest",
        f"{seconds[50] * 1e3:.0f}, {seconds[-1] * 1e3:.0f}",
    )


def test_three_hundred_bad_requests_are_one_warning(site: Site) -> None:
    service = site.serve()
    for _ in range(300):
        assert raw_call(service.port, b"nonsense\r\n\r\n").status == 400
    warnings = [line for line in service.log() if line["level"] == "WARNING"]
    assert len(warnings) == 1, warnings[:3]
