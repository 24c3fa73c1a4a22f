"""The status as server-sent events: at once, once a second, and nothing when nobody listens."""

import asyncio
import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest

from nfsw.api.stream import LISTED, Feed
from nfsw.supervisor.status import RefusedFile, Status
from nfsw.supervisor.throughput import ThroughputHistory
from tests.support.faketime import clock
from tests.support.memory_service import BUSY, MemoryService, in_flight
from tests.support.serving import served


class Counting(MemoryService):
    """Counts how often it is asked."""

    asked = 0

    def status(self) -> Status:
        self.asked += 1
        return super().status()


@pytest.fixture
def service() -> Counting:
    return Counting()


@pytest.fixture
def url(service: Counting) -> Iterator[str]:
    with served(service) as url:
        yield url


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


def test_a_new_listener_hears_everything_at_once(service: MemoryService, url: str) -> None:
    service.now, service.limit, service.sent = BUSY, 2_097_152, ThroughputHistory(5, (7,))
    with listening(url) as stream:
        assert stream.headers.get_content_type() == "text/event-stream"
        assert stream.headers["Cache-Control"] == "no-store"
        events = dict(next_event(stream) for _ in range(3))
    assert events["limits"] == {"upload_bytes_per_s": 2_097_152}
    assert events["throughput"]["step_s"] == 5
    assert events["throughput"]["bytes_per_s"] == [7]
    assert events["status"]["session"]["name"] == "s1"


def test_the_status_comes_again_even_when_nothing_changed_and_the_limits_only_when_they_did(service: MemoryService, url: str) -> None:
    with listening(url) as stream:
        next_status(stream)
        assert next_event(stream)[0] == "status"
        service.limit = 7
        assert ("limits", {"upload_bytes_per_s": 7}) in [next_event(stream), next_event(stream)]
        service.now = BUSY
        assert any(next_status(stream)["session"] for _ in range(2))


def test_every_listener_hears_every_status(service: MemoryService, url: str) -> None:
    service.now = BUSY
    with listening(url) as one, listening(url) as other:
        assert next_status(one) == next_status(other)


def test_nobody_asks_for_a_status_when_nobody_listens(service: Counting, url: str) -> None:
    with listening(url) as stream:
        next_status(stream)
        next_status(stream)
    heard = service.asked
    with listening(url) as stream:  # the one that left is gone: two statuses are two, not four
        next_status(stream)
        next_status(stream)
    assert service.asked - heard <= 3


async def test_a_status_is_encoded_once_a_second_however_many_listen_and_whenever_they_came(service: Counting) -> None:
    feed = Feed(service)
    heard = [0, 0, 0]

    async def listen(number: int) -> None:
        await asyncio.sleep(0.3 * number)
        async for said in feed.stream():
            assert said.count(b"event: status") == 1
            assert said.count(b"event: limits") == (0 if heard[number] else 1)
            heard[number] += 1

    listeners = [asyncio.create_task(listen(number)) for number in range(3)]
    await asyncio.sleep(9.5)
    assert heard == [10, 10, 10], "those who came later got the latest one at once"
    assert service.asked == 10
    for listener in listeners:
        listener.cancel()


async def test_a_listener_who_was_slow_goes_on_with_the_latest_status(service: Counting) -> None:
    feed = Feed(service)
    stream = feed.stream()
    await anext(stream)
    await asyncio.sleep(60)
    service.now = BUSY
    assert b'"name":"s1"' in await anext(stream)
    assert clock().passed < 61


async def test_an_event_lists_as_many_files_as_the_page_shows_and_counts_the_others(service: Counting) -> None:
    files = tuple(in_flight(f"{number}.bin") for number in range(1000))
    refused = tuple(RefusedFile(f"{number}.bin", "s1", "no") for number in range(1000))
    service.now = dataclasses.replace(BUSY, in_flight=files, refused=refused)
    [data] = [line for line in (await anext(Feed(service).stream())).split(b"\n") if b'"session"' in line]
    status = json.loads(data.removeprefix(b"data: "))
    assert len(status["in_flight"]) == len(status["refused"]) == LISTED
    assert (status["files"]["uploading"], status["files"]["refused"]) == (4, 2)
