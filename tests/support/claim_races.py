"""Writers on the export that do their worst in the one instant in which it could be overlooked. In the guest.

They work at the server, so that nothing between the service's calls is seen later by them than it has happened.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import batched
from pathlib import Path

from tests.support.second_node import Nodes
from tests.support.site import Site
from tests.support.waiting import until

#: How often a writer looks whether its instant has come. A fraction of the way to the server.
GLANCE_S = 0.001
#: As APP_WORKERS has it.
UPLOADED_AT_A_TIME = 4


@dataclass(slots=True)
class Trials:
    """What came of one writer's attempts."""

    names: list[str]
    wanted: dict[str, bytes] = field(default_factory=dict)  # what each file holds in the end
    hits: set[str] = field(default_factory=set)  # whose instant was met
    waited_s: dict[str, float] = field(default_factory=dict)  # how long a writer's open took

    def lost(self, site: Site) -> list[str]:
        """Files whose last bytes are neither in Azure nor on the share."""
        return [name for name in self.names if _in_azure(site, name) != self.wanted[name] and not _on_the_share(site, name)]


def all_gone(site: Site, names: Sequence[str], *, within: float) -> None:
    """Waits until no file of these names is on the share in any state."""
    until(
        lambda: not any(_on_the_share(site, name) for name in names),
        within=within,
        what=lambda: f"these have left the share: {[name for name in names if _on_the_share(site, name)]}\n{site.report()}",
    )


def rename_over(site: Site, prefix: str, count: int, *, pause_s: float) -> Trials:
    """Each file gets its next version by a rename over its name once it has its claimed name and while it still has its own.

    Returns when all have been renamed over.
    """
    trials = Trials(_names(prefix, count))
    made = site.nfs / "made"
    made.mkdir(exist_ok=True)
    for name in trials.names:
        trials.wanted[name] = f"the next version of {name}, longer than the one before".encode()
        (made / name).write_bytes(trials.wanted[name])
    firsts: dict[str, int] = {}

    def write() -> None:
        """One by one: claims at the same time refresh each other's view of their folders."""
        for name in trials.names:
            path = site.incoming("s") / name
            path.write_bytes(b"the first version")
            firsts[name] = path.stat().st_ino
            time.sleep(pause_s)

    with ThreadPoolExecutor(1) as writer:
        written = writer.submit(write)
        for name, _ in _as_they_are_claimed(site, trials.names):
            arrival = site.incoming("s") / name
            if arrival.exists() and arrival.stat().st_ino == firsts[name]:
                trials.hits.add(name)
            (made / name).rename(arrival)
        written.result()
    return trials


def append_before_the_delete(nodes: Nodes, prefix: str, count: int, *, step_s: float, patience_s: float) -> Trials:
    """Each file is opened while it is uploaded, and appended to some `step_s` after it has been marked `.completed`.

    One that is not marked within `patience_s` while it is open is appended to then: a hit is one that was marked.
    """
    trials = Trials(_names(prefix, count))

    def writer(name: str, file: int) -> None:
        [path] = (nodes.site.nfs / ".processing").glob(f"*/s/{name}*")
        marked = path.with_name(f"{name}.completed")
        if _happens(marked.exists, patience_s):
            trials.hits.add(name)
            time.sleep(trials.names.index(name) * step_s)
        more = b" and more, at the last moment"
        os.write(file, more)
        os.close(file)
        trials.wanted[name] += more

    for names in batched(trials.names, UPLOADED_AT_A_TIME):
        files = while_uploaded(nodes, trials, names, lambda path: os.open(path, os.O_WRONLY | os.O_APPEND))
        with ThreadPoolExecutor(count) as writers:
            for appended in [writers.submit(writer, name, file) for name, file in files.items()]:
                appended.result()
    return trials


def while_uploaded[T](nodes: Nodes, trials: Trials, names: Sequence[str], do: Callable[[Path], T]) -> dict[str, T]:
    """Writes files of these names, and does something to each while all of them are uploaded: none of it goes on before that is done."""
    nodes.link.hold()
    try:
        _write(nodes.site, trials, names)
        until(
            lambda: all(nodes.states().get(name) == "uploading" for name in names),
            within=60,
            what=lambda: f"all are uploaded: {nodes.states()}\n{nodes.site.report()}",
        )
        return {name: do(next((nodes.site.nfs / ".processing").glob(f"*/s/{name}"))) for name in names}
    finally:
        nodes.link.release()


def append_by_the_marked_name(site: Site, prefix: str, count: int, *, step_s: float) -> Trials:
    """Each file is opened by the name that it has when it is marked `.completed`, some `step_s` later, and appended to.

    A hit is one that was still there to be opened.
    """
    trials = _trials(site, prefix, count)

    def writer(name: str, path: Path) -> None:
        marked = path.with_name(f"{name}.completed")
        if not _happens(marked.exists, 60):
            raise AssertionError(f"{name} was not marked")
        time.sleep(trials.names.index(name) * step_s)
        with suppress(FileNotFoundError):
            file = os.open(marked, os.O_WRONLY | os.O_APPEND)
            more = b" and more, at the last moment"
            os.write(file, more)
            os.close(file)
            trials.hits.add(name)
            trials.wanted[name] += more

    with ThreadPoolExecutor(count) as writers:
        for appended in [writers.submit(writer, name, path) for name, path in _as_they_are_claimed(site, trials.names)]:
            appended.result()
    return trials


def open_while_leased(site: Site, folder: Path, prefix: str, count: int) -> Trials:
    """Each file is opened for writing, and closed, in the moment in which a client holds a lease on it. Notes how long that takes.

    `folder`: incoming/s, as the writers have it. A hit is one whose moment was met: a machine that runs nobody for a while may miss some.
    """
    trials = _trials(site, prefix, count)
    inodes = {(site.incoming("s") / name).stat().st_ino: name for name in trials.names}

    def writer(name: str, file: int) -> None:
        begun = time.monotonic()
        os.close(os.open(f"/proc/self/fd/{file}", os.O_WRONLY))  # whatever its name is by now
        trials.waited_s[name] = time.monotonic() - begun

    with ExitStack() as files, ThreadPoolExecutor(count) as writers:
        opened = {name: files.enter_context((folder / name).open("rb")).fileno() for name in trials.names}
        waiting = []
        enough = time.monotonic() + 15
        for _ in _moments(within=60):
            for inode in _leased() & inodes.keys():
                trials.hits.add(name := inodes.pop(inode))
                waiting.append(writers.submit(writer, name, opened[name]))
            if not inodes or (trials.hits and time.monotonic() > enough):
                break
        for one in waiting:
            one.result()
    return trials


def _trials(site: Site, prefix: str, count: int) -> Trials:
    trials = Trials(_names(prefix, count))
    _write(site, trials, trials.names)
    return trials


def _write(site: Site, trials: Trials, names: Sequence[str]) -> None:
    for name in names:
        trials.wanted[name] = f"the first version of {name}".encode()
        (site.incoming("s") / name).write_bytes(trials.wanted[name])


def _names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number:02}" for number in range(count)]


def _leased() -> set[int]:
    """Inodes on which a client of this kernel holds a lease: `1: LEASE ACTIVE READ 795 00:19:2 0 EOF`."""
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return {int(line[5].rpartition(":")[2]) for line in lines if line[1:4] == ["LEASE", "ACTIVE", "READ"]}


def claim_times(site: Site, names: Sequence[str], *, within: float) -> dict[str, float]:
    """When each of them was claimed, by time.monotonic(). Returns when all are."""
    return {name: time.monotonic() for name, _ in _as_they_are_claimed(site, names, within)}


def _as_they_are_claimed(site: Site, names: Sequence[str], within: float = 60) -> Iterator[tuple[str, Path]]:
    """Each name with its path in `.processing`, as soon as it is there."""
    missing, processing = set(names), site.nfs / ".processing"
    for _ in _moments(within):
        for folder in [processing / date / "s" for date in _names_in(processing)]:
            for name in missing & _names_in(folder):
                missing.remove(name)
                yield name, folder / name
        if not missing:
            return


def _names_in(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except FileNotFoundError:
        return set()


def _moments(within: float) -> Iterator[None]:
    """Again and again, a glance apart."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        yield
        time.sleep(GLANCE_S)
    raise AssertionError("the writer's moment has not come")


def _happens(condition: Callable[[], bool], within: float) -> bool:
    deadline = time.monotonic() + within
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(GLANCE_S)
    return met


def _on_the_share(site: Site, name: str) -> bool:
    return any(name in {path.name, path.name.removesuffix(".completed")} for path in _held(site))


def _held(site: Site) -> Iterator[Path]:
    for folder in ("incoming/s", ".processing", ".nfsw/aside"):
        yield from (site.nfs / folder).rglob("*")


def _in_azure(site: Site, name: str) -> bytes | None:
    blobs = [blob for blob in site.container.names() if blob.endswith(f"/s/{name}")]
    return site.container.bytes_of(max(blobs)) if blobs else None
