"""Takes the NFS server away and gives it back while a service works, and measures what the service made of it. In the guest."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.support.content import KIB, MIB, some_bytes
from tests.support.figures import Figure
from tests.support.prober import Look, Prober, Times, probing
from tests.support.service import Service
from tests.support.site import Site
from tests.support.uml_server import stopped, unreachable
from tests.support.waiting import until

#: The guest has one processor, and a busy host may not run it for some seconds: less than this would take that for a hang.
HANG_S = 5.0
POLL_S = 0.5
SETTINGS = {"APP_HANG_TIMEOUT_S": str(HANG_S), "APP_POLL_INTERVAL_S": str(POLL_S), "APP_HANG_ESCALATE_S": "60"}
#: So that files of some MiB are seen to make progress.
IN_BLOCKS = {"APP_AZURE_MAX_BLOCK_SIZE": str(512 * KIB), "APP_AZURE_MAX_SINGLE_PUT_SIZE": str(MIB)}
#: How soon after the return the service has to be ready: two polls, and what a box with other things to do needs for them.
#: To that comes the kernel's own delay. A refused RPC is sent again after 3 s; lost packets, by TCP, after about as long as they were lost.
BACK_WITHIN_S = 2 * POLL_S + 20.0

#: What the storm's writer makes, and at which pace.
_SIZES = (0, 1, 4 * KIB, 300 * KIB, MIB, 2 * MIB)
#: Between two files, in seconds; more in a long storm, because the guest's disk is in memory.
_PAUSE_S = 0.3
_MOST_FILES = 700
#: Seconds from one outage to the next, at random between these.
_CALM_S = (0.5, 4.0)

type Kind = Callable[[], AbstractContextManager[None]]

#: A stopped server refuses connections and forgets its state; a cut wire loses packets and tells nobody.
KINDS: dict[str, Kind] = {"stopped": stopped, "cut": unreachable}


@dataclass(slots=True)
class Outage:
    """Times are of time.monotonic()."""

    kind: str
    begun: float
    ended: float = 0.0

    @property
    def seconds(self) -> float:
        return self.ended - self.begun

    def looks(self, prober: Prober) -> list[Look]:
        return prober.looks(self.begun, self.ended)


@contextmanager
def outage(kind: str) -> Iterator[Outage]:
    begun = time.monotonic()
    with KINDS[kind]():
        one = Outage(kind, begun)
        yield one
    one.ended = time.monotonic()


def running(site: Site, **changes: str) -> Service:
    """A service in the middle of its life: its session is active, and a file has gone all its way."""
    service = site.serve(**SETTINGS | changes)
    service.start_session("s")
    site.write("s", "first.bin", b"first")
    site.has_arrived("s", "first.bin")
    return service


def await_unready(service: Service) -> str:
    """What /readyz says once the service has noticed that the server is away."""
    return until(lambda: _unready_words(service), within=HANG_S + 25, what=lambda: f"/readyz is 503\n{service.report()}")


def await_ready(one: Outage, service: Service) -> float:
    """Seconds from the server's return until every actor runs and none waits any more."""
    within = BACK_WITHIN_S + one.seconds
    until(
        lambda: service.call("GET", "/readyz").status == 200,
        within=within,
        what=lambda: f"/readyz 200: {service.call('GET', '/readyz').body!r}\n{service.report()}",
    )
    return time.monotonic() - one.ended


def _unready_words(service: Service) -> str:
    answer = service.call("GET", "/readyz")
    return answer.detail if answer.status == 503 else ""


def probe_times(outages: list[Outage], prober: Prober) -> Times:
    """Of the questions asked while the server was away."""
    return Times.of([look for one in outages for look in one.looks(prober)])


class _Writer:
    """Writes files at the server, outages or not, as a client on another network would. A thread."""

    def __init__(self, site: Site, chance: random.Random, pause_s: float) -> None:
        self._site = site
        self._pause_s = pause_s
        self._chance = chance
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer")
        self.files = 0
        self.bytes = 0

    def __enter__(self) -> "_Writer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._enough.wait(self._pause_s):
            content = some_bytes(self.files, self._chance.choice(_SIZES))
            self._site.write("s", f"{self.files}.bin", content)
            self.files += 1
            self.bytes += len(content)


def storm(site: Site, service: Service, lengths: list[float], *, seed: int, notes: Path, figure: Figure) -> None:
    """One outage after the other, of these lengths in seconds, at moments that `seed` decides, while files are written and moved."""
    chance = random.Random(seed)
    told: list[Outage] = []
    ready: list[float] = []
    with probing(service.port, "/healthz", notes) as prober:
        with _Writer(site, random.Random(seed), max(_PAUSE_S, sum(lengths) / _MOST_FILES)) as writer:
            for length in lengths:
                _pass(chance.uniform(*_CALM_S))
                with outage(chance.choice(list(KINDS))) as one:
                    _pass(length)
                told.append(one)
                ready.append(await_ready(one, service))
        site.all_arrived(within=180)
        times, calm = probe_times(told, prober), Times.of(prober.looks(before=told[0].begun))
        wrong = [look for look in prober.looks() if look.status != 200]
    figure("outages", [f"{one.kind} {one.seconds:.1f} s" for one in told])
    figure("files and MiB written meanwhile, all arrived", (writer.files, round(writer.bytes / MIB)))
    figure("/healthz in the outages: looks, p50, p99, max (ms)", (times.count, times.p50, times.p99, times.most))
    figure("/healthz before them: looks, p50, p99, max (ms)", (calm.count, calm.p50, calm.p99, calm.most))
    figure("seconds from the return until /readyz is 200: median, max", (round(median(ready), 1), round(max(ready), 1)))
    assert not wrong, wrong[:3]
    assert times.p90 < 1000, "a kubelet's probe gives up after 1 s"


def _pass(seconds: float) -> None:
    """The length of an outage is its nature, not a wait for the service."""
    time.sleep(seconds)
