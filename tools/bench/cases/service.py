"""What the service costs and how it answers: memory, CPU when idle, bytes read from NFS, /healthz under load. The benchmark's process."""

import time
from pathlib import Path

from tests.support.http import call
from tools.bench.arena import Arena, timed
from tools.bench.cases.case import Case
from tools.bench.cases.meanwhile import meanwhile
from tools.bench.cases.scale import Scale
from tools.bench.endpoint import sink
from tools.bench.figures import percentile
from tools.bench.ground import WentWrong
from tools.bench.group import new_group, pss_of
from tools.bench.sides.nfsw import Nfsw, NfswSide
from tools.bench.sides.side import Side

MB = 1_000_000
SETTLED_AFTER_S = 10.0
PSS_EVERY_S = 0.1
PROBE_EVERY_S = 0.01
#: The actors that touch NFS. All that they read are files there, and a little of their own code before the clock starts.
NFS_ACTORS = {"keeper", "scanner", "claimer", "collector"}


def idle(arena: Arena, scale: Scale, _side: Side) -> dict[str, float]:
    """Default settings, a session is active, nothing comes."""
    with (
        arena.enter(sink) as (ground, endpoint),
        new_group() as group,
        NfswSide(settings={}).launch(ground, endpoint, group) as service,
    ):
        service.begin()
        time.sleep(min(SETTLED_AFTER_S, scale.idle_s))
        before, begun = group.cpu_seconds(), time.monotonic()
        time.sleep(scale.idle_s)
        used, lasted = group.cpu_seconds() - before, time.monotonic() - begun
        return {"idle_cpu_percent": used / lasted * 100, "idle_pss_mb": pss_of(group.pids()) / MB}


def loaded(arena: Arena, scale: Scale, side: Side) -> dict[str, float]:
    """Memory while four files are in flight, the greatest sum that was seen; for nfsw also what it read from NFS."""
    pieces = scale.loaded()
    with arena.enter(sink) as (ground, endpoint), new_group() as group:
        ground.place(pieces)
        with side.launch(ground, endpoint, group) as mover:
            samples: list[float] = []
            before = _nfs_bytes(mover) if isinstance(mover, Nfsw) else 0
            with meanwhile(lambda: samples.append(pss_of(group.pids())), every_s=PSS_EVERY_S):
                values = timed(mover, group, endpoint, pieces)
            if isinstance(mover, Nfsw):
                values["nfs_read_over_size"] = (_nfs_bytes(mover) - before) / sum(piece.size for piece in pieces)
        ground.check(pieces, endpoint.landing.landed())
        return {**values, "loaded_pss_mb": max(samples) / MB}


def probed(arena: Arena, scale: Scale, side: Side) -> dict[str, float]:
    """As a kubelet asks: a new connection each time."""
    pieces = scale.loaded()
    with arena.enter(sink) as (ground, endpoint), new_group() as group:
        ground.place(pieces)
        with side.launch(ground, endpoint, group) as service:
            assert isinstance(service, Nfsw)
            port, answers = service.port, list[float]()
            with meanwhile(lambda: answers.append(_probe(port)), every_s=PROBE_EVERY_S):
                timed(service, group, endpoint, pieces)
        return {
            "healthz_p50_ms": percentile(answers, 0.5) * 1000,
            "healthz_p99_ms": percentile(answers, 0.99) * 1000,
            "healthz_max_ms": max(answers) * 1000,
            "probes": float(len(answers)),
        }


def _probe(port: int) -> float:
    answer = call(port, "GET", "/healthz")
    if answer.status != 200:
        raise WentWrong(f"/healthz says {answer.status}")
    return answer.seconds


def _nfs_bytes(service: Nfsw) -> int:
    """What read(2) and its kin have returned to the NFS actors: page cache or not, an upper bound of what came over the wire."""
    total = 0
    for name, pid in service.pids().items():
        if name in NFS_ACTORS:
            lines = Path(f"/proc/{pid}/io").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("rchar:"))
    return total


CASES = (
    Case("loaded", "Memory with four files in flight", loaded, lambda scale: scale.long_rounds),
    Case("healthz", "/healthz under full load", probed, lambda scale: scale.long_rounds, ("nfsw",)),
    Case("idle", "Idle", idle, lambda _scale: 1, ("nfsw",)),
)
