"""What a case is. The benchmark's process."""

from collections.abc import Callable
from dataclasses import dataclass

from tools.bench.arena import Arena
from tools.bench.cases.scale import Scale
from tools.bench.sides.side import Side

type Measure = Callable[[Arena, Scale, Side], dict[str, float]]


@dataclass(frozen=True, slots=True)
class Case:
    name: str  # on the command line and in the results
    title: str  # of its table
    measure: Measure
    rounds: Callable[[Scale], int]
    sides: tuple[str, ...] = ("nfsw", "rclone", "upload_blob")  # names of those that take turns
