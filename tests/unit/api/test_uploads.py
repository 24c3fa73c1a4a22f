"""The limit of the uplink, pause and resume."""

import pytest

from tests.support.memory_service import MemoryService
from tests.unit.api.conftest import Ask


def test_without_a_limit_it_is_null(ask: Ask) -> None:
    answer = ask("GET", "/v1/limits")
    assert (answer.status, answer.json()) == (200, {"upload_bytes_per_s": None})


@pytest.mark.parametrize("rate", [1, 2_097_152, 2_097_152.0, 2**53 - 1, None])
def test_a_limit_is_kept(service: MemoryService, ask: Ask, rate: float | None) -> None:
    answer = ask("PUT", "/v1/limits", {"upload_bytes_per_s": rate})
    assert (answer.status, answer.json()) == (200, {"upload_bytes_per_s": rate})
    assert service.limit == rate
    assert ask("GET", "/v1/limits").json() == answer.json()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        {},
        {"upload_bytes_per_s": 0},
        {"upload_bytes_per_s": -1},
        {"upload_bytes_per_s": 2**53},
        {"upload_bytes_per_s": 1.5},
        {"upload_bytes_per_s": "2097152"},
        {"upload_bytes_per_s": True},
        {"upload_bytes_per_s": 1, "download_bytes_per_s": 1},
        b'{"upload_bytes_per_s": NaN}',
        b'{"upload_bytes_per_s": 1e400}',
    ],
    ids=repr,
)
def test_what_is_no_limit_is_refused_and_changes_nothing(service: MemoryService, ask: Ask, body: object) -> None:
    service.limit = 1000
    answer = ask("PUT", "/v1/limits", body)
    assert answer.status == 400
    assert answer.detail
    assert service.limit == 1000


def test_pause_and_resume_answer_the_status(ask: Ask) -> None:
    for path, state in (("pause", "paused"), ("pause", "paused"), ("resume", "running"), ("resume", "running")):
        answer = ask("POST", f"/v1/uploads/{path}")
        assert (answer.status, answer.json()["uploads"]) == (200, state)
