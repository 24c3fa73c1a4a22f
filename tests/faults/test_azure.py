"""Azure in trouble: whatever it does to the requests for one file, the others go on, and the file arrives once it is over."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from uuid import uuid4

import pytest

from tests.support.azurite import Endpoint
from tests.support.blobs import Container
from tests.support.content import KIB, MIB, some_bytes
from tests.support.figures import Figure
from tests.support.processes import pss_bytes
from tests.support.proxy import FaultProxy, fault_proxy
from tests.support.proxy_rules import (
    BUSY,
    FORBIDDEN,
    SERVER_ERROR,
    Delay,
    Fault,
    LoseAnswer,
    NoAnswer,
    Reset,
    StopReading,
    Truncate,
    too_many,
)
from tests.support.service import Service
from tests.support.site import Site, site_in
from tests.support.waiting import until

BLOCK = 256 * KIB
#: Files of more than two blocks go up in blocks, others in one request.
SETTINGS = {"APP_AZURE_MAX_BLOCK_SIZE": str(BLOCK), "APP_AZURE_MAX_SINGLE_PUT_SIZE": str(2 * BLOCK), "APP_WORKERS": "4"}
SIZE = 8 * BLOCK

#: What happens to every block of a file. The service sees it at once.
BLOCK_FAULTS: dict[str, Fault] = {
    "500": SERVER_ERROR,
    "503": BUSY,
    "429": too_many(2),
    "403": FORBIDDEN,
    "reset in mid-body": Reset(after=BLOCK // 2),
    "truncated answer": Truncate(10),
    "lost answer": LoseAnswer(),
}
#: The same where only time tells. The service gives a request 60 s without a sign of life.
SILENT_FAULTS: dict[str, Fault] = {
    "stops reading in mid-body": StopReading(after=BLOCK // 2),
    "reads and never answers": NoAnswer(),
    "carries out and never answers": LoseAnswer(silent=True),
}


# One service for all tests of this file: each leaves it with nothing to do.


@pytest.fixture(scope="module")
def proxy(azurite: Endpoint) -> Iterator[FaultProxy]:
    with fault_proxy(azurite) as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, azurite: Endpoint, proxy: FaultProxy) -> Iterator[Site]:
    container = Container(azurite, f"faults-{uuid4().hex}")
    with site_in(tmp_path_factory.mktemp("site"), proxy.endpoint, container) as own:
        yield own
    container.close()


@pytest.fixture(scope="module")
def service(site: Site) -> Service:
    service = site.serve(**SETTINGS)
    service.start_session("s")
    return service


def commits(proxy: FaultProxy, *names: str) -> list[int]:
    """How often Azure made a blob of each of these files."""
    counted = proxy.commits()
    return [sum(count for blob, count in counted.items() if blob.endswith(f"/{name}")) for name in names]


def trouble(service: Service, name: str) -> str | None:
    """The error of a file's latest attempt, as the status has it."""
    [*shown] = [flight for flight in service.status()["in_flight"] if flight["file"] == name]
    return shown[0]["error"] if shown and shown[0]["attempts"] else None


@pytest.fixture(scope="module", autouse=True)
def silent(site: Site, service: Service, proxy: FaultProxy) -> Iterator[dict[str, float]]:
    """A file for each kind of silence, begun before all tests because each costs a minute; and when it was begun."""
    with ExitStack() as rules:
        for number, (kind, fault) in enumerate(SILENT_FAULTS.items()):
            rules.enter_context(proxy.failing(fault, comp="block", blob=f"*/{kind}.bin", skip=2, times=1))
            site.write("s", f"{kind}.bin", some_bytes(number, SIZE))
        yield dict.fromkeys(SILENT_FAULTS, time.monotonic())


@pytest.mark.parametrize("kind", BLOCK_FAULTS)
def test_blocks_that_fail_are_told_hold_up_nobody_and_arrive_afterwards(
    site: Site, service: Service, proxy: FaultProxy, kind: str, figure: Figure
) -> None:
    bad, *good = [f"{kind}-{role}.bin" for role in ("bad", "good-1", "good-2", "good-3", "good-4")]
    with proxy.failing(BLOCK_FAULTS[kind], comp="block", blob=f"*/{bad}", skip=2) as rule:
        site.write("s", bad, some_bytes(1, SIZE))
        told = until(lambda: trouble(service, bad), within=30, what=lambda: f"the error is told: {service.status()}")
        for number, name in enumerate(good):
            site.write("s", name, some_bytes(number, SIZE))
        for name in good:
            site.has_arrived("s", name, within=20)
    over = time.monotonic()
    site.has_arrived("s", bad, within=40)
    figure(kind, f"{rule.hits} requests failed; in Azure {time.monotonic() - over:.1f} s after it ended; told: {told}")
    assert rule.hits > 1
    assert "<" not in told, "it is for people"
    assert commits(proxy, bad, *good) == [1] * 5


@pytest.mark.parametrize("size", [SIZE, BLOCK], ids=["list", "put"])
@pytest.mark.parametrize("fault", [LoseAnswer(), Truncate(10), SERVER_ERROR], ids=lambda fault: type(fault).__name__)
def test_a_commit_that_fails_or_whose_answer_is_lost_makes_one_blob(
    site: Site, service: Service, proxy: FaultProxy, size: int, fault: Fault, figure: Figure, request: pytest.FixtureRequest
) -> None:
    name = f"{request.node.callspec.id}.bin"
    by_list = size > 2 * BLOCK
    with proxy.failing(fault, method="PUT", comp="blocklist" if by_list else None, blob=f"*/{name}", times=2) as rule:
        site.write("s", name, some_bytes(1, size))
        site.has_arrived("s", name, within=60)
    assert rule.hits > 0
    assert commits(proxy, name) == [1]
    [blob] = [blob for blob in proxy.commits() if blob.endswith(f"/{name}")]
    figure("answers spoiled, bytes sent again", (rule.hits, proxy.sent_again(blob)))
    assert proxy.sent_again(blob) == 0 or not by_list


def test_slow_answers_lose_nothing_and_send_nothing_twice(site: Site, service: Service, proxy: FaultProxy) -> None:
    with proxy.failing(Delay(1.0), blob="*/slow.bin"):
        site.write("s", "slow.bin", some_bytes(1, SIZE))
        site.has_arrived("s", "slow.bin", within=60)
    [blob] = [blob for blob in proxy.commits() if blob.endswith("/slow.bin")]
    assert proxy.commits()[blob] == 1
    assert proxy.sent_again(blob) == 0


@pytest.mark.parametrize("kind", ["refused", "503", "403"])
def test_all_files_go_on_soon_after_azure_is_back(site: Site, service: Service, proxy: FaultProxy, kind: str, figure: Figure) -> None:
    """Ten minutes of nothing, scaled down: long enough for the pauses to have grown."""
    names = [f"{kind}-all-{number}.bin" for number in range(6)]
    with proxy.refusing() if kind == "refused" else proxy.failing(BUSY if kind == "503" else FORBIDDEN):
        for number, name in enumerate(names):
            site.write("s", name, some_bytes(number, SIZE))
        until(
            lambda: sum(flight["attempts"] >= 3 and flight["error"] is not None for flight in service.status()["in_flight"]) >= 4,
            within=40,
            what=lambda: f"four files at their third attempt: {service.status()['in_flight']}",
        )
        assert service.call("GET", "/healthz").status == 200
        pauses = [flight["retry_in_s"] or 0.0 for flight in service.status()["in_flight"]]
    over = time.monotonic()
    site.all_arrived(within=60)
    figure(
        f"longest pause, and seconds from the end until all were in Azure ({kind})",
        (round(max(pauses), 1), round(time.monotonic() - over, 1)),
    )
    assert commits(proxy, *names) == [1] * 6


def test_memory_stays_flat_while_many_files_fail(site: Site, service: Service, proxy: FaultProxy, figure: Figure) -> None:
    with measuring(service) as measured:
        with proxy.failing(Reset(after=BLOCK // 2), comp="block", blob="*/memory-*"):
            names = [f"memory-{number}.bin" for number in range(30)]
            for number, name in enumerate(names):
                site.write("s", name, some_bytes(number, SIZE))
            already = service.status()["files"]["failed"]
            until(lambda: service.status()["files"]["failed"] >= already + 8, within=60, what="eight files have failed")
            before = max(measured)
            measured.clear()
            until(lambda: len(measured) > 16, within=60, what="eight more seconds of failures are measured")
        for name in names:
            site.has_arrived("s", name, within=90)
    figure("PSS of all processes, MiB: after eight files had failed, most ever after", (round(before / MIB), round(max(measured) / MIB)))
    assert max(measured) < before + 48 * MIB


def test_a_file_that_fails_for_ever_costs_the_others_little(site: Site, service: Service, proxy: FaultProxy, figure: Figure) -> None:
    """Its share of what is sent, which on a slow uplink is its share of the time."""
    good = [f"cheap-{number}.bin" for number in range(24)]
    with proxy.failing(FORBIDDEN, comp="block", blob="*/forever.bin") as rule:
        site.write("s", "forever.bin", some_bytes(1, SIZE))
        until(lambda: rule.hits, within=20, what="it has failed")
        for number, name in enumerate(good):
            site.write("s", name, some_bytes(number, 6 * MIB))
        for name in good:
            site.has_arrived("s", name, within=60)
        wasted = sum(request.received for request in proxy.requests() if request.blob.endswith("/forever.bin"))
        useful = sum(request.received for request in proxy.requests() if "/cheap-" in request.blob)
    figure("what it sent, in % of what the others sent", round(100 * wasted / useful, 2))
    assert wasted < 0.1 * useful, "seven attempts, with pauses that grow: the slower the machine, the more of them there are"
    site.has_arrived("s", "forever.bin", within=60)


def test_requests_that_nobody_answers_were_given_up_after_a_minute(
    site: Site, service: Service, proxy: FaultProxy, silent: dict[str, float], figure: Figure
) -> None:
    """The last test here: all the others had their files through meanwhile."""
    for kind, begun in silent.items():
        site.has_arrived("s", f"{kind}.bin", within=100)
        figure(f"{kind}: in Azure after at most s", round(time.monotonic() - begun, 1))
        assert [request.fault for request in proxy.requests() if request.blob.endswith(f"/{kind}.bin") and request.fault]
    assert commits(proxy, *(f"{kind}.bin" for kind in silent)) == [1] * len(silent)
    site.all_arrived()


@contextmanager
def measuring(service: Service) -> Iterator[list[int]]:
    """The PSS of all processes, twice a second, as long as it lasts."""
    measured: list[int] = []
    enough = threading.Event()

    def measure() -> None:
        while not enough.wait(0.5):
            measured.append(_pss(service))

    thread = threading.Thread(target=measure, name="measuring")
    thread.start()
    try:
        yield measured
    finally:
        enough.set()
        thread.join()


def _pss(service: Service) -> int:
    total = 0
    for process in service.processes():
        try:
            total += pss_bytes(process.pid)
        except OSError:  # it ended while we looked
            continue
    return total
