"""Recordings as rosbag2 writes them: a folder for each, files that are written one after the other, and `metadata.yaml` at the end.

    day_<number>/rosbag2_<number>/rosbag2_<number>_<part>.mcap

Several recorders write at a time. A folder that is gone when a file is to be made in it is made again, as a recorder that retries does.
"""

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import FileIO
from math import ceil
from pathlib import Path

from tests.support.content import KIB, MIB, Content, some_bytes
from tests.support.site import Site

RECORDERS = 4
#: Recordings in the folder of a day.
_A_DAY = 10
_PART = 64 * KIB


@dataclass(slots=True)
class Recordings:
    """`files` files in `folders` folders below session `s`, written by several recorders in about `seconds` seconds."""

    site: Site
    files: int
    folders: int
    seconds: float
    seed: int
    remade: int = 0  # folders that were gone when a file was to be made in them
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _made_before: set[Path] = field(default_factory=set)

    def plan(self) -> list[list[str]]:
        """The names of the files of each recording, in the order in which they are written."""
        chance = random.Random(self.seed)
        recordings = max(number for number in range(1, self.folders) if number + ceil(number / _A_DAY) <= self.folders)
        counts = [self.files // recordings + (number < self.files % recordings) for number in range(recordings)]
        chance.shuffle(counts)
        return [list(self._names(number, count)) for number, count in enumerate(counts)]

    def made_of(self, plan: list[list[str]]) -> int:
        """How many folders there are in it."""
        return len({folder for names in plan for name in names for folder in Path(name).parents} - {Path()})

    def write(self) -> None:
        """Returns when all is written and closed."""
        plan = self.plan()
        turns = [plan[number::RECORDERS] for number in range(RECORDERS)]
        recorders = [threading.Thread(target=self._record, args=(number, turn)) for number, turn in enumerate(turns)]
        for recorder in recorders:
            recorder.start()
        for recorder in recorders:
            recorder.join()

    def _names(self, number: int, count: int) -> Iterator[str]:
        folder = f"day_{number // _A_DAY:03}/rosbag2_{number:04}"
        yield from (f"{folder}/rosbag2_{number:04}_{part}.mcap" for part in range(count - 1))
        yield f"{folder}/metadata.yaml"

    def _record(self, recorder: int, recordings: list[list[str]]) -> None:
        chance = random.Random(f"{self.seed} recorder {recorder}")
        pause = self.seconds / max(1, sum(len(names) for names in recordings))
        for names in recordings:
            for name in names:
                self._write(name, chance)
                time.sleep(chance.uniform(0, 2) * pause)

    def _write(self, name: str, chance: random.Random) -> None:
        content = some_bytes(chance.randrange(2**32), chance.choice((0, 1, 4 * KIB, 40 * KIB, 40 * KIB, 200 * KIB, MIB + 1)))
        with self._lock:
            self.site.expect("s", name, Content.of([content]))
        final = self.site.incoming("s") / name
        hidden = final.with_name(f".{final.name}") if name.endswith(".yaml") else None
        with self._made(hidden or final) as file:
            for start in range(0, len(content), _PART):
                file.write(content[start : start + _PART])
                if start and chance.random() < 0.1:
                    time.sleep(0.05)
        if hidden:
            hidden.rename(final)

    def _made(self, path: Path) -> FileIO:
        while True:
            try:
                return FileIO(path, "x")
            except FileNotFoundError:
                if path.parent in self._made_before:
                    self.remade += 1
                self._made_before.add(path.parent)
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                except FileNotFoundError:
                    continue  # one above it went meanwhile
