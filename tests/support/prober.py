"""Asks a probe's question again and again, as a kubelet would, and notes each answer and how long it took. A process of its own,

so that nothing which the test does meanwhile is measured with it.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPException
from pathlib import Path

from tests.support.http import call
from tests.support.waiting import until

PAUSE_S = 0.05
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Look:
    at: float  # time.monotonic() of the question
    seconds: float
    status: int  # 0: no answer
    words: str


@dataclass(frozen=True, slots=True)
class Prober:
    path: Path

    def looks(self, since: float = 0.0, before: float = float("inf")) -> list[Look]:
        lines = self.path.read_text().split("\n")[:-1]
        return [look for look in (Look(**json.loads(line)) for line in lines) if since <= look.at < before]


@dataclass(frozen=True, slots=True)
class Times:
    """In milliseconds."""

    count: int
    p50: float
    p90: float  # not what a machine costs that runs nobody for a second: that is one look, or two
    p99: float
    most: float

    @classmethod
    def of(cls, looks: list[Look]) -> "Times":
        times = sorted(look.seconds * 1000 for look in looks)
        at = [times[min(len(times) - 1, len(times) * share // 100)] for share in (50, 90, 99, 100)]
        return cls(len(times), *(round(value, 1) for value in at))


@contextmanager
def probing(port: int, path: str, notes: Path) -> Iterator[Prober]:
    notes.touch()
    process = subprocess.Popen([sys.executable, "-m", "tests.support.prober", str(port), path, str(notes)])
    prober = Prober(notes)
    try:
        until(prober.looks, within=30, what="the first answer is noted")
        yield prober
    finally:
        process.kill()
        process.wait()


def main(port: str, path: str, notes: str) -> None:
    with Path(notes).open("a", buffering=1) as lines:
        while True:
            begun = time.monotonic()
            try:
                answer = call(int(port), "GET", path, timeout=TIMEOUT_S)
            except (OSError, HTTPException) as error:
                status, words = 0, repr(error)
            else:
                status, words = answer.status, answer.body.decode()
            lines.write(json.dumps(asdict(Look(begun, time.monotonic() - begun, status, words))) + "\n")
            time.sleep(PAUSE_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
