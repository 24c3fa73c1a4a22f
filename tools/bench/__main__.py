"""`python -m tools.bench`: measures all sides in turn, prints the tables, and writes the report and its plots."""

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tools.bench import report
from tools.bench.arena import Arena
from tools.bench.cases import kill, latency, moves, service, turns
from tools.bench.cases.case import Case
from tools.bench.cases.scale import FULL, MIB, QUICK, Scale
from tools.bench.endpoint import sink
from tools.bench.figures import Measurement, Results
from tools.bench.ground import Piece, Pool
from tools.bench.group import CHECKOUT, new_group
from tools.bench.machine import describe
from tools.bench.sides import floor, nfsw, plain, rclone
from tools.bench.sides.side import Side

CASES = (*moves.CASES, *turns.CASES, *kill.CASES, *service.CASES, *latency.CASES)
SIDES = ("nfsw", "nfsw-md5", "rclone", "rclone-1", "upload_blob", "cp+curl")
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a file system in memory, not a place for temporary names
WARM_UP = [Piece("warm-up.bin", 0, MIB)]
EXIT_WENT_WRONG = 1
EXIT_MISSING = 2


def main() -> int:
    options = _options()
    build = CHECKOUT / "build/bench"
    kept = build / "results.json"
    out = options.out or (build if options.quick else CHECKOUT / "docs")
    if options.again:
        return _write(Results.load(kept), CASES, out)
    scale = QUICK if options.quick else FULL
    if options.rounds:
        scale = replace(scale, rounds=options.rounds, long_rounds=options.rounds)
    sides = _sides(options.sides)
    if sides is None:
        return EXIT_MISSING
    cases = [case for case in CASES if case.name in options.cases]
    build.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="nfsw-bench-", dir=options.nfs or _memory_or(build, scale)) as nfs:
        with new_group() as group:
            results = Results(describe(Path(nfs), build, group.counted_by), scale.in_words())
        arena = Arena(Path(nfs), build, Pool(Path(nfs) / "pool", scale.pool_size))
        _measure(arena, scale, sides, cases, results, kept)
    return _write(results, cases, out)


def _write(results: Results, cases: Sequence[Case], out: Path) -> int:
    print(report.summary(results, cases))
    print(f"Written: {report.write(results, cases, out)}")
    return EXIT_WENT_WRONG if results.failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the harness; the report goes to build/bench")
    parser.add_argument("--rounds", type=int, help="of every case; the default depends on the case")
    parser.add_argument("--cases", type=_names([case.name for case in CASES]), default=[case.name for case in CASES])
    parser.add_argument("--sides", type=_names(SIDES), default=list(SIDES))
    parser.add_argument("--nfs", type=Path, help="folder that stands in for NFS, or is on NFS; default: in memory where it fits")
    parser.add_argument("--again", action="store_true", help="measure nothing: write the report of the latest results again")
    parser.add_argument("--out", type=Path, help="folder of the report; default: docs")
    return parser.parse_args()


def _names(known: Sequence[str]) -> "_Names":
    return _Names(known)


class _Names:
    """A list with commas of some of the known names."""

    def __init__(self, known: Sequence[str]) -> None:
        self._known = known

    def __call__(self, given: str) -> list[str]:
        names = given.split(",")
        if wrong := [name for name in names if name not in self._known]:
            raise argparse.ArgumentTypeError(f"{', '.join(wrong)}: not one of {', '.join(self._known)}")
        return names


def _sides(wanted: Sequence[str]) -> list[Side] | None:
    """In the order in which they take turns."""
    if not rclone.is_there() and any(name.startswith("rclone") for name in wanted):
        print(rclone.MISSING, file=sys.stderr)
        return None
    known: list[Side] = [
        nfsw.NfswSide(),
        nfsw.NfswSide.with_md5(),
        rclone.rclone(),
        rclone.rclone_one_by_one(),
        plain.plain(),
        floor.floor(),
    ]
    return [side for side in known if side.name in wanted]


def _memory_or(folder: Path, scale: Scale) -> Path:
    """In memory, so that no disk of ours takes part in what is measured; the pool and one run's files have to fit twice."""
    if SHARED_MEMORY.is_dir() and os.access(SHARED_MEMORY, os.W_OK) and shutil.disk_usage(SHARED_MEMORY).free > 6 * scale.pool_size:
        return SHARED_MEMORY
    return folder


def _measure(arena: Arena, scale: Scale, sides: Sequence[Side], cases: Sequence[Case], results: Results, kept: Path) -> None:
    """Kept after each run, and a run that goes wrong costs no other."""
    for side in sides:
        arena.move(side, sink, WARM_UP)
    for case in cases:
        taking_part = [side for side in sides if side.name in case.sides]
        for number in range(case.rounds(scale)):
            for side in taking_part:
                run, begun = f"{case.name} {number + 1}/{case.rounds(scale)} {side.name}", time.monotonic()
                try:
                    values = case.measure(arena, scale, side)
                except Exception:  # noqa: BLE001 - whatever it was, half an hour of other runs is not to be lost for it
                    results.failures.append(run)
                    print(f"{run} went wrong, its logs are in {arena.keep_run(len(results.failures))}", file=sys.stderr)
                    traceback.print_exc()
                else:
                    results.measurements.append(Measurement(case.name, side.name, number, values))
                    shown = "  ".join(f"{key}={value:.3g}" for key, value in values.items())
                    print(f"{run}: {shown}  [{time.monotonic() - begun:.0f} s]", flush=True)
                results.save(kept)


if __name__ == "__main__":
    sys.exit(main())
