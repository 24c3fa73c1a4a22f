"""The OpenAPI document is true: what schemathesis makes of it finds nothing, and nothing that is answered is left out."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from openapi_spec_validator import validate
from schemathesis.checks import not_a_server_error

from nfsw.actors.names import bad_session_name
from nfsw.api.app import create_app
from nfsw.supervisor.service import NfsSilent
from tests.support.memory_service import ACTIVE, BUSY, MemoryService
from tests.support.serving import served

SILENT = MemoryService(ACTIVE, refuses=NfsSilent("mkdir has not come back for 10 s"), sickness="it is sick", unreadiness="it hangs")
document: dict[str, Any] = create_app(MemoryService()).openapi()
schema = schemathesis.openapi.from_dict(document)


@pytest.fixture(scope="module", params=[MemoryService(), MemoryService(BUSY), SILENT], ids=["idle", "busy", "silent"])
def base_url(request: pytest.FixtureRequest) -> Iterator[str]:
    with served(request.param) as url:
        yield url


@schema.parametrize()
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_gets_an_answer_that_is_not_documented(case: schemathesis.Case[Any], base_url: str) -> None:
    response = case.call(base_url=base_url)
    assert response.status_code != 500
    # 503 is an answer with a meaning here, and documented where it may come.
    case.validate_response(response, excluded_checks=[not_a_server_error] if response.status_code == 503 else [])


def test_the_document_is_valid() -> None:
    validate(document)


def test_422_is_nowhere() -> None:
    assert "422" not in str(document)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_error_is_a_problem() -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                if HTTPStatus(int(status)).is_client_error or HTTPStatus(int(status)).is_server_error:
                    assert list(answer["content"]) == ["application/problem+json"], (path, method, status)


@pytest.mark.parametrize(
    ("call", "statuses"),
    [
        ("post /v1/watch/start", {201, 403, 408, 409, 413, 503}),
        ("post /v1/watch/stop", {200, 403, 409, 503}),
        ("post /v1/watch/abandon", {200, 403, 404, 408, 409, 413, 503}),
        ("get /v1/watch/status", {200}),
        ("get /v1/watch/history", {200}),
        ("get /v1/limits", {200}),
        ("put /v1/limits", {200, 403, 408, 413}),
        ("post /v1/uploads/pause", {200, 403}),
        ("post /v1/uploads/resume", {200, 403}),
        ("get /healthz", {200, 503}),
        ("get /readyz", {200, 503}),
        ("get /", {200}),
        ("get /docs", {200}),
    ],
)
def test_each_call_has_the_statuses_that_it_answers(call: str, statuses: set[int]) -> None:
    method, path = call.split()
    assert {int(status) for status in document["paths"][path][method]["responses"]} == statuses | {400, 421, 500}


def test_the_pattern_for_session_names_is_the_rule() -> None:
    name = document["components"]["schemas"]["Start"]["properties"]["session"]
    pattern = re.compile(name["anyOf"][0]["pattern"].replace("$", r"\Z"))
    for candidate in ("", ".", "..", ".a", "a.", "a", "a.b", "-", "_", "A0", "a..b", "x" * 128, "x" * 129, "ü", "a\n", "a/b", " "):
        assert bool(pattern.search(candidate)) == (bad_session_name(candidate) is None), candidate
