"""The bounds that the settings set: staging, workers, queue."""

from collections.abc import Callable
from typing import Any

from tests.support.content import KIB, MIB, some_bytes
from tests.support.link import Link
from tests.support.service import Service
from tests.support.site import Site
from tests.support.waiting import until


def completed(service: Service, watch: Callable[[dict[str, Any]], None]) -> Callable[[], int]:
    """Each look at the counter is a look at the bound as well."""

    def look() -> int:
        status = service.status()
        watch(status)
        return int(status["files"]["completed"])

    return look


def test_staging_never_holds_more_than_its_limit(linked: Site, link: Link) -> None:
    limit, held = 20 * MIB, []
    service = linked.serve(APP_STAGING_LIMIT_BYTES=str(limit))
    link.limit(16 * MIB)
    for number in range(7):
        linked.write("s", f"{number}.bin", some_bytes(number, 6 * MIB))
    service.start_session("s")
    look = completed(service, lambda _: held.append(linked.staged_bytes()))
    until(lambda: look() == 7, within=60, what="all seven are completed")
    linked.all_arrived()
    assert max(held) > limit // 3, "the limit was put to the test"
    assert max(held) <= limit


def test_the_limit_holds_when_azure_takes_nothing(linked: Site, link: Link) -> None:
    """Without an uplink staging fills up to the limit; nothing more is copied, nothing is lost."""
    limit = 20 * MIB
    service = linked.serve(APP_STAGING_LIMIT_BYTES=str(limit))
    service.start_session("s")
    link.cut()
    for number in range(6):
        linked.write("s", f"{number}.bin", some_bytes(number, 6 * MIB))
    until(lambda: linked.staged_bytes() >= 18 * MIB, within=30, what="three files are staged")
    until(lambda: service.status()["files"]["failed"] > 0, within=30, what="an upload has failed")
    assert linked.staged_bytes() <= limit
    link.mend()
    linked.all_arrived()


def test_no_more_files_are_staged_or_uploaded_at_a_time_than_there_are_workers(linked: Site, link: Link) -> None:
    most: dict[str, int] = {"staging": 0, "uploading": 0}

    def watch(status: dict[str, Any]) -> None:
        for state, before in most.items():
            now = sum(flight["state"] == state and 0 < flight["done"] < flight["size"] for flight in status["in_flight"])
            most[state] = max(before, now)

    service = linked.serve(APP_WORKERS="2")
    link.limit(8 * MIB)
    for number in range(8):
        linked.write("s", f"{number}.bin", some_bytes(number, 2 * MIB))
    service.start_session("s")
    look = completed(service, watch)
    until(lambda: look() == 8, within=60, what="all eight are completed")
    linked.all_arrived()
    assert most["staging"] <= 2
    assert most["uploading"] <= 2


def test_a_full_queue_makes_the_scanner_wait_and_loses_nothing(site: Site) -> None:
    queued: list[int] = []
    service = site.serve(APP_QUEUE_SIZE="2", APP_WORKERS="1")
    for number in range(60):
        site.write("s", f"{number}.bin", some_bytes(number, KIB))
    service.start_session("s")
    look = completed(service, lambda status: queued.append(status["files"]["queued"]))
    until(lambda: look() == 60, within=60, what="all sixty are completed")
    site.all_arrived()
    assert 2 <= max(queued) <= 3, "two in the queue, and one that waits to get in"
