"""One run: Azurite with the witness before it, pods, writers, the checker, and the storm over all of it; then calm, and the account."""

import contextlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.azurite import Endpoint
from tests.support.blobs import Container
from tests.support.content import KIB, MIB
from tests.support.keeping import KeptWatch
from tests.support.proxy import fault_proxy
from tests.support.waiting import NeverHappened, until
from tools.soak.book import Book
from tools.soak.checker import Checker
from tools.soak.duties import Duties
from tools.soak.holders import Holders
from tools.soak.instants import Hunter
from tools.soak.noise import Noise
from tools.soak.pod import Pod
from tools.soak.report import Report
from tools.soak.sniper import Sniper
from tools.soak.storm import Storm
from tools.soak.witness import Witness
from tools.soak.writers import Ground, Writer

WRITERS = 4
#: So soon after the last kill all is in Azure, in seconds. A file that was in hand at three deaths in a row waits longer than others.
CALM_WITHIN_S = 300.0
#: So soon after a kept file is due it is deleted, in seconds, whatever is killed: a sweep, and a pod that was away or had to be restarted.
KEPT_WITHIN_S = 45.0
#: With several pods a killed one stays away for up to so many seconds, so that another can be quicker.
_AWAY_S = 8.0
#: The quiet time is long enough for writers that pause, on a machine that has other things to do as well.
_SETTINGS = {
    "APP_POLL_INTERVAL_S": "0.3",
    "APP_MIN_FILE_AGE_S": "1",
    "APP_GC_INTERVAL_S": "2",
    "APP_AZURE_MAX_SINGLE_PUT_SIZE": str(MIB),
    "APP_AZURE_MAX_BLOCK_SIZE": str(512 * KIB),
    "APP_AZURE_MAX_CONCURRENCY": "4",
    "APP_HOST": "127.0.0.1",
    "APP_PORT": "0",
}


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    kills: int
    seconds: float
    pods: int = 1
    folders: bool = False  # files lie in folders of the sessions too
    keep_s: float = 0.0  # for which files stay on NFS once they are in Azure

    @property
    def sessions(self) -> list[str]:
        """One fewer than pods, so that one pod is free; a single pod has one."""
        return [f"s{number}" for number in range(max(1, self.pods - 1))]


class Complaints(list[str]):
    def __call__(self, what: str) -> None:
        self.append(what)


def soak(plan: Plan, folder: Path, endpoint: Endpoint, container: Container) -> Report:
    """`folder`: empty, on a file system that has renameat2(2). `container`: made already."""
    begun = time.monotonic()
    complaints = Complaints()
    chance = random.Random(plan.seed)
    share, scratch = folder / "share", folder / "scratch"
    for path in (scratch, *(share / "incoming" / session for session in plan.sessions)):
        path.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        book = stack.enter_context(contextlib.closing(Book(folder / "journal")))
        witness = stack.enter_context(contextlib.closing(Witness(container, book, complaints)))
        proxy = stack.enter_context(fault_proxy(endpoint, witness.seen))
        sniper = stack.enter_context(Sniper())
        pods = stack.enter_context(_pods(plan, folder, proxy.endpoint, container, complaints))
        checker, holders = Checker(share, book, complaints, witness.catch_up), Holders(pods)
        storm = Storm(pods, Hunter(share, sniper, witness, proxy), book, chance)
        keeping = KeptWatch(share, plan.keep_s)
        looking, writing = Duties(complaints), Duties(complaints)
        for pod in pods:
            looking.add(f"kubelet of {pod.name}", pod.keep)
        looking.add("checker", checker.run)
        looking.add("watch over the sessions", holders.run)
        if plan.keep_s:
            looking.add("watch over kept files", keeping.run)
        ground = Ground(share / "incoming", scratch, book, Noise(chance), plan.folders)
        for number in range(WRITERS):
            writing.add(f"writer {number}", Writer(ground, plan.sessions, number, plan.seed).run)
        storm.run(plan.kills, plan.seconds, writing.enough)
        writing.end()
        _calm(plan, share, pods, book, complaints)
        looking.end()
        checker.look()
        blobs = checker.compare(container)
        _listen(pods, complaints)
        for early in keeping.early:
            complaints(f"DELETED EARLY: {early}")
        if keeping.longest_s > KEPT_WITHIN_S:
            complaints(f"KEPT FOR LONGER: by {keeping.longest_s:.1f} s")
        seconds = time.monotonic() - begun
        return Report(plan.seed, seconds, book, checker, witness, storm, pods, holders.takeovers, keeping, blobs, complaints)


@contextlib.contextmanager
def _pods(plan: Plan, folder: Path, endpoint: Endpoint, container: Container, complaints: Complaints) -> Iterator[list[Pod]]:
    """All started, and the sessions with them; nothing is left of them afterwards."""
    away = random.Random(f"{plan.seed} away")
    pods: list[Pod] = []
    try:
        for number in range(plan.pods):
            name, staging = f"pod-{number}", folder / f"staging-{number}"
            staging.mkdir()
            settings = {
                **_SETTINGS,
                "APP_RECURSIVE": str(plan.folders),
                "APP_KEEP_COMPLETED_S": str(plan.keep_s),
                "APP_NFS_ROOT": str(folder / "share"),
                "APP_STAGING_DIR": str(staging),
                "APP_POD_NAME": name,
                "APP_AZURE_CONNECTION_STRING": endpoint.connection_string,
                "APP_AZURE_CONTAINER": container.name,
            }
            away_s = (lambda: away.uniform(0, _AWAY_S)) if plan.pods > 1 else (lambda: 0.0)
            pods.append(Pod(name, folder / "pods", staging, settings, complaints, away_s))
            pods[-1].start()
        for pod, session in zip(pods, plan.sessions, strict=False):
            assert pod.service
            pod.service.ready().start_session(session)
        yield pods
    finally:
        for pod in pods:
            for life in pod.lives[-1:]:
                life.leave_nothing()


def _calm(plan: Plan, share: Path, pods: list[Pod], book: Book, complaints: Complaints) -> None:
    """Everything comes to rest: no file on the share, none in staging, every session held."""

    def left() -> list[Path]:
        folders = [share / "incoming", share / ".processing", share / ".nfsw/aside", *(pod.staging for pod in pods)]
        files = [Path(parent, name) for folder in folders for parent, _, names in folder.walk() for name in names]
        return files + [path for session in plan.sessions for path in (share / "incoming" / session).rglob("*/")]

    def at_rest() -> bool:
        return not book.owed() and not left() and {pod.session for pod in pods} >= set(plan.sessions)

    try:
        until(at_rest, within=CALM_WITHIN_S, what="")
    except NeverHappened:
        said = "\n".join(pod.service.report() for pod in pods if pod.service)
        held = {pod.name: pod.session for pod in pods}
        owed = [str(version) for version in book.owed()]
        complaints(f"no rest within {CALM_WITHIN_S:.0f} s: owed {owed}, left {[str(path) for path in left()]}, sessions {held}\n{said}")


def _listen(pods: list[Pod], complaints: Complaints) -> None:
    """What the service said of itself: an exception that nobody expected is a bug, whoever is killed around it."""
    for pod in pods:
        for life in pod.lives:
            if said := life.stderr.read_text(errors="replace"):
                complaints(f"{pod.name} on stderr: {said[-2000:]}")
            for line in life.log():
                if "exception" in line or "crashed" in line["message"]:
                    complaints(f"{pod.name} logs: {line}")
