"""HEAD is answered wherever GET is, with the same headers and no body."""

from http.client import HTTPConnection

import pytest

from tests.support.memory_service import MemoryService


def headers(url: str, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, {name: value for name, value in response.getheaders() if name != "date"}, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/openapi.json", "/healthz", "/readyz", "/v1/watch/status", "/v1/watch/history", "/v1/limits"]
)
def test_head_has_the_headers_of_get_and_no_body(url: str, path: str) -> None:
    status, got, body = headers(url, "GET", path)
    assert (status, bool(body)) == (200, True)
    assert headers(url, "HEAD", path) == (200, got, b"")


def test_head_of_a_probe_says_what_get_says(service: MemoryService, url: str) -> None:
    service.sickness = service.unreadiness = "it is sick"
    for path in ("/healthz", "/readyz"):
        assert headers(url, "HEAD", path)[::2] == (503, b"")


def test_head_of_the_events_ends(url: str) -> None:
    status, got, body = headers(url, "HEAD", "/v1/watch/events")
    assert (status, got["content-type"], body) == (200, "text/event-stream; charset=utf-8", b"")


def test_head_of_what_has_no_get_is_405(url: str) -> None:
    assert headers(url, "HEAD", "/v1/watch/start")[0] == 405
    assert headers(url, "HEAD", "/nothing")[0] == 404
