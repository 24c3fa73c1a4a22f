"""A service that ends or begins while the NFS server is away, and one whose NFS stays away for too long."""

import time

from tests.support.children import in_the_kernel
from tests.support.content import MIB, some_bytes
from tests.support.figures import Figure
from tests.support.link import Link
from tests.support.outages import IN_BLOCKS, SETTINGS, await_unready, running
from tests.support.site import Site
from tests.support.uml_server import stopped
from tests.support.waiting import until


def test_sigterm_in_an_outage_ends_what_can_be_ended_and_the_next_service_goes_on_after_it(site: Site, figure: Figure) -> None:
    """A process that has to close a file or to give back a lock at the server waits for it in its exit: nothing can end that."""
    service = running(site)
    with stopped():
        await_unready(service)
        processes = service.processes()
        begun = time.monotonic()
        service.stop()
        figure("seconds from SIGTERM until only those are left that the kernel does not let go", round(time.monotonic() - begun, 2))
        left = [process for process in processes if in_the_kernel(process.pid)]
        said = service.log()[-1]["message"]
        assert said.startswith("cannot be killed while blocked in the kernel")
        assert all(f"pid {process.pid}" in said for process in left)
        figure("left in the kernel until the server is back", [process.command.partition("nfsw.actors ")[2].split()[0] for process in left])

        begun = time.monotonic()
        second = site.launch(**SETTINGS)
        assert second.call("GET", "/healthz", timeout=60).status == 200
        figure("seconds until the next service answers /healthz though NFS is away", round(time.monotonic() - begun, 1))
        await_unready(second)
        site.write("s", "during.bin", b"during")
    back = time.monotonic()
    until(lambda: not any(in_the_kernel(process.pid) for process in left), within=30, what="these are gone too")
    site.all_arrived(within=60)
    figure("seconds from the return until its session is resumed and the file is in Azure", round(time.monotonic() - back, 1))


def test_a_hang_that_lasts_turns_healthz_to_503_once_what_was_staged_has_been_sent(linked: Site, link: Link, figure: Figure) -> None:
    # The guest has one processor, and on a busy host the Uploader may not get it for some seconds: that is no hang.
    service = running(linked, APP_HANG_TIMEOUT_S="6", APP_HANG_ESCALATE_S="12", **IN_BLOCKS)
    link.limit(MIB)
    size = 24 * MIB
    linked.write("s", "large.bin", some_bytes(1, size))
    until(lambda: {flight["state"] for flight in service.status()["in_flight"]} == {"uploading"}, within=30, what="the file is staged")
    with stopped():
        begun = time.monotonic()
        assert service.call("GET", "/healthz").status == 200
        until(lambda: service.call("GET", "/healthz").status == 503, within=120, what=lambda: f"/healthz is 503\n{service.report()}")
        told = service.call("GET", "/healthz").detail
        figure("/healthz is 503 after (24 MiB at 1 MiB/s, then APP_HANG_ESCALATE_S 12)", f"{time.monotonic() - begun:.1f} s: {told}")
        assert time.monotonic() - begun > 12
        assert service.status()["bytes"]["sent"] >= size, "the upload went on to its end"
    link.limit(None)
    service.leave_nothing()
    linked.serve(**SETTINGS)
    linked.all_arrived(within=60)
