"""`python -m tools.scan`: what one scan of a large directory costs beside bare `os.scandir` and `stat`, in turns in one run.

Three states of the directory: files that are seen for the first time, files that are pending (seen before, too young), and files
of another extension than the wanted one, of which only the names are read. Besides, a smaller directory whose files are all quiet
and all kept open for writing: what they cost a scan for as long as that lasts. At the end a tree with a file in each of its folders, which
takes several scans.
"""

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from nfsw.actors.call_board import CallBoard
from nfsw.actors.config import ScannerConfig
from nfsw.actors.messages import ArrivalsCounted, OpenForWriting, WatchedSessions
from nfsw.actors.scanner import Scanner

SESSION = "s"
LARGEST = 1 << 40


def main() -> int:
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("--entries", type=int, default=100_000)
    wanted.add_argument("--rounds", type=int, default=7)
    wanted.add_argument("--open", type=int, default=10_000, help="files that are kept open for writing")
    wanted.add_argument("--folders", type=int, default=10_000, help="folders of the tree")
    wanted.add_argument(
        "--root", help="folder in which the directories are made, such as an NFS mount; default: the one for temporary files"
    )
    given = wanted.parse_args()
    with tempfile.TemporaryDirectory(dir=given.root) as root:
        folder = _folder(root)
        for number in range(given.entries):
            (folder / f"{number:06}.dat").touch()
        _compare(root, str(folder), given.rounds)
    with tempfile.TemporaryDirectory(dir=given.root) as root:
        _keep_open(root, given.open, given.rounds)
    with tempfile.TemporaryDirectory(dir=given.root) as root:
        _walk(root, given.folders)
    return 0


def _folder(root: str) -> Path:
    folder = Path(root, "incoming", SESSION)
    folder.mkdir(parents=True)
    Path(root, ".processing").mkdir()
    return folder


def _keep_open(root: str, files: int, rounds: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (files + 100, max(files + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    folder = _folder(root)
    writers = [os.open(folder / f"{number:06}.dat", os.O_WRONLY | os.O_CREAT) for number in range(files)]
    board = CallBoard(CallBoard.create(4), 4)
    scanner = _scanner(root, "", board, age_s=0.0)
    told: list[object] = []
    while not any(isinstance(message, OpenForWriting) and message.count == files for message in told):
        scanner.on_tick(told.append)
    seconds: list[float] = []
    cpu: list[float] = []
    calls: list[float] = []
    for _ in range(rounds):
        before = time.perf_counter(), time.process_time(), board.finished()
        scanner.on_tick(_nobody)
        for values, since, now in zip(
            (seconds, cpu, calls), before, (time.perf_counter(), time.process_time(), board.finished()), strict=True
        ):
            values.append(now - since)
    took = f"{statistics.median(seconds):6.3f} s, {statistics.median(cpu):.3f} CPU-s, {statistics.median(calls):.0f} calls"
    print(f"a scan, {files} files kept open:   {took}; most {max(seconds):.3f} s")
    for writer in writers:
        os.close(writer)


def _walk(root: str, folders: int) -> None:
    top = _folder(root)
    for number in range(folders):
        folder = top / f"{number // 100:04}" / f"{number:06}"
        folder.mkdir(parents=True)
        (folder / "file").touch()
    scanner, waiting = _scanner(root, "", recursive=True), 0
    seconds: list[float] = []

    def note(message: object) -> None:
        nonlocal waiting
        if isinstance(message, ArrivalsCounted):
            waiting = message.files

    while waiting < folders:
        begun = time.perf_counter()
        scanner.on_tick(note)
        seconds.append(time.perf_counter() - begun)
    print(
        f"a tree, {folders} folders with a file:   {len(seconds)} scans, median {statistics.median(seconds):.3f} s, most {max(seconds):.3f}"
    )


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


def _scanner(root: str, extension: str, board: CallBoard | None = None, age_s: float = 3600.0, *, recursive: bool = False) -> Scanner:
    config = ScannerConfig(root, 1.0, age_s, 3600.0, (extension,) if extension else (), LARGEST, recursive)
    scanner = Scanner(config, board or CallBoard(CallBoard.create(4), 4))
    scanner.on_message(WatchedSessions(SESSION, frozenset({SESSION}), frozenset()), _nobody)
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
