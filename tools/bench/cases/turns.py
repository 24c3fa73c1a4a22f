"""Four equal files over a slow uplink: when each of them is there, whether the numbers move meanwhile, and how soon a pause takes hold.

The benchmark's process.
"""

import statistics
import time
from functools import partial
from itertools import pairwise

from tests.support.http import call
from tools.bench.arena import Arena, timed
from tools.bench.cases.case import Case
from tools.bench.cases.meanwhile import meanwhile
from tools.bench.cases.scale import Scale
from tools.bench.endpoint import sink
from tools.bench.ground import WentWrong
from tools.bench.group import new_group
from tools.bench.sides.nfsw import Nfsw
from tools.bench.sides.side import Side
from tools.bench.sink.process import Sink

LOOK_EVERY_S = 0.2
#: Without a byte for so long the uplink is quiet: a portion of it takes 5 ms.
QUIET_S = 1.0
GLANCE_S = 0.01


def in_turn(arena: Arena, scale: Scale, side: Side) -> dict[str, float]:
    """The mean completion in units of what one file takes: 2.5 when they end one after the other, 4 when all end together."""
    pieces = scale.turns()
    one_s = scale.turns_size / scale.turns_cap
    with arena.enter(partial(sink, cap=scale.turns_cap)) as (ground, endpoint), new_group() as group:
        assert endpoint.sink is not None
        ground.place(pieces)
        with side.launch(ground, endpoint, group) as mover:
            moved: list[tuple[float, int]] = []
            begun = time.monotonic()
            if isinstance(mover, Nfsw):
                service = mover
                with meanwhile(lambda: moved.append(_progress(service)), every_s=LOOK_EVERY_S):
                    values = timed(mover, group, endpoint, pieces)
            else:
                values = timed(mover, group, endpoint, pieces)
        ground.check(pieces, endpoint.landing.landed())
        ended = [blob["committed_at"] - begun for blob in endpoint.sink.blobs().values()]
    values |= {"mean_completion": statistics.mean(ended) / one_s, "wall_over_link": values["wall_s"] / (4 * one_s)}
    if moved:
        values["longest_still_s"] = longest_still(moved)
    return values


def paused(arena: Arena, scale: Scale, side: Side) -> dict[str, float]:
    """No limit is set, the uplink is slow, and the tap is shut in the middle: until no byte arrives any more."""
    pieces = scale.turns()
    with arena.enter(partial(sink, cap=scale.pause_cap)) as (ground, endpoint), new_group() as group:
        assert endpoint.sink is not None
        ground.place(pieces)
        with side.launch(ground, endpoint, group) as service:
            assert isinstance(service, Nfsw)
            service.begin()
            while endpoint.sink.totals()["received"] < 4 * scale.pause_cap:
                time.sleep(GLANCE_S)
            begun = time.monotonic()
            if call(service.port, "POST", "/v1/uploads/pause").status != 200:
                raise WentWrong("uploads are not paused")
            return {"pause_s": _last_byte(endpoint.sink) - begun}


def _progress(service: Nfsw) -> tuple[float, int]:
    """When, and bytes that are done of all files."""
    status = service.status()
    return time.monotonic(), int(status["bytes"]["completed"]) + sum(int(file["done"]) for file in status["in_flight"])


def longest_still(moved: list[tuple[float, int]]) -> float:
    """Seconds, between the first byte and the last one."""
    changed = [at for (_, before), (at, done) in pairwise(moved) if done != before]
    return max((later - earlier for earlier, later in pairwise(changed)), default=0.0)


def _last_byte(running: Sink) -> float:
    """When the latest byte arrived, once there is quiet."""
    received, since = running.totals()["received"], time.monotonic()
    while time.monotonic() - since < QUIET_S:
        time.sleep(GLANCE_S)
        if (now := running.totals()["received"]) != received:
            received, since = now, time.monotonic()
    return since


CASES = (
    Case(
        "turns",
        "4 equal files over a slow uplink",
        in_turn,
        lambda scale: scale.turns_rounds,
        ("nfsw", "rclone", "rclone-1", "upload_blob"),
    ),
    Case("pause", "A pause on a slow uplink without a limit", paused, lambda scale: scale.long_rounds, ("nfsw",)),
)
