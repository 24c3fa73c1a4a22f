"""Files lie ready, and are moved: into a sink, a sink over TLS, Azurite, over a slow uplink; and none at all: the start.

The benchmark's process.
"""

import time
from functools import partial

from tools.bench.arena import Arena
from tools.bench.cases.case import Case
from tools.bench.cases.scale import Scale
from tools.bench.endpoint import emulator, sink, sink_over_tls
from tools.bench.group import new_group
from tools.bench.sides.nfsw import Nfsw
from tools.bench.sides.side import Side


def into_sink(arena: Arena, scale: Scale, side: Side) -> dict[str, float]:
    return arena.move(side, sink, scale.big())


def over_tls(arena: Arena, scale: Scale, side: Side) -> dict[str, float]:
    return arena.move(side, sink_over_tls, scale.big())


def into_azurite(arena: Arena, scale: Scale, side: Side) -> dict[str, float]:
    return arena.move(side, emulator, scale.big())


def small_files(arena: Arena, scale: Scale, side: Side) -> dict[str, float]:
    return arena.move(side, sink, scale.small())


def slow_uplink(arena: Arena, scale: Scale, side: Side) -> dict[str, float]:
    values = arena.move(side, partial(sink, cap=scale.cap), scale.one())
    return {**values, "wall_over_link": values["wall_s"] / (scale.one_size / scale.cap)}


def start(arena: Arena, _scale: Scale, side: Side) -> dict[str, float]:
    """The service until /readyz says 200; a program that finds nothing to move, from its start to its end."""
    with arena.enter(sink) as (ground, endpoint), new_group() as group:
        begun = time.monotonic()
        with side.launch(ground, endpoint, group) as mover:
            if not isinstance(mover, Nfsw):
                mover.begin()
                mover.wait(60)
            return {"start_s": time.monotonic() - begun, "start_cpu_s": group.cpu_seconds()}


LARGE = ("nfsw", "nfsw-md5", "rclone", "upload_blob", "cp+curl")

CASES = (
    Case("start", "Start", start, lambda scale: scale.rounds),
    Case("sink", "4 large files into a sink that discards", into_sink, lambda scale: scale.rounds, LARGE),
    Case("tls", "4 large files into the sink over TLS", over_tls, lambda scale: scale.rounds, LARGE),
    Case("azurite", "4 large files into Azurite", into_azurite, lambda scale: scale.rounds),
    Case("small", "Many small files into the sink", small_files, lambda scale: scale.rounds),
    Case("uplink", "One large file over a slow uplink", slow_uplink, lambda scale: scale.long_rounds),
)
