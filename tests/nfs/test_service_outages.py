"""The NFS server goes away while the service works: what it says meanwhile, what goes on, and how it comes back."""

import time
from pathlib import Path

import pytest

from tests.support.children import in_the_kernel
from tests.support.content import MIB, some_bytes
from tests.support.figures import Figure
from tests.support.link import Link
from tests.support.outages import KINDS, Outage, await_ready, outage, probe_times, storm
from tests.support.prober import Prober, probing
from tests.support.seen_through import SeenThrough
from tests.support.service import Service
from tests.support.uml_server import stopped
from tests.support.waiting import until

#: A busy machine may not run a process for a second or two: less than this would take that for a hang.
HANG_S = 3.0
POLL_S = 0.5
SETTINGS = {"APP_HANG_TIMEOUT_S": str(HANG_S), "APP_POLL_INTERVAL_S": str(POLL_S), "APP_HANG_ESCALATE_S": "60"}
#: An RPC that finds no server is sent again after some seconds (3 s here); to that come two polls.
BACK_WITHIN_S = 2 * POLL_S + 10.0
NFS_ACTORS = ("keeper", "scanner", "claimer", "collector")


def running(site: SeenThrough, **changes: str) -> Service:
    service = site.serve(**SETTINGS | changes)
    service.start_session("s")
    site.write("s", "first.bin", b"first")
    site.has_arrived("s", "first.bin")
    return service


@pytest.mark.parametrize("kind", KINDS)
def test_an_outage_is_told_and_outlasted(site: SeenThrough, kind: str, tmp_path: Path, figure: Figure) -> None:
    service = running(site)
    with probing(service.port, "/healthz", tmp_path / "healthz") as prober:
        with outage(kind) as one:
            told = until(lambda: _unready_words(service), within=HANG_S + 4, what="/readyz is 503")
            figure(f"seconds until /readyz is 503 (hang timeout {HANG_S} s)", round(time.monotonic() - one.begun, 1))
            figure("its words", told)
            assert any(name in told for name in NFS_ACTORS), told
            assert any(character.isdigit() for character in told), f"for how long: {told}"
            site.write("s", "during.bin", some_bytes(1, MIB))
            until(lambda: _hung(service), within=10, what=lambda: f"an actor is shown as hung: {service.status()['actors']}")
            until(lambda: time.monotonic() - one.begun > 8, within=10, what="the outage has lasted 8 s")
        figure(f"seconds from the return until /readyz is 200 ({kind})", round(await_ready(one, service, BACK_WITHIN_S), 1))
        site.all_arrived(within=30)
        figure(f"seconds from the return until the file is in Azure ({kind})", round(time.monotonic() - one.ended, 1))
        _probe_was_quick([one], prober, figure)


def test_staged_files_go_on_to_azure_in_an_outage(linked: SeenThrough, link: Link, figure: Figure) -> None:
    service = running(linked)
    link.limit(4 * MIB)
    linked.write("s", "large.bin", some_bytes(1, 24 * MIB))
    until(lambda: _states(service) == {"uploading"}, within=30, what=lambda: f"the file is staged: {service.status()}")
    with stopped():
        begun = time.monotonic()
        before = service.status()["in_flight"][0]["done"]
        until(
            lambda: any(name.endswith("large.bin") for name in linked.container.names()),
            within=40,
            what=lambda: f"the blob is committed\n{linked.report()}",
        )
        figure("bytes sent to Azure and committed while NFS was away", 24 * MIB - before)
        figure("in seconds", round(time.monotonic() - begun, 1))
    linked.all_arrived(within=60)


def test_a_hang_that_lasts_turns_healthz_to_503_and_uploads_go_on_until_then(linked: SeenThrough, link: Link, figure: Figure) -> None:
    service = running(linked, APP_HANG_ESCALATE_S="8")
    link.limit(2 * MIB)
    linked.write("s", "large.bin", some_bytes(1, 24 * MIB))
    until(lambda: _states(service) == {"uploading"}, within=30, what="the file is staged")
    with stopped():
        begun = time.monotonic()
        done = [service.status()["in_flight"][0]["done"]]
        assert service.call("GET", "/healthz").status == 200
        until(lambda: service.call("GET", "/healthz").status == 503, within=20, what=lambda: f"/healthz is 503\n{service.report()}")
        figure("seconds until /healthz is 503 (APP_HANG_ESCALATE_S 8)", round(time.monotonic() - begun, 1))
        figure("its words", service.call("GET", "/healthz").detail)
        assert time.monotonic() - begun > 7.5
        done.append(service.status()["in_flight"][0]["done"])
        assert done[1] > done[0], "the upload went on"
    link.limit(None)
    service.leave_nothing()
    linked.serve(**SETTINGS)
    linked.all_arrived(within=60)


def test_sigterm_in_an_outage_ends_what_can_be_ended_within_a_second(site: SeenThrough, figure: Figure) -> None:
    """A process that has to close a file or to give back a lock at the server waits for it in its exit: nothing can end that."""
    service = running(site)
    with stopped():
        until(lambda: _unready_words(service), within=HANG_S + 4, what="/readyz is 503")
        processes = service.processes()
        begun = time.monotonic()
        service.stop()
        figure("seconds from SIGTERM until only those are left that the kernel does not let go", round(time.monotonic() - begun, 2))
        left = [process for process in processes if in_the_kernel(process.pid)]
        figure("left in the kernel until the server is back", [process.command.partition("nfsw.actors ")[2].split()[0] for process in left])
    until(lambda: not any(in_the_kernel(process.pid) for process in left), within=30, what="these are gone too")


def test_a_service_that_starts_in_an_outage_answers_and_goes_on_after_it(site: SeenThrough, figure: Figure) -> None:
    service = running(site)
    service.stop()
    with stopped() as _:
        begun = time.monotonic()
        second = site.launch(**SETTINGS)
        assert second.call("GET", "/healthz").status == 200
        figure("seconds until /healthz answers though NFS is away", round(time.monotonic() - begun, 1))
        until(lambda: _unready_words(second), within=10, what="/readyz is 503")
        site.write("s", "during.bin", b"during")
    back = time.monotonic()
    site.all_arrived(within=60)
    figure("seconds from the return until its session is resumed and the file is in Azure", round(time.monotonic() - back, 1))


def test_a_session_stays_held_over_a_restart_of_the_server(site: SeenThrough) -> None:
    holder, other = running(site, APP_POD_NAME="pod-one"), site.serve(**SETTINGS, APP_POD_NAME="pod-two")
    with stopped():
        until(lambda: _unready_words(holder), within=HANG_S + 4, what="/readyz is 503")
    until(lambda: holder.call("GET", "/readyz").status == 200, within=BACK_WITHIN_S, what="the holder is ready again")
    answer = other.call("POST", "/v1/watch/start", {"session": "s"})
    assert answer.status == 409
    assert "pod-one" in answer.detail


def test_files_arrive_though_the_server_goes_away_again_and_again(linked: SeenThrough, link: Link, tmp_path: Path, figure: Figure) -> None:
    service = running(linked)
    link.limit(4 * MIB)
    storm(linked, service, [0.5, 3.0, 1.5, 5.0], seed=3, notes=tmp_path / "healthz", within=BACK_WITHIN_S, figure=figure)


def _unready_words(service: Service) -> str | None:
    answer = service.call("GET", "/readyz")
    return answer.detail if answer.status == 503 else None


def _hung(service: Service) -> bool:
    return any(actor["name"] in NFS_ACTORS and actor["state"] == "hung" for actor in service.status()["actors"])


def _states(service: Service) -> set[str]:
    return {flight["state"] for flight in service.status()["in_flight"]}


def _probe_was_quick(told: list[Outage], prober: Prober, figure: Figure) -> None:
    times = probe_times(told, prober)
    figure("/healthz in the outage: looks, p50, p99, max (ms)", (times.count, times.p50, times.p99, times.most))
    assert all(look.status == 200 for one in told for look in one.looks(prober))
    assert times.most < 1000, "a probe gives up after 1 s"
