"""One small file at a time, at random moments: from the scan that makes it stable to its commit. The benchmark's process.

The scans are seen from outside (inotify). With no minimum age the rule is two equal scans, so the second scan that begins after the file
is there is the earliest moment at which it can be stable. What follows is all ours: decision, claim, staging, upload, commit.
"""

import random
import time

from tools.bench.arena import Arena
from tools.bench.cases.case import Case
from tools.bench.cases.scale import KIB, Scale
from tools.bench.endpoint import sink
from tools.bench.figures import percentile
from tools.bench.ground import Piece, WentWrong
from tools.bench.group import new_group
from tools.bench.sides.nfsw import AT_ONCE, NfswSide
from tools.bench.sides.side import Side
from tools.bench.sink.process import Sink
from tools.bench.watching import Watching

SIZE = 4 * KIB
POLL_S = 0.2
SETTINGS = {**AT_ONCE, "APP_POLL_INTERVAL_S": str(POLL_S)}
EARLIEST_S, LATEST_S = 0.05, 0.35  # pause before a file, so that it falls anywhere between two scans
DEADLINE_S = 30.0
GLANCE_S = 0.01


def latency(arena: Arena, scale: Scale, _side: Side) -> dict[str, float]:
    placed: dict[str, float] = {}
    with arena.enter(sink) as (ground, endpoint), new_group() as group:
        assert endpoint.sink is not None
        with NfswSide(SETTINGS).launch(ground, endpoint, group) as service, Watching(ground.incoming) as watching:
            service.begin()
            for number in range(scale.latency_files):
                time.sleep(random.uniform(EARLIEST_S, LATEST_S))  # noqa: S311 - a moment, not a secret
                piece = Piece(f"{number:04}.dat", number * SIZE, SIZE)
                ground.put(piece)
                placed[piece.name] = time.monotonic()
                _until_committed(endpoint.sink, number + 1)
            committed = {name.rpartition("/")[2]: blob["committed_at"] for name, blob in endpoint.sink.blobs().items()}
            left = {seen.name: seen.at for seen in watching.departures}
            scans = [seen.at for seen in watching.scans]
    stable = {name: sorted(scan for scan in scans if scan >= at)[1] for name, at in placed.items()}
    after_stable = [committed[name] - at for name, at in stable.items()]
    return {
        "stable_to_committed_p50_s": percentile(after_stable, 0.5),
        "stable_to_committed_p99_s": percentile(after_stable, 0.99),
        "claimed_to_committed_p50_s": percentile([committed[name] - left[name] for name in placed], 0.5),
        "written_to_committed_p50_s": percentile([committed[name] - at for name, at in placed.items()], 0.5),
    }


def _until_committed(running: Sink, files: int) -> None:
    """Asks the sink and leaves the folders alone: looking at them would be taken for a scan."""
    deadline = time.monotonic() + DEADLINE_S
    while running.totals()["committed"] < files:
        if time.monotonic() > deadline:
            raise WentWrong(f"file {files} is not committed after {DEADLINE_S:.0f} s")
        time.sleep(GLANCE_S)


CASES = (Case("latency", "One small file at a time", latency, lambda scale: scale.long_rounds, ("nfsw",)),)
