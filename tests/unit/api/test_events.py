"""The status as server-sent events: at once, once a second, and nothing when nobody listens."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import Any

from nfsw.supervisor.status import Status
from tests.support.memory_service import BUSY, MemoryService
from tests.support.serving import served


@contextmanager
def listening(url: str) -> Iterator[HTTPResponse]:
    connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
    connection.request("GET", "/v1/watch/events")
    try:
        yield connection.getresponse()
    finally:
        connection.close()


def next_event(stream: HTTPResponse) -> tuple[str, Any]:
    name, data, end = stream.readline(), stream.readline(), stream.readline()
    assert end == b"\n"
    return name.removeprefix(b"event: ").decode().strip(), json.loads(data.removeprefix(b"data: "))


def next_status(stream: HTTPResponse) -> Any:
    while True:
        name, data = next_event(stream)
        if name == "status":
            return data


def next_but_throughput(stream: HTTPResponse) -> tuple[str, Any]:
    """Of which there is news every five seconds, whenever that is."""
    while (event := next_event(stream))[0] == "throughput":
        pass
    return event


def test_a_new_listener_hears_everything_at_once(service: MemoryService, url: str) -> None:
    service.now, service.limit = BUSY, 2_097_152
    with listening(url) as stream:
        assert stream.headers.get_content_type() == "text/event-stream"
        assert stream.headers["Cache-Control"] == "no-store"
        events = dict(next_event(stream) for _ in range(3))
    assert events["limits"] == {"upload_bytes_per_s": 2_097_152}
    assert events["throughput"]["step_s"] == 5
    assert not any(events["throughput"]["bytes_per_s"])  # one empty step may have passed since the service began
    assert events["status"]["session"]["name"] == "s1"


def test_the_status_comes_again_even_when_nothing_changed_and_the_limits_only_when_they_did(service: MemoryService, url: str) -> None:
    with listening(url) as stream:
        next_status(stream)
        assert next_but_throughput(stream)[0] == "status"
        service.limit = 7
        assert ("limits", {"upload_bytes_per_s": 7}) in [next_but_throughput(stream), next_but_throughput(stream)]
        service.now = BUSY
        assert any(next_status(stream)["session"] for _ in range(2))


def test_every_listener_hears_every_status(service: MemoryService, url: str) -> None:
    service.now = BUSY
    with listening(url) as one, listening(url) as other:
        assert next_status(one) == next_status(other)


def test_nobody_asks_for_a_status_when_nobody_listens() -> None:
    asked: list[None] = []

    class Counting(MemoryService):
        def status(self) -> Status:
            asked.append(None)
            return super().status()

    with served(Counting()) as url:
        with listening(url) as stream:
            next_status(stream)
            next_status(stream)
        heard = len(asked)
        with listening(url) as stream:  # the one that left is gone: two statuses are two, not four
            next_status(stream)
            next_status(stream)
        assert len(asked) - heard <= 4
