"""The REST API, call after call: sessions that start, stop and follow one another, and an OpenAPI document that is true of the answers.

test_contract.py has each call with each answer.
"""

import re
from collections.abc import Iterator

import pytest

from tests.support.http import PROBLEM, Answer
from tests.support.service import Service
from tests.support.shape import check_status
from tests.support.site import Site
from tests.support.waiting import until

UUID7 = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
GOOD_NAMES = ("a", "A-Z_a.z-0", "0", "-", "_", "a..b", "x" * 128)
BAD_NAMES = ("", ".", "..", ".hidden", "dot.", "a/b", "../a", "a\\b", "a b", "a\n", "\u00fc", "a%2fb", "a\0b", "x" * 129)
BAD_BODIES: tuple[object, ...] = (b"{", b"\xff\xfe", b"nonsense", [], "s1", 7, {"session": 7}, {"session": ["a"]}, {"session": {}})


@pytest.fixture(scope="module")
def service(module_site: Site) -> Service:
    """One for all tests here; each leaves it without a session."""
    return module_site.serve()


@pytest.fixture(autouse=True)
def no_session_is_left(service: Service) -> Iterator[None]:
    yield
    stop(service)


def stop(service: Service) -> None:
    service.call("POST", "/v1/watch/stop")
    until(lambda: service.status()["session"] is None, within=20, what="the session has ended")


def start(service: Service, body: object) -> Answer:
    return service.call("POST", "/v1/watch/start", body)


def test_a_session_starts_under_the_name_given(service: Service) -> None:
    answer = start(service, {"session": "s1"})
    assert answer.status == 201
    session = check_status(answer.json())["session"]
    assert (session["name"], session["state"], session["resumed"]) == ("s1", "active", False)
    assert service.status()["session"] == session


def test_without_a_body_a_session_gets_a_name_of_its_own(service: Service) -> None:
    names = set()
    for _ in range(2):
        answer = service.call("POST", "/v1/watch/start")
        assert answer.status == 201
        names.add(answer.json()["session"]["name"])
        stop(service)
    assert len(names) == 2
    assert all(re.fullmatch(f"00-session-{UUID7}", name) for name in names), names


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_a_good_name_is_taken(service: Service, name: str) -> None:
    assert start(service, {"session": name}).json()["session"]["name"] == name


@pytest.mark.parametrize("name", BAD_NAMES, ids=repr)
def test_a_bad_name_is_400(service: Service, name: str) -> None:
    answer = start(service, {"session": name})
    assert answer.status == 400
    assert answer.detail
    assert service.status()["session"] is None


@pytest.mark.parametrize("body", BAD_BODIES, ids=repr)
def test_a_bad_body_is_400(service: Service, body: object) -> None:
    answer = start(service, body)
    assert answer.status == 400
    assert answer.detail
    assert service.status()["session"] is None


def test_a_second_start_is_409_and_names_the_session(service: Service) -> None:
    service.start_session("first")
    for again in ("second", "first"):
        answer = start(service, {"session": again})
        assert answer.status == 409
        assert "first" in answer.detail
    assert service.status()["session"]["name"] == "first"


def test_stop_answers_with_the_status(service: Service) -> None:
    service.start_session("s1")
    answer = service.call("POST", "/v1/watch/stop")
    assert answer.status == 200
    check_status(answer.json())


def test_a_session_can_follow_another_and_come_again(service: Service) -> None:
    for name in ("one", "two", "one"):
        assert service.start_session(name)["session"]["name"] == name
        stop(service)


def test_every_actor_is_in_the_status(service: Service) -> None:
    actors = service.actors()
    assert {"scanner", "claimer", "uploader", "collector"} <= actors.keys()
    assert {actor.state for actor in actors.values()} == {"running"}
    assert {actor.pid for actor in actors.values()} <= {process.pid for process in service.processes()}


def test_the_openapi_document_is_true_for_every_answer(service: Service) -> None:
    document = service.call("GET", "/openapi.json").json()
    answers = [
        ("post", "/v1/watch/stop", service.call("POST", "/v1/watch/stop")),
        ("post", "/v1/watch/start", start(service, {"session": ".."})),
        ("post", "/v1/watch/start", start(service, {"session": "s1"})),
        ("post", "/v1/watch/start", start(service, {"session": "s1"})),
        ("get", "/v1/watch/status", service.call("GET", "/v1/watch/status")),
        ("post", "/v1/watch/stop", service.call("POST", "/v1/watch/stop")),
        ("get", "/healthz", service.call("GET", "/healthz")),
        ("get", "/readyz", service.call("GET", "/readyz")),
        ("get", "/", service.call("GET", "/")),
    ]
    assert [answer.status for _, _, answer in answers] == [409, 400, 201, 409, 200, 200, 200, 200, 200]
    for method, path, answer in answers:
        declared = document["paths"][path][method]["responses"]
        assert answer.content_type in declared[str(answer.status)]["content"], (method, path, answer)
        assert "422" not in declared, f"{method} {path} never answers 422"


def test_the_openapi_document_has_the_answers_of_a_bad_day(service: Service) -> None:
    paths = service.call("GET", "/openapi.json").json()["paths"]
    for method, path, status in (("get", "/healthz", "503"), ("get", "/readyz", "503"), ("post", "/v1/watch/start", "409")):
        assert PROBLEM in paths[path][method]["responses"][status]["content"], (path, status)
