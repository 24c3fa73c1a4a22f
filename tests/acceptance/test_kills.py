"""SIGKILL and SIGSTOP to each process in turn, in mid-transfer of several files: all arrive, none differs."""

import os
import signal

import pytest

from tests.support.link import Link
from tests.support.midway import in_mid_transfer, replaced
from tests.support.site import Site
from tests.support.waiting import until

ACTORS = ("scanner", "claimer", "uploader", "collector")
#: Longer than the slowest process needs to boot on a busy machine.
HANG_S = 5.0


@pytest.mark.parametrize("name", ACTORS)
def test_a_killed_actor_is_replaced_and_nothing_is_lost(linked: Site, link: Link, name: str) -> None:
    service = in_mid_transfer(linked, link)
    others = {actor.name: actor.pid for actor in service.actors().values() if actor.name != name}
    old = service.actors()[name]
    os.kill(old.pid, signal.SIGKILL)
    new = replaced(service, old)
    assert new.restarts == old.restarts + 1
    assert {actor.name: actor.pid for actor in service.actors().values() if actor.name != name} == others, "one for one"
    link.limit(None)
    linked.all_arrived()
    assert service.status()["session"]["name"] == "s"


def test_every_other_process_may_be_killed_as_well(linked: Site, link: Link) -> None:
    """Whatever the service runs besides those four and the main one."""
    service = in_mid_transfer(linked, link)
    rest = [actor for actor in service.actors().values() if actor.name not in ACTORS]
    known = {service.pid, *(actor.pid for actor in service.actors().values())}
    assert {process.pid for process in service.processes()} == known, "a process that the status does not know"
    for actor in rest:
        os.kill(actor.pid, signal.SIGKILL)
        replaced(service, actor)
    link.limit(None)
    linked.all_arrived()
    assert service.status()["session"]["name"] == "s"


def test_the_main_process_killed_loses_nothing(linked: Site, link: Link) -> None:
    in_mid_transfer(linked, link).crash()
    link.limit(None)
    linked.serve()
    linked.all_arrived()


def test_all_processes_killed_at_once_lose_nothing(linked: Site, link: Link) -> None:
    service = in_mid_transfer(linked, link)
    service.leave_nothing()
    link.limit(None)
    linked.serve()
    linked.all_arrived()


@pytest.mark.parametrize("name", ACTORS)
def test_a_stopped_actor_is_found_hung_and_replaced(linked: Site, link: Link, name: str) -> None:
    service = in_mid_transfer(linked, link, APP_HANG_TIMEOUT_S=str(HANG_S))
    old = service.actors()[name]
    os.kill(old.pid, signal.SIGSTOP)
    replaced(service, old)
    assert service.call("GET", "/healthz").status == 200
    until(lambda: old.pid not in {process.pid for process in service.processes()}, within=10, what="the old one is gone")
    link.limit(None)
    linked.all_arrived()


def test_an_actor_that_dies_again_and_again_makes_the_pod_unhealthy(site: Site) -> None:
    service = site.serve()
    killed: set[int] = set()

    def unhealthy() -> bool:
        scanner = service.actors().get("scanner")
        if scanner and scanner.pid not in killed:
            os.kill(scanner.pid, signal.SIGKILL)
            killed.add(scanner.pid)
        return service.call("GET", "/healthz").status == 503

    until(unhealthy, within=60, what=lambda: f"/healthz says 503 after {len(killed)} kills\n{service.report()}")
    assert len(killed) > 1, "one death is no reason to restart the pod"
    assert "scanner" in service.call("GET", "/healthz").detail
    assert service.call("GET", "/readyz").status == 503
