"""What others rely on, as a list to be ticked off from outside: each call with each answer that it can be made to give."""

import json
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.support.http import PROBLEM, Answer, raw_call
from tests.support.service import Service, run_nfsw
from tests.support.shape import check_status
from tests.support.site import Site
from tests.support.waiting import until

JSON = "application/json"
HTML = "text/html"
EVENT_STREAM = "text/event-stream"
START, STOP, STATUS, EVENTS = "/v1/watch/start", "/v1/watch/stop", "/v1/watch/status", "/v1/watch/events"
ABANDON = "/v1/watch/abandon"
LIMITS, PAUSE, RESUME = "/v1/limits", "/v1/uploads/pause", "/v1/uploads/resume"
HISTORY = "/v1/watch/history"
GETS = (STATUS, HISTORY, LIMITS, "/healthz", "/readyz", "/", "/docs", "/openapi.json")
UNSAFE = (("POST", START), ("POST", STOP), ("POST", ABANDON), ("PUT", LIMITS), ("POST", PAUSE), ("POST", RESUME))
FORM = "application/x-www-form-urlencoded"
LARGE = json.dumps({"session": "x" * 70_000})


@pytest.fixture(scope="module")
def service(module_site: Site) -> Service:
    return module_site.serve(APP_ALLOWED_HOSTS="nfsw, nfsw.site.example", APP_POD_NAME="pod-7")


def send(service: Service, method: str, path: str, body: str = "", **headers: str) -> Answer:
    connection = HTTPConnection("127.0.0.1", service.port, timeout=10)
    try:
        connection.request(method, path, body.encode() or None, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return Answer(response.status, response.headers.get_content_type(), response.read(), 0.0)
    finally:
        connection.close()


@pytest.mark.parametrize("path", GETS)
def test_every_page_and_every_fact_can_be_read(service: Service, path: str) -> None:
    answer = send(service, "GET", path)
    assert (answer.status, answer.content_type) == (200, HTML if path in {"/", "/docs"} else JSON)
    assert answer.body


@pytest.mark.parametrize("path", [*GETS, EVENTS])
def test_head_answers_where_get_does(service: Service, path: str) -> None:
    answer = send(service, "HEAD", path)
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path", "body", "content_type", "status"),
    [
        ("POST", STOP, "", "", 409),
        ("POST", START, "{", JSON, 400),
        ("POST", START, '{"session": "a/b"}', JSON, 400),
        ("POST", START, '{"session": ".."}', JSON, 400),
        ("POST", START, '{"session": ""}', JSON, 400),
        ("POST", START, '{"session": "s", "more": 1}', JSON, 400),
        ("POST", START, '{"session": "s"}', "text/plain", 400),
        ("POST", START, '{"session": "s"}', FORM, 400),
        ("POST", START, LARGE, JSON, 413),
        ("POST", ABANDON, "", "", 400),
        ("POST", ABANDON, '{"session": "s"}', JSON, 400),
        ("POST", ABANDON, '{"session": "s", "file": ""}', JSON, 400),
        ("POST", ABANDON, '{"session": "s", "file": "a", "date": "today"}', JSON, 400),
        ("POST", ABANDON, '{"session": "s", "file": "a"}', JSON, 409),
        ("PUT", LIMITS, "{}", JSON, 400),
        ("PUT", LIMITS, '{"upload_bytes_per_s": 0}', JSON, 400),
        ("PUT", LIMITS, '{"upload_bytes_per_s": null}', "text/plain", 400),
        ("GET", "/v1/nothing", "", "", 404),
        ("GET", START, "", "", 405),
        ("DELETE", STATUS, "", "", 405),
        ("POST", "/healthz", "", "", 405),
    ],
)
def test_what_cannot_be_done_is_a_problem(service: Service, method: str, path: str, body: str, content_type: str, status: int) -> None:
    answer = send(service, method, path, body, **({"Content_Type": content_type} if content_type else {}))
    assert answer.status == status
    assert answer.detail
    assert service.status()["session"] is None


@pytest.mark.parametrize(("method", "path"), UNSAFE)
@pytest.mark.parametrize("header", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}], ids=str)
def test_a_page_of_another_origin_changes_nothing(service: Service, method: str, path: str, header: dict[str, str]) -> None:
    answer = send(service, method, path, **header)
    assert answer.status == 403
    assert answer.detail
    status = service.status()
    assert (status["session"], status["uploads"]) == (None, "running")


def test_a_page_of_our_own_origin_does(service: Service) -> None:
    assert send(service, "POST", PAUSE, Origin=service.url, Sec_Fetch_Site="same-origin").json()["uploads"] == "paused"
    assert send(service, "POST", RESUME, Origin=service.url).json()["uploads"] == "running"


@pytest.mark.parametrize("host", ["evil.example", "nfsw.evil.example", "pod-8"])
def test_a_host_that_is_not_ours_is_421(service: Service, host: str) -> None:
    for method, path in [*UNSAFE, *(("GET", path) for path in (*GETS, EVENTS))]:
        answer = send(service, method, path, Host=host)
        assert (answer.status, answer.content_type) == (421, PROBLEM), (method, path)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.42.0.3:8000", "[::1]:8000", "localhost", "pod-7", "nfsw:80", "NFSW.site.example"])
def test_a_host_that_is_ours_is_answered(service: Service, host: str) -> None:
    assert send(service, "GET", "/healthz", Host=host).status == 200


def test_what_is_not_http_is_a_problem_too(service: Service) -> None:
    assert raw_call(service.port, b"nonsense\r\n\r\n").detail


def test_the_limit_is_read_and_set(service: Service) -> None:
    for rate in (1_000_000, None):
        answer = send(service, "PUT", LIMITS, json.dumps({"upload_bytes_per_s": rate}), Content_Type=JSON)
        assert (answer.status, answer.json()) == (200, {"upload_bytes_per_s": rate})
        assert send(service, "GET", LIMITS).json() == {"upload_bytes_per_s": rate}


def test_the_events_are_a_stream_of_the_status(service: Service) -> None:
    connection = HTTPConnection("127.0.0.1", service.port, timeout=10)
    connection.request("GET", EVENTS)
    response = connection.getresponse()
    assert (response.status, response.headers.get_content_type()) == (200, EVENT_STREAM)
    while response.readline() != b"event: status\n":
        pass
    check_status(json.loads(response.readline().removeprefix(b"data: ")))
    connection.close()


def test_a_session_from_start_to_end(service: Service) -> None:
    started = send(service, "POST", START, '{"session": "s1"}', Content_Type=JSON)
    assert started.status == 201
    assert check_status(started.json())["session"]["name"] == "s1"
    again = send(service, "POST", START)
    assert (again.status, "s1" in again.detail) == (409, True)
    stopped = send(service, "POST", STOP)
    assert stopped.status == 200
    check_status(stopped.json())
    until(lambda: service.status()["session"] is None, within=20, what="the session has ended")


def test_every_answer_that_was_given_here_is_in_the_openapi_document(service: Service) -> None:
    paths = json.loads(send(service, "GET", "/openapi.json").body)["paths"]
    for method, path in (*UNSAFE, *(("GET", path) for path in GETS if path != "/openapi.json")):
        declared = paths[path][method.lower()]["responses"]
        assert {"400", "421"} <= declared.keys(), (method, path)
        assert ("403" in declared) == (method != "GET"), (method, path)
        for status, answer in declared.items():
            assert (PROBLEM in answer["content"]) == (int(status) >= 400), (method, path, status)
    assert {"201", "409", "413", "503"} <= paths[START]["post"]["responses"].keys()


def test_the_commands_ask_the_service_that_their_environment_names(service: Service, tmp_path: Path) -> None:
    where = {"APP_PORT": str(service.port), "APP_HOST": "127.0.0.1"}
    assert run_nfsw(tmp_path, "status", settings=where).returncode == 0
    assert run_nfsw(tmp_path, "status", "--url", service.url, settings={"APP_PORT": "9"}).returncode == 0
