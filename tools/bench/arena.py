"""One run of one side from fresh folders and a fresh endpoint, with the clock and the CPU count around it. The benchmark's process."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.bench.endpoint import Endpoint, Place
from tools.bench.ground import Ground, Piece, Pool, fresh
from tools.bench.group import Group, new_group
from tools.bench.sides.side import Mover, Side

GB = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Arena:
    nfs: Path  # what stands in for NFS
    work: Path
    pool: Pool

    @contextmanager
    def enter(self, place: Place) -> Iterator[tuple[Ground, Endpoint]]:
        with fresh(self.nfs, self.work, self.pool) as ground, place(ground.work) as endpoint:
            yield ground, endpoint

    def keep_run(self, number: int) -> Path:
        """Puts aside what the run that has just gone wrong left behind, for the next one begins with removing it."""
        kept = self.work / f"failed-{number}"
        shutil.rmtree(kept, ignore_errors=True)
        (self.work / "run").rename(kept)
        shutil.rmtree(kept / "staging", ignore_errors=True)
        return kept

    def move(self, side: Side, place: Place, pieces: Sequence[Piece]) -> dict[str, float]:
        """Moves the pieces and checks that they arrived."""
        with self.enter(place) as (ground, endpoint), new_group() as group:
            ground.place(pieces)
            with side.launch(ground, endpoint, group) as mover:
                values = timed(mover, group, endpoint, pieces)
            ground.check(pieces, endpoint.landing.landed())
            return values


def timed(mover: Mover, group: Group, endpoint: Endpoint, pieces: Sequence[Piece]) -> dict[str, float]:
    """The measured part."""
    sink = endpoint.sink
    size = sum(piece.size for piece in pieces)
    sink_cpu = sink.totals()["cpu_s"] if sink else 0.0
    cpu = group.cpu_seconds()
    begun = time.monotonic()
    mover.begin()
    mover.wait(deadline_for(size, len(pieces)))
    wall = time.monotonic() - begun
    cpu = group.cpu_seconds() - cpu
    values = {
        "wall_s": wall,
        "cpu_s": cpu,
        "cpu_s_per_gb": cpu / (size / GB),
        "mb_per_s": size / 1e6 / wall,
        "files_per_s": len(pieces) / wall,
        "cpu_ms_per_file": cpu / len(pieces) * 1000,
    }
    if sink:
        totals = sink.totals()
        values["first_byte_s"] = totals["first_at"] - begun
        values["sink_cpu_s"] = totals["cpu_s"] - sink_cpu
        values["requests_per_file"] = sum(totals["requests"].values()) / len(pieces)
    return values


def deadline_for(size: int, files: int) -> float:
    """Generous: it is there to end a run that hangs."""
    return 120.0 + size / 10e6 + files / 20
