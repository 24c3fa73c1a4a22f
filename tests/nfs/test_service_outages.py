"""The NFS server goes away while the service works: what it says meanwhile, what goes on, and how it comes back."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support import uml
from tests.support.azurite import Endpoint
from tests.support.blobs import Container
from tests.support.content import MIB, some_bytes
from tests.support.figures import Figure
from tests.support.link import Link, link_to
from tests.support.outages import (
    BACK_WITHIN_S,
    HANG_S,
    IN_BLOCKS,
    KINDS,
    SETTINGS,
    await_ready,
    await_unready,
    outage,
    probe_times,
    running,
    storm,
)
from tests.support.prober import probing
from tests.support.service import Service
from tests.support.site import Site, site_in
from tests.support.uml_server import distant, stopped
from tests.support.waiting import NeverHappened, until

NFS_ACTORS = ("keeper", "scanner", "claimer", "collector")

#: How often the instant in which an actor asks for a lease is tried to be met.
_ATTEMPTS = 5

# One service for all tests of this file: each leaves it with nothing to do.


@pytest.fixture(scope="module")
def link(azurite: Endpoint) -> Iterator[Link]:
    with link_to(azurite) as own:
        yield own


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, azurite: Endpoint, link: Link) -> Iterator[Site]:
    name = f"outages-{uuid4().hex[:8]}"
    (uml.MOUNT / name).mkdir()
    container = Container(azurite, name)
    with site_in(tmp_path_factory.mktemp("site"), link.endpoint, container, nfs=uml.EXPORT / name, seen_at=uml.MOUNT / name) as own:
        yield own
    container.close()


@pytest.fixture(scope="module")
def service(site: Site) -> Service:
    return running(site, APP_POD_NAME="pod-one", **IN_BLOCKS)


@pytest.mark.parametrize("kind", KINDS)
def test_an_outage_is_told_and_outlasted(site: Site, service: Service, kind: str, tmp_path: Path, figure: Figure) -> None:
    with probing(service.port, "/healthz", tmp_path / "healthz") as prober:
        with outage(kind) as one:
            told = await_unready(service)
            figure(f"/readyz is 503 after (hang timeout {HANG_S} s)", f"{time.monotonic() - one.begun:.1f} s: {told}")
            assert any(name in told for name in NFS_ACTORS), told
            assert any(character.isdigit() for character in told), f"for how long: {told}"
            site.write("s", f"{kind}.bin", some_bytes(1, MIB))
            until(lambda: _hung(service), within=30, what=lambda: f"an actor is shown as hung: {service.status()['actors']}")
        ready = await_ready(one, service)
        site.has_arrived("s", f"{kind}.bin", within=30)
        figure(
            "seconds from the return until /readyz is 200, until the file is in Azure",
            (round(ready, 1), round(time.monotonic() - one.ended, 1)),
        )
        times = probe_times([one], prober)
        figure("/healthz in the outage: looks, p50, p99, max (ms)", (times.count, times.p50, times.p99, times.most))
        assert all(look.status == 200 for look in one.looks(prober))
        assert times.p90 < 1000, "a probe gives up after 1 s"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("actor", ["claimer", "collector"])
def test_an_actor_that_hangs_while_it_asks_whether_a_file_is_open_is_shown_and_replaced(
    site: Site, service: Service, actor: str, figure: Figure
) -> None:
    """The server is so far away that the instant can be met, and is cut off in it. Another file is tried where it was missed."""
    for attempt in range(_ATTEMPTS):
        name = f"asked-by-{actor}-{attempt}"
        with ExitStack() as far:
            far.enter_context(distant(0.3))
            site.write("s", name, b"content")
            if not _in_time(partial(_asks, service, actor, name), within=120):
                continue
            pid = service.actors()[actor].pid
            with outage("cut") as one:
                far.close()
                if shown := _in_time(partial(_asks, service, actor, name, "hung"), within=HANG_S + 5):
                    until(partial(_is_replaced, service, actor, pid), within=30, what=lambda: f"it is replaced\n{service.report()}")
        await_ready(one, service)
        site.has_arrived("s", name, within=60)
        if shown:
            figure("the status shows, at which attempt", (shown, attempt + 1))
            return
    pytest.fail(f"the {actor} was never cut off while it asked, in {_ATTEMPTS} attempts\n{service.report()}")


def test_staged_files_go_on_to_azure_in_an_outage(site: Site, service: Service, link: Link, figure: Figure) -> None:
    link.limit(4 * MIB)
    site.write("s", "large.bin", some_bytes(1, 16 * MIB))
    until(lambda: _states(service) == {"uploading"}, within=30, what=lambda: f"the file is staged: {service.status()}")
    with outage("stopped") as one:
        before = service.status()["in_flight"][0]["done"]
        until(
            lambda: any(name.endswith("large.bin") for name in site.container.names()),
            within=120,
            what=lambda: f"the blob is committed\n{site.report()}",
        )
        figure("bytes sent while NFS was away, and committed after s", (16 * MIB - before, round(time.monotonic() - one.begun, 1)))
    link.limit(None)
    site.has_arrived("s", "large.bin")


def test_a_session_stays_held_over_a_restart_of_the_server(site: Site, service: Service) -> None:
    other = site.serve(**SETTINGS, **site.pod("pod-two"))
    with stopped():
        await_unready(service)
    until(lambda: service.call("GET", "/readyz").status == 200, within=BACK_WITHIN_S, what="the holder is ready again")
    answer = other.call("POST", "/v1/watch/start", {"session": "s"})
    other.stop()
    assert answer.status == 409
    assert "pod-one" in answer.detail


def test_files_arrive_though_the_server_goes_away_again_and_again(
    site: Site, service: Service, link: Link, tmp_path: Path, figure: Figure
) -> None:
    link.limit(4 * MIB)
    storm(site, service, [0.5, 3.0, HANG_S + 2], seed=3, notes=tmp_path / "healthz", figure=figure)


def _in_time[T](condition: Callable[[], T | None], *, within: float) -> T | None:
    try:
        return until(condition, within=within, what="the instant")
    except NeverHappened:
        return None


def _is_replaced(service: Service, actor: str, pid: int | None) -> bool:
    now = service.actors().get(actor)
    return now is not None and now.pid != pid


def _hung(service: Service) -> bool:
    return any(actor["name"] in NFS_ACTORS and actor["state"] == "hung" for actor in service.status()["actors"])


def _asks(service: Service, name: str, file: str, state: str = "running") -> str | None:
    """The call in which the actor asks for a lease on the file, if it is in one."""
    [actor] = [actor for actor in service.status()["actors"] if actor["name"] == name]
    doing = actor["doing"] or ""
    asks = doing.partition(" ")[0] in {"open", "lease"} and Path(doing).name in {file, f"{file}.completed"}
    return doing if asks and actor["state"] == state else None


def _states(service: Service) -> set[str]:
    return {flight["state"] for flight in service.status()["in_flight"]}
