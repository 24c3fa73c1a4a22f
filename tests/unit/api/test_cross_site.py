"""A page of another site, in a browser that can reach the service, can neither change anything nor read anything."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.http import Answer, raw_call
from tests.support.memory_service import MemoryService
from tests.support.serving import served

type Send = Callable[..., Answer]

UNSAFE = (
    ("POST", "/v1/watch/start"),
    ("POST", "/v1/watch/stop"),
    ("POST", "/v1/uploads/pause"),
    ("POST", "/v1/uploads/resume"),
    ("PUT", "/v1/limits"),
)
SAFE = ("/", "/docs", "/openapi.json", "/healthz", "/readyz", "/v1/watch/status", "/v1/limits")


@pytest.fixture(scope="module")
def _server() -> Iterator[tuple[MemoryService, int]]:
    service = MemoryService()
    with served(service, hosts=("pod-7", "Nfsw.Nfsw.svc")) as url:
        yield service, int(url.rpartition(":")[2])


@pytest.fixture
def service(_server: tuple[MemoryService, int]) -> MemoryService:
    service, _ = _server
    vars(service).update(vars(MemoryService()))
    return service


@pytest.fixture
def send(service: MemoryService, _server: tuple[MemoryService, int]) -> Send:
    _, port = _server

    def send(method: str, path: str, *headers: str, host: str | None = f"127.0.0.1:{port}", version: str = "1.1") -> Answer:
        lines = [f"{method} {path} HTTP/{version}", *([] if host is None else [f"Host: {host}"]), *headers, "Connection: close", "", ""]
        return raw_call(port, "\r\n".join(lines).encode())

    return send


@pytest.mark.parametrize(("method", "path"), UNSAFE)
@pytest.mark.parametrize(
    "headers",
    [
        ("Origin: http://evil.example",),
        ("Origin: null",),
        ("Origin: http://127.0.0.1",),  # another port is another origin
        ("Origin: http://127.0.0.1:1",),
        ("Origin: nonsense",),
        ("Origin:",),
        ("Sec-Fetch-Site: cross-site",),
        ("Sec-Fetch-Site: same-site",),
        ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Origin: null"),
        ("Sec-Fetch-Site: none", "Origin: http://evil.example"),
        ("Sec-Fetch-Site: something-new",),
    ],
    ids=", ".join,
)
def test_what_a_page_of_another_origin_sends_changes_nothing(
    service: MemoryService, send: Send, method: str, path: str, headers: tuple[str, ...]
) -> None:
    before = dict(vars(service))
    answer = send(method, path, *headers)
    assert answer.status == 403
    assert "another origin" in answer.detail
    assert vars(service) == before


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("127.0.0.1:8000", ()),  # curl, and the command line
        ("127.0.0.1:8000", ("Origin: http://127.0.0.1:8000",)),
        ("localhost", ("Origin: http://localhost",)),
        ("localhost:80", ("Origin: http://localhost",)),
        ("pod-7", ("Origin: https://pod-7",)),  # TLS ends in front of the service
        ("pod-7:443", ("Origin: https://POD-7",)),
        ("[::1]:8000", ("Origin: http://[::1]:8000",)),
        ("127.0.0.1:8000", ("Sec-Fetch-Site: same-origin", "Origin: http://127.0.0.1:8000")),
        ("127.0.0.1:8000", ("Sec-Fetch-Site: same-origin", "Origin: https://box.example")),  # a proxy that changes the Host
        ("127.0.0.1:8000", ("Sec-Fetch-Site: none",)),
    ],
)
def test_what_our_own_page_or_a_program_sends_is_taken(service: MemoryService, send: Send, host: str, headers: tuple[str, ...]) -> None:
    answer = send("POST", "/v1/uploads/pause", *headers, host=host)
    assert answer.status == 200
    assert service.now.uploads == "paused"


@pytest.mark.parametrize("path", SAFE)
def test_what_only_reads_may_be_linked_from_anywhere(send: Send, path: str) -> None:
    assert send("GET", path, "Sec-Fetch-Site: cross-site", "Origin: http://evil.example").status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "xlocalhost",
        "pod-70",
        "0x7f.1",
        "::1",
        "a b",
        "",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/watch/status"), ("GET", "/healthz"), ("GET", "/"), ("POST", "/v1/uploads/pause")]
)
def test_a_name_that_is_not_ours_is_misdirected(service: MemoryService, send: Send, host: str, method: str, path: str) -> None:
    answer = send(method, path, host=host)
    assert answer.status == 421
    assert "APP_ALLOWED_HOSTS" in answer.detail
    assert service.now.uploads == "running"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:8000",
        "10.42.0.17:8000",  # the pod's address: what the kubelet's probes say
        "[::1]",
        "[fd00::17]:8000",
        "[fe80::1%25eth0]:8000",
        "localhost",
        "localhost:18000",
        "LocalHost.",
        "pod-7",
        "POD-7:8000",
        "nfsw.nfsw.svc:8000",
    ],
)
def test_addresses_localhost_and_our_names_are_ours_with_any_port(send: Send, host: str) -> None:
    assert send("GET", "/healthz", host=host).status == 200


def test_a_client_of_http_1_0_need_not_name_a_host(send: Send) -> None:
    assert send("GET", "/healthz", host=None, version="1.0").status == 200
    assert send("POST", "/v1/uploads/pause", host=None, version="1.0").status == 200
    assert send("POST", "/v1/uploads/pause", "Origin: http://evil.example", host=None, version="1.0").status == 403


def test_a_misdirected_request_is_that_whatever_else_is_wrong_with_it(send: Send) -> None:
    assert send("POST", "/v1/nothing", "Origin: http://evil.example", host="evil.example").status == 421
