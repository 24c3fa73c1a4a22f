"""Azure goes away in mid-transfer and comes back: the service waits, says why, and goes on by itself."""

from tests.support.content import MIB, some_bytes
from tests.support.link import Link
from tests.support.midway import IN_BLOCKS
from tests.support.site import Site
from tests.support.stopwatch import Stopwatch
from tests.support.waiting import until

FILES = 3


def test_a_cut_in_mid_transfer_is_told_and_outlasted(linked: Site, link: Link) -> None:
    service = linked.serve(**IN_BLOCKS)
    service.start_session("s")
    link.limit(4 * MIB)
    for number in range(FILES):
        linked.write("s", f"{number}.bin", some_bytes(number, 3 * MIB))
    until(lambda: any(flight["done"] > 0 for flight in service.status()["in_flight"]), within=30, what="bytes move")

    link.cut()
    link.limit(None)
    until(
        lambda: any(flight["error"] and flight["attempts"] >= 2 for flight in service.status()["in_flight"]),
        within=60,
        what=lambda: f"a second attempt, and the error of the first: {service.status()}",
    )
    assert service.status()["files"]["failed"] > 0
    assert service.status()["session"]["state"] == "active"
    assert service.call("GET", "/healthz").status == 200

    linked.write("s", "late.bin", b"written while Azure was away")
    link.mend()
    linked.all_arrived()
    until(lambda: service.status()["files"]["completed"] == FILES + 1, within=10, what="each is counted once")


def test_the_service_outlives_a_silent_azure(linked: Site, link: Link) -> None:
    """Connections stay open and nothing comes through: the API answers all the while."""
    service = linked.serve()
    service.start_session("s")
    link.hold()
    linked.write("s", "a.bin", some_bytes(1, MIB))
    until(lambda: service.status()["in_flight"], within=30, what="the file is in flight")
    for path in ("/healthz", "/v1/watch/status"):
        watch = Stopwatch()
        service.call("GET", path)
        assert watch.seconds < 1
    link.release()
    linked.all_arrived()


def test_the_container_removed_under_the_service_is_made_again_and_no_file_is_lost(site: Site) -> None:
    service = site.serve()
    service.start_session("s")
    site.container.remove()
    site.write("s", "a.bin", b"a")
    site.all_arrived()
    assert any("it has been made again" in line["message"] and line["level"] == "ERROR" for line in service.log())
