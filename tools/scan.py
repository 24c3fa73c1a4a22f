"""`python -m tools.scan`: what one scan of a large directory costs beside bare `os.scandir` and `stat`, in turns in one run.

Three states of the directory: files that are seen for the first time, files that are pending (seen before, too young), and files
of another extension than the wanted one, of which only the names are read.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from nfsw.actors.board import Board
from nfsw.actors.config import ScannerConfig
from nfsw.actors.messages import Watch
from nfsw.actors.scanner import Scanner

SESSION = "s"
LARGEST = 1 << 40


def main() -> int:
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("--entries", type=int, default=100_000)
    wanted.add_argument("--rounds", type=int, default=7)
    given = wanted.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, "incoming", SESSION)
        folder.mkdir(parents=True)
        Path(root, ".processing").mkdir()
        for number in range(given.entries):
            (folder / f"{number:06}.dat").touch()
        _compare(root, str(folder), given.rounds)
    return 0


def _compare(root: str, folder: str, rounds: int) -> None:
    costs: dict[str, list[float]] = {}

    def took(what: str, scan: Callable[[], object]) -> None:
        begun = time.perf_counter()
        scan()
        costs.setdefault(what, []).append(time.perf_counter() - begun)

    for _ in range(rounds):
        scanner, other = _scanner(root, ""), _scanner(root, ".bin")
        took("bare scandir and stat", partial(_bare, folder, stats=True))
        took("a first scan", partial(scanner.on_tick, _nobody))
        took("a scan, files pending", partial(scanner.on_tick, _nobody))
        took("bare scandir", partial(_bare, folder, stats=False))
        took("a scan, all of another extension", partial(other.on_tick, _nobody))
    medians = {what: statistics.median(seconds) for what, seconds in costs.items()}
    for what, median in medians.items():
        bare = medians["bare scandir" if "extension" in what else "bare scandir and stat"]
        print(f"{what + ':':<36}{median:6.3f} s, {median / bare:5.2f} of bare; least {min(costs[what]):.3f}, most {max(costs[what]):.3f}")


def _scanner(root: str, extension: str) -> Scanner:
    scanner = Scanner(ScannerConfig(root, 1.0, 3600.0, 3600.0, (extension,) if extension else (), LARGEST), Board(Board.create(4), 4))
    scanner.on_message(Watch(SESSION, frozenset({SESSION}), frozenset()), _nobody)
    return scanner


def _nobody(_: object) -> None:
    """Nothing here is told to anyone."""


def _bare(folder: str, *, stats: bool) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False) and stats:
                entry.stat(follow_symlinks=False)


if __name__ == "__main__":
    sys.exit(main())
