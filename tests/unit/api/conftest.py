"""The application on a real socket, in a thread and in real time, over a service in memory that each test sets up as it needs."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.http import NOTHING, Answer, call
from tests.support.memory_service import MemoryService
from tests.support.serving import served

type Ask = Callable[..., Answer]


@pytest.fixture(scope="session")
def _server() -> Iterator[tuple[MemoryService, str]]:
    service = MemoryService()
    with served(service) as url:
        yield service, url


@pytest.fixture
def service(_server: tuple[MemoryService, str]) -> MemoryService:
    """As new: one server for all tests, each of which sets up the service behind it."""
    service, _ = _server
    vars(service).update(vars(MemoryService()))
    return service


@pytest.fixture
def url(service: MemoryService, _server: tuple[MemoryService, str]) -> str:
    return _server[1]


@pytest.fixture
def ask(url: str) -> Ask:
    port = int(url.rpartition(":")[2])

    def ask(method: str, path: str, body: object = NOTHING) -> Answer:
        return call(port, method, path, body)

    return ask
