"""SIGKILL of every process at half of one large file, then a second start: how many bytes are sent again. The benchmark's process."""

import time
from functools import partial

from tools.bench.arena import Arena, deadline_for
from tools.bench.cases.case import Case
from tools.bench.cases.scale import MIB, Scale
from tools.bench.endpoint import sink
from tools.bench.ground import WentWrong
from tools.bench.group import new_group
from tools.bench.sides.side import Side
from tools.bench.sink.process import Sink

#: Blocks in flight for one file, nfsw's default.
CONCURRENCY = 8
GLANCE_S = 0.01


def killed(arena: Arena, scale: Scale, side: Side) -> dict[str, float]:
    pieces, deadline = scale.killed(), deadline_for(scale.kill_size, 1)
    with arena.enter(partial(sink, cap=scale.kill_cap)) as (ground, endpoint):
        assert endpoint.sink is not None
        ground.place(pieces)
        with new_group() as group, side.launch(ground, endpoint, group) as mover:
            mover.begin()
            _until_received(endpoint.sink, scale.kill_size // 2, deadline)
            group.kill()
        at_kill = endpoint.sink.totals()["received"]
        begun = time.monotonic()
        with new_group() as group, side.launch(ground, endpoint, group) as mover:
            mover.begin()
            mover.wait(deadline)
            wall = time.monotonic() - begun
        ground.check(pieces, endpoint.landing.landed())
        (blob,) = endpoint.sink.blobs().values()
        in_flight = CONCURRENCY * max(blob["sizes"].values(), default=0)
        resent = endpoint.sink.totals()["received"] - scale.kill_size
    return {
        "at_kill_mib": at_kill / MIB,
        "resent_mib": resent / MIB,
        "in_flight_mib": in_flight / MIB,
        "resent_over_in_flight": resent / in_flight if in_flight else 0.0,
        "whole_blocks_again": float(sum(part["completed"] - 1 for part in blob["parts"].values() if part["completed"] > 1)),
        "second_life_s": wall,
    }


def _until_received(running: Sink, size: int, deadline_s: float) -> None:
    deadline = time.monotonic() + deadline_s
    while running.totals()["received"] < size:
        if time.monotonic() > deadline:
            raise WentWrong(f"not half of the file was sent after {deadline_s:.0f} s")
        time.sleep(GLANCE_S)


CASES = (Case("kill", "SIGKILL of everything at half of one large file", killed, lambda scale: scale.long_rounds),)
