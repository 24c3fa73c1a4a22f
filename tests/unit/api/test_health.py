"""The probes say at once what the supervisor concluded."""

import pytest

from tests.support.memory_service import MemoryService
from tests.unit.api.conftest import Ask


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_probe_says_ok_when_all_is_well(ask: Ask, path: str) -> None:
    answer = ask("GET", path)
    assert (answer.status, answer.json()) == (200, {"status": "ok"})


def test_a_sick_service_says_why(service: MemoryService, ask: Ask) -> None:
    service.sickness = "scanner died 6 times within 60 s"
    answer = ask("GET", "/healthz")
    assert (answer.status, answer.detail) == (503, "scanner died 6 times within 60 s")
    assert ask("GET", "/readyz").status == 200


def test_a_service_that_is_not_ready_says_why_and_is_alive(service: MemoryService, ask: Ask) -> None:
    service.unreadiness = "claimer has waited in open incoming/s1/caf\udce9.bin for 42 s"
    answer = ask("GET", "/readyz")
    assert (answer.status, answer.detail) == (503, "claimer has waited in open incoming/s1/caf\\xe9.bin for 42 s")
    assert ask("GET", "/healthz").status == 200
