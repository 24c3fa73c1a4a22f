"""A service in the middle of its work: the state in which things are done to it."""

from tests.support.content import KIB, MIB, some_bytes
from tests.support.link import Link
from tests.support.service import Actor, Service
from tests.support.site import Site
from tests.support.waiting import until

FILES = 4
SIZE = 3 * MIB
#: Some seconds for all of them: time enough to be in mid-transfer.
RATE = 6 * MIB
#: Many requests for one file: a transfer has a middle.
IN_BLOCKS = {"APP_AZURE_MAX_SINGLE_PUT_SIZE": "1", "APP_AZURE_MAX_BLOCK_SIZE": str(256 * KIB), "APP_AZURE_MAX_CONCURRENCY": "2"}


def in_mid_transfer(site: Site, link: Link, **settings: str) -> Service:
    """Several files on their way, some bytes of them sent, and one more that waits to be claimed."""
    service = site.serve(**IN_BLOCKS, **settings)
    service.start_session("s")
    link.limit(RATE)
    for number in range(FILES):
        site.write("s", f"{number}.bin", some_bytes(number, SIZE))
    until(
        lambda: sum(flight["done"] > 0 and flight["state"] == "uploading" for flight in service.status()["in_flight"]) >= 2,
        within=30,
        what=lambda: f"two files are in mid-transfer: {service.status()['in_flight']}",
    )
    site.write("s", "late.bin", b"late")
    return service


def replaced(service: Service, old: Actor) -> Actor:
    """The next process of the same actor, once it runs."""

    def runs() -> Actor | None:
        now = service.actors().get(old.name)
        return now if now and now.pid != old.pid and now.state == "running" else None

    return until(runs, within=30, what=lambda: f"{old.name} runs again\n{service.report()}")
