"""JSON back to the status that it was made of."""

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from nfsw.api.answers import encode
from nfsw.client.decoding import Undecodable, decode
from nfsw.supervisor.status import Status
from tests.support.memory_service import ACTIVE, BUSY, HUNG, IDLE


def as_json(status: Status) -> Any:
    return json.loads(encode(status))


@pytest.mark.parametrize("status", [IDLE, ACTIVE, HUNG], ids=["idle", "active", "hung"])
def test_what_the_service_encodes_comes_back_but_for_fractions_of_a_second_and_broken_names(status: Status) -> None:
    if status.session is not None:
        started = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
        status = dataclasses.replace(status, session=dataclasses.replace(status.session, started_at=started), refused=())
    assert decode(Status, as_json(status)) == status


def test_fields_of_a_later_version_are_passed_over() -> None:
    answer = as_json(IDLE) | {"mood": "good"}
    answer["files"]["dreamt_of"] = 7
    assert decode(Status, answer) == IDLE


def test_a_number_without_a_fraction_is_a_float_where_one_is_due() -> None:
    answer = as_json(BUSY)
    answer["in_flight"][0]["rate"] = 3
    rate = decode(Status, answer).in_flight[0].rate
    assert (rate, type(rate)) == (3.0, float)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("files", "queued"), "3"),
        (("files", "queued"), True),
        (("files", "queued"), None),
        (("session", "started_at"), "yesterday"),
        (("session", "state"), "dreaming"),
        (("session", "resumed"), 0),
        (("in_flight",), {}),
        (("waiting_for",), [1]),
    ],
)
def test_what_is_of_another_type_is_told_with_its_place(place: tuple[str, ...], value: object) -> None:
    answer = as_json(BUSY)
    inner = answer
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    with pytest.raises(Undecodable, match=place[-1]):
        decode(Status, answer)


def test_what_is_missing_is_told() -> None:
    answer = as_json(BUSY)
    del answer["uploads"]
    with pytest.raises(Undecodable, match="the answer has no 'uploads'"):
        decode(Status, answer)


@pytest.mark.parametrize("answer", [None, [], "status", 7, {}], ids=repr)
def test_what_is_no_status_at_all_is_told(answer: object) -> None:
    with pytest.raises(Undecodable):
        decode(Status, answer)
