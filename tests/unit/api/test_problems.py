"""Every error is problem+json, those that the router makes too."""

from http.client import HTTPConnection

import pytest

from nfsw.supervisor.status import Status
from tests.support.http import call
from tests.support.memory_service import MemoryService
from tests.support.serving import served
from tests.unit.api.conftest import Ask


@pytest.mark.parametrize("path", ["/nothing", "/v1", "/v1/watch/status/", "/healthz/", "/redoc", "/%0d%0aX-Evil:%201", "/%ff"])
def test_a_path_that_is_not_there_is_404(ask: Ask, path: str) -> None:
    answer = ask("GET", path)
    assert answer.status == 404
    assert answer.detail


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/watch/start", "POST"),
        ("DELETE", "/v1/limits", "GET, HEAD, PUT"),
        ("POST", "/healthz", "GET, HEAD"),
        ("BREW", "/v1/watch/status", "GET, HEAD"),
        ("POST", "/v1/watch/events", "GET, HEAD"),
    ],
)
def test_a_method_that_a_path_does_not_take_is_405_and_all_that_it_takes_are_named(url: str, method: str, path: str, allow: str) -> None:
    connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
    connection.request(method, path)
    response = connection.getresponse()
    assert (response.status, response.headers["Allow"]) == (405, allow)
    assert response.headers.get_content_type() == "application/problem+json"
    connection.close()


def test_a_defect_of_the_service_is_500_without_its_secrets() -> None:
    class Broken(MemoryService):
        async def pause_uploads(self) -> Status:
            raise RuntimeError("AccountKey=c2VjcmV0")

    with served(Broken()) as url:
        answer = call(int(url.rpartition(":")[2]), "POST", "/v1/uploads/pause")
    assert answer.status == 500
    assert answer.detail
    assert b"AccountKey" not in answer.body
