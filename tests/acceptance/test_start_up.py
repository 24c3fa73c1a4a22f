"""From the first moment to `/readyz` 200, or to exit code 1 with the reason in one log line."""

import os
import signal
import time
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.support.content import Content
from tests.support.link import Link
from tests.support.service import Service, run_nfsw
from tests.support.site import Site
from tests.support.waiting import until

#: Wrong, but well formed.
OTHER_KEY = "b3RoZXIta2V5LW90aGVyLWtleS1vdGhlci1rZXktb3RoZXIta2V5LW90aGVyLWtleS1vdGhlci1rZXktb3RoZXIt"


@pytest.fixture(scope="module")
def started(module_site: Site) -> Service:
    """With a variable that is misspelt, and without a container so far."""
    assert not module_site.container.exists()
    return module_site.serve(APP_WORKER="8")


def test_the_container_is_made_when_it_is_missing(module_site: Site, started: Service) -> None:
    assert module_site.container.exists()


def test_a_misspelt_variable_is_warned_of(started: Service) -> None:
    assert [line for line in started.log() if line["level"] == "WARNING" and "APP_WORKER" in line["message"]], started.report()


def test_the_processes_that_do_the_heavy_work_let_the_others_go_first(started: Service) -> None:
    nice = {actor.name: os.getpriority(os.PRIO_PROCESS, actor.pid) for actor in started.actors().values()}
    main = os.getpriority(os.PRIO_PROCESS, started.pid)
    assert nice["claimer"] == nice["uploader"] > main
    assert nice["scanner"] == nice["collector"] == nice["keeper"] == main


def test_azure_out_of_reach_is_exit_1(linked: Site, link: Link) -> None:
    link.cut()
    assert str(link.port) in linked.launch().reason_for_exit_1()


def left_by_a_dead_pod(site: Site, session: str) -> Path:
    """A session that is there to be resumed, with one claimed file and one that has arrived. Returns the latter."""
    claimed = site.processing(session) / "claimed.bin"
    claimed.parent.mkdir(parents=True)
    claimed.write_bytes(b"claimed")
    site.expect(session, "claimed.bin", Content.of([b"claimed"]))
    return site.write(session, "arrived.bin", b"arrived")


def untouched(site: Site, arrived: Path) -> bool:
    """Whether nothing was taken: no lock and no arrival. Whether leases are granted may be found out, on a file that is gone again."""
    return arrived.exists() and {path.name for path in (site.nfs / ".nfsw").glob("*")} <= {"probes"}


def test_refused_credentials_are_exit_1_and_no_secret_is_told_no_lock_taken_and_no_file_moved(site: Site) -> None:
    """A lock would keep the session from a pod that could work, and each restart would move more files."""
    arrived = left_by_a_dead_pod(site, "s")
    service = site.launch(APP_AZURE_CONNECTION_STRING=site.endpoint.signed_with(OTHER_KEY))
    assert service.reason_for_exit_1()
    assert OTHER_KEY not in service.stdout.read_text()
    assert untouched(site, arrived), site.report()
    site.serve()
    site.all_arrived()


def test_before_the_container_has_answered_a_start_is_503_and_nothing_is_taken(linked: Site, link: Link) -> None:
    """Azure accepts the connection, and says nothing."""
    arrived = left_by_a_dead_pod(linked, "s")
    link.hold()
    service = linked.launch()
    until(lambda: service.actors().get("scanner"), within=30, what="the scanner runs")
    for session in ("s", "t"):
        answer = service.call("POST", "/v1/watch/start", {"session": session})
        assert answer.status == 503
        assert "the Azure container has not answered yet" in answer.detail
    until(lambda: service.actors()["scanner"].state == "running", within=30, what="the scanner looks")
    time.sleep(1.5)  # fifteen looks: nothing happens is what is to be shown
    assert untouched(linked, arrived), linked.report()
    assert service.status()["session"] is None
    assert any("the Azure container has not answered yet" in reason for reason in service.status()["waiting_for"])

    link.release()
    linked.all_arrived()
    assert service.status()["session"]["resumed"]


def test_a_container_that_goes_away_later_does_not_keep_a_session_from_being_started(linked: Site, link: Link) -> None:
    service = linked.serve()
    link.cut()
    service.start_session("s")
    link.mend()
    linked.write("s", "a.bin", b"a")
    linked.all_arrived()


def test_it_is_not_ready_before_the_container_answered(linked: Site, link: Link) -> None:
    link.hold()
    service = linked.launch()

    def said() -> int | None:
        try:
            return service.call("GET", "/readyz").status
        except (OSError, HTTPException):
            return None

    assert until(said, within=30, what="/readyz answers") == 503
    assert service.call("GET", "/readyz").detail
    assert service.call("GET", "/healthz").status == 200
    link.release()
    service.ready()


def test_a_second_service_in_one_staging_folder_ends_and_says_so(site: Site) -> None:
    """It would take the first one's copies for leftovers, and delete them."""
    first = site.serve()
    second = run_nfsw(site.folder, "serve", settings=site.settings())
    assert second.returncode == 2
    assert second.stdout == ""
    assert second.stderr == f"nfsw: APP_STAGING_DIR: another nfsw service is using {site.staging}; each one needs a folder of its own\n"
    first.start_session("s")
    site.write("s", "a.bin", b"a")
    site.all_arrived()


def test_a_killed_services_staging_folder_is_free_at_once(site: Site) -> None:
    for _ in range(3):
        service = site.launch()
        assert service.port, "it has begun"
        os.kill(service.pid, signal.SIGKILL)
        os.waitid(os.P_PID, service.pid, os.WEXITED | os.WNOWAIT)
    site.serve()


def test_a_staging_folder_that_cannot_be_locked_is_warned_of(site: Site) -> None:
    """What is wrong with it shows at each file, as ever."""
    (site.folder / "file").write_bytes(b"")
    service = site.launch(APP_STAGING_DIR=str(site.folder / "file"))
    assert service.port
    assert [line for line in service.log() if line["level"] == "WARNING" and "cannot lock the staging folder" in line["message"]]
