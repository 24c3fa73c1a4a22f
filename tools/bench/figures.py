"""What was measured: plain values, kept as JSON beside the report so that it can be written again. The benchmark's process."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of one side in one case."""

    case: str
    side: str
    round: int
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class Spread:
    median: float
    least: float
    most: float

    @staticmethod
    def of(values: Sequence[float]) -> "Spread":
        return Spread(statistics.median(values), min(values), max(values))


@dataclass(slots=True)
class Results:
    machine: dict[str, str]
    sizes: list[str] = field(default_factory=list)  # of the cases, in words
    measurements: list[Measurement] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)  # runs that gave no figures: case, round and side

    def values(self, case: str, side: str, key: str) -> dict[int, float]:
        """By round."""
        return {one.round: one.values[key] for one in self.measurements if (one.case, one.side) == (case, side) and key in one.values}

    def spread(self, case: str, side: str, key: str) -> Spread | None:
        found = self.values(case, side, key)
        return Spread.of(list(found.values())) if found else None

    def ratio(self, case: str, key: str, side: str, against: str) -> Spread | None:
        """Round by round: what two sides did one after the other is compared, so that a drift of the machine falls out."""
        ours, theirs = self.values(case, side, key), self.values(case, against, key)
        both = [ours[number] / theirs[number] for number in ours.keys() & theirs.keys() if theirs[number]]
        return Spread.of(both) if both else None

    def sides(self, case: str) -> list[str]:
        return list(dict.fromkeys(one.side for one in self.measurements if one.case == case))

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @staticmethod
    def load(path: Path) -> "Results":
        raw = json.loads(path.read_text())
        raw["measurements"] = [Measurement(**one) for one in raw["measurements"]]
        return Results(**raw)


def percentile(values: Iterable[float], share: float) -> float:
    """The least value that at least `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, -int(-len(ordered) * share // 1) - 1))]
