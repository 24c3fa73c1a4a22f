"""SIGKILL and SIGSTOP to each process in turn, in mid-transfer of several files: all arrive, none differs."""

import os
import signal

from tests.support.link import Link
from tests.support.midway import RATE, in_mid_transfer, replaced
from tests.support.site import Site
from tests.support.waiting import until

#: Longer than the slowest process needs to boot on a busy machine.
HANG_S = 5.0


def test_each_process_but_the_main_one_is_killed_in_turn_and_replaced_and_nothing_is_lost(linked: Site, link: Link) -> None:
    service = in_mid_transfer(linked, link)
    link.limit(RATE / 24)  # in mid-transfer to the last of them, however long each takes to be replaced
    actors = service.actors()
    assert {process.pid for process in service.processes()} == {service.pid, *(actor.pid for actor in actors.values())}
    for name, old in actors.items():
        others = {actor.name: actor.pid for actor in service.actors().values() if actor.name != name}
        os.kill(old.pid, signal.SIGKILL)
        assert replaced(service, old).restarts == old.restarts + 1
        assert {actor.name: actor.pid for actor in service.actors().values() if actor.name != name} == others, "one for one"
    assert service.status()["in_flight"], "some are still on their way"
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


def test_stopped_actors_are_found_hung_and_replaced(linked: Site, link: Link) -> None:
    service = in_mid_transfer(linked, link, APP_HANG_TIMEOUT_S=str(HANG_S))
    stopped = [actor for actor in service.actors().values() if actor.name != "keeper"]
    for old in stopped:
        os.kill(old.pid, signal.SIGSTOP)
    for old in stopped:
        replaced(service, old)
    assert service.call("GET", "/healthz").status == 200
    gone = {old.pid for old in stopped}
    until(lambda: not gone & {process.pid for process in service.processes()}, within=20, what="the old ones are gone")
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
