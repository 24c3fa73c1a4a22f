"""Each call: what is taken, what comes back, and which words an error has."""

import json
from http.client import HTTPConnection

import pytest

from nfsw.actors.names import bad_session_name
from nfsw.api import body as request_body
from nfsw.supervisor.service import AzureSilent, NfsSilent
from tests.support.http import Answer, raw_call
from tests.support.memory_service import ACTIVE, BUSY, HISTORY, MemoryService
from tests.unit.api.conftest import Ask

JSON = {"Content-Type": "application/json"}
#: The three that a form, or a script without a preflight, can send to another origin, and some others.
NOT_JSON = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", "")


def raw(url: str, body: bytes, headers: dict[str, str], path: str = "/v1/watch/start", method: str = "POST") -> Answer:
    connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Answer(response.status, response.headers.get_content_type(), response.read(), 0.0)
    finally:
        connection.close()


def test_the_status_is_the_contract_word_for_word(service: MemoryService, ask: Ask) -> None:
    service.now = BUSY
    status = ask("GET", "/v1/watch/status").json()
    assert status["session"] == {"name": "s1", "state": "active", "started_at": "2026-01-31T12:00:00Z", "resumed": False}
    assert status["files"] == {
        "open_for_writing": 1,
        "waiting_for_marker": 0,
        "queued": 3,
        "staging": 1,
        "uploading": 4,
        "completed": 17,
        "failed": 1,
        "refused": 2,
        "hidden": 5,
    }
    assert status["stability"] == {"rule": "lease", "reason": "leases are granted (nfs4)"}
    assert status["bytes"]["completed"] == 123_456_789
    assert status["in_flight"][0] == {
        "file": "camera-left_20260131T115900.mp4",
        "session": "s1",
        "date": "20260131",
        "state": "uploading",
        "size": 10_737_418_240,
        "done": 1_073_741_824,
        "rate": 118_000_000.0,
        "eta_s": 82.1,
        "attempts": 1,
        "error": None,
        "retry_in_s": None,
    }
    assert status["actors"][1] == {"name": "scanner", "state": "running", "pid": 13, "restarts": 0, "busy_s": 0.0, "doing": None}
    assert status["uploads"] == "running"


def test_without_a_session_the_status_has_null(ask: Ask) -> None:
    assert ask("GET", "/v1/watch/status").json()["session"] is None


def test_names_come_through_as_they_are_but_for_bytes_that_are_not_utf8(service: MemoryService, ask: Ask) -> None:
    service.now = BUSY
    status = ask("GET", "/v1/watch/status").json()
    assert status["in_flight"][-1]["file"] == BUSY.in_flight[-1].file
    assert status["refused"][1]["file"] == "caf\\xe9.bin"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"session": null}', b' {"session":null} '], ids=repr)
def test_a_start_without_a_name_gets_one(url: str, body: bytes) -> None:
    answer = raw(url, body, JSON)
    assert answer.status == 201
    assert answer.json()["session"]["name"].startswith("00-session-")


def test_a_start_needs_neither_body_nor_content_type(url: str) -> None:
    assert raw(url, b"", {}).status == 201


def test_a_start_with_a_name_starts_that_session(ask: Ask) -> None:
    answer = ask("POST", "/v1/watch/start", {"session": "s-1_x.y"})
    assert answer.status == 201
    assert answer.json()["session"]["name"] == "s-1_x.y"


def test_a_charset_beside_the_content_type_is_no_harm(url: str) -> None:
    assert raw(url, b'{"session": "s"}', {"Content-Type": "Application/JSON; charset=utf-8"}).status == 201


@pytest.mark.parametrize("name", ["", ".", "..", ".s", "s.", "a/b", "a b", "a\n", "ü", "x" * 129])
def test_a_bad_name_is_refused_with_the_reason(service: MemoryService, ask: Ask, name: str) -> None:
    answer = ask("POST", "/v1/watch/start", {"session": name})
    assert answer.status == 400
    assert answer.detail == f"session: {bad_session_name(name)}"
    assert service.now.session is None


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"s1"',
        b'{"session": 7}',
        b'{"session": true}',
        b'{"session": ["s"]}',
        b'{"session": "\\ud800"}',
        b'{"session": "s", "more": 1}',
        b'{"Session": "s"}',
        b"[" * 20_000,
        b'{"session": "s"} {"session": "t"}',
    ],
    ids=lambda body: repr(body[:40]),
)
def test_a_bad_body_is_refused(service: MemoryService, url: str, body: bytes) -> None:
    answer = raw(url, body, JSON)
    assert answer.status == 400
    assert answer.detail
    assert service.now.session is None


@pytest.mark.parametrize(
    "headers", [{}, *({"Content-Type": kind} for kind in NOT_JSON)], ids=lambda headers: headers.get("Content-Type", "none")
)
def test_a_body_that_does_not_say_that_it_is_json_is_refused(service: MemoryService, url: str, headers: dict[str, str]) -> None:
    answer = raw(url, b'{"session": "s"}', headers)
    assert answer.status == 400
    assert "application/json" in answer.detail
    assert service.now.session is None


def test_a_body_that_never_arrives_is_not_waited_for(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_body, "BODY_S", 0.1)
    head = b"POST /v1/watch/start HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    answer = raw_call(int(url.rpartition(":")[2]), head)
    assert (answer.status, answer.detail) == (408, "the body did not arrive within 0 s")


def test_a_body_of_over_64_kib_is_refused(url: str) -> None:
    answer = raw(url, json.dumps({"session": "x" * 65_536}).encode(), JSON)
    assert answer.status == 413
    assert answer.detail


def test_a_second_start_is_a_conflict_that_names_the_session(service: MemoryService, ask: Ask) -> None:
    service.now = ACTIVE
    answer = ask("POST", "/v1/watch/start", {"session": "s2"})
    assert (answer.status, answer.detail) == (409, "session s1 is active")


def test_a_session_of_another_pod_is_a_conflict_that_names_the_pod(service: MemoryService, ask: Ask) -> None:
    service.held_elsewhere["s2"] = "pod-7"
    answer = ask("POST", "/v1/watch/start", {"session": "s2"})
    assert (answer.status, answer.detail) == (409, "session s2 is held by pod-7")


def test_stop_answers_the_status_with_the_session_draining(service: MemoryService, ask: Ask) -> None:
    service.now = BUSY
    answer = ask("POST", "/v1/watch/stop")
    assert answer.status == 200
    assert answer.json()["session"]["state"] == "draining"


def test_a_stop_without_a_session_is_a_conflict(ask: Ask) -> None:
    answer = ask("POST", "/v1/watch/stop")
    assert (answer.status, answer.detail) == (409, "No session is active.")


@pytest.mark.parametrize("body", [{"file": "lidar.dat"}, {"file": "lidar.dat", "date": "20260131"}, {"file": "lidar.dat", "date": None}])
def test_a_file_that_is_abandoned_is_listed_as_refused(service: MemoryService, ask: Ask, body: dict[str, str]) -> None:
    service.now = BUSY
    answer = ask("POST", "/v1/watch/abandon", {"session": "s1", **body})
    assert answer.status == 200
    assert {"file": "lidar.dat", "session": "s1", "reason": "abandoned: by a call"} in answer.json()["refused"]


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"session": "s1", "file": "none"}, 404, "The session has no claimed file of that name."),
        ({"session": "s1", "file": "lidar.dat", "date": "20260130"}, 404, "The session has no claimed file of that name."),
        ({"session": "s2", "file": "lidar.dat"}, 409, "this pod does not hold session s2"),
        ({"session": "s1"}, 400, "file: Field required"),
        ({"session": "..", "file": "a"}, 400, "session: a session name does not begin with a dot"),
        ({"session": "s1", "file": "a", "date": "2026-01-31"}, 400, "date: String should match pattern '^[0-9]{8}$'"),
    ],
)
def test_a_file_that_cannot_be_abandoned_is_a_problem(
    service: MemoryService, ask: Ask, body: dict[str, str], status: int, detail: str
) -> None:
    service.now = BUSY
    answer = ask("POST", "/v1/watch/abandon", body)
    assert (answer.status, answer.detail) == (status, detail)


def test_before_azure_has_answered_a_start_is_503_with_the_reason(service: MemoryService, ask: Ask) -> None:
    service.refuses = AzureSilent("no session is started: the Azure container has not answered yet")
    answer = ask("POST", "/v1/watch/start", {"session": "s1"})
    assert (answer.status, answer.detail) == (503, "no session is started: the Azure container has not answered yet")


@pytest.mark.parametrize("path", ["/v1/watch/start", "/v1/watch/stop"])
def test_a_silent_nfs_is_503_with_the_call(service: MemoryService, ask: Ask, path: str) -> None:
    service.now = ACTIVE
    service.refuses = NfsSilent("mkdir incoming/s1 has not come back for 10 s")
    answer = ask("POST", path)
    assert (answer.status, answer.detail) == (503, "mkdir incoming/s1 has not come back for 10 s")


# --- The uplink ---


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


# --- The probes ---


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


# --- History ---


def test_the_history_has_the_newest_file_first_and_says_since_when_it_counts(ask: Ask, service: MemoryService) -> None:
    assert ask("GET", "/v1/watch/history").json() == {"since": "2026-01-31T12:00:00Z", "files": []}
    service.finished = HISTORY
    newest, oldest = ask("GET", "/v1/watch/history").json()["files"]
    assert newest == {
        "number": 2,
        "file": "<b>lidar</b>.dat",
        "session": "s1",
        "date": "20260131",
        "size": 734003200,
        "seconds": 6.2,
        "rate": 118000000.0,
        "attempts": 1,
        "finished_at": "2026-01-31T12:01:10Z",
    }
    assert oldest["number"] == 1


def test_the_history_after_a_file_has_those_that_came_later(ask: Ask, service: MemoryService) -> None:
    service.finished = HISTORY
    assert [file["number"] for file in ask("GET", "/v1/watch/history?after=1").json()["files"]] == [2]
    assert ask("GET", "/v1/watch/history?after=2").json()["files"] == []


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "9" * 30])
def test_what_is_no_number_of_a_file_is_a_bad_request(ask: Ask, after: str) -> None:
    answer = ask("GET", f"/v1/watch/history?after={after}")
    assert answer.status == 400
    assert answer.detail.startswith("after: ")
