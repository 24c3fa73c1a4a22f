"""What an operator asks first, from outside: is everything all right, what is still to come, is there room, and what was finished."""

from datetime import UTC, datetime

from tests.support.content import MIB, some_bytes
from tests.support.site import Site
from tests.support.waiting import until


def test_a_service_at_work_says_that_all_is_well_what_waits_and_what_was_finished(site: Site) -> None:
    service = site.serve(APP_UPLOAD_LIMIT="1MiB/s", APP_WORKERS="1", APP_AZURE_MAX_CONCURRENCY="1")
    idle = service.call("GET", "/v1/watch/status").json()
    assert (idle["health"]["state"], idle["health"]["reason"]) == ("Waiting", "No session is active in this pod.")
    service.start_session("s")
    for number in range(4):
        site.write("s", f"{number}.bin", some_bytes(number, 2 * MIB))

    def at_work() -> bool:
        status = service.call("GET", "/v1/watch/status").json()
        backlog = status["backlog"]
        return bool(backlog["files"] and backlog["counted_at"] and backlog["bytes"] < 8 * MIB and backlog["eta_s"])

    until(at_work, within=60, what=lambda: f"a rate is known while files wait\n{service.report()}")
    status = service.call("GET", "/v1/watch/status").json()
    assert status["health"]["state"] == "OK", status["health"]
    assert 0 < status["disks"]["export"]["free"] <= status["disks"]["export"]["size"]
    assert 0 < status["disks"]["staging"]["free"] <= status["disks"]["staging"]["size"]
    assert status["disks"]["export"]["full_in_s"] is None, "it has not been watched for long enough"

    site.all_arrived()

    def finished() -> bool:
        return bool(service.status()["files"]["completed"] == 4)

    until(finished, within=60, what=lambda: f"all is finished\n{service.report()}")
    history = service.call("GET", "/v1/watch/history").json()
    assert [file["file"] for file in history["files"]] == ["3.bin", "2.bin", "1.bin", "0.bin"]
    assert {(file["session"], file["size"], file["attempts"]) for file in history["files"]} == {("s", 2 * MIB, 1)}
    for file in history["files"]:
        assert history["since"] <= file["finished_at"] <= f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        assert 0 < file["rate"] < 100 * MIB
    until(lambda: service.call("GET", "/v1/watch/status").json()["backlog"]["files"] == 0, within=30, what="nothing waits any more")
    assert service.call("GET", "/v1/watch/history?after=3").json()["files"][0]["number"] == 4
    assert len(service.call("GET", "/v1/watch/history?after=3").json()["files"]) == 1

    service.crash()
    again = site.serve()
    assert again.call("GET", "/v1/watch/history").json()["files"] == [], "NFS is the only state"
