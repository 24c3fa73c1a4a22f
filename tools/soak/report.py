"""What the run is told in: figures for people, and whether it was well."""

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.support.content import MIB
from tests.support.keeping import KeptWatch
from tools.soak.book import Book, State
from tools.soak.checker import Checker
from tools.soak.holders import Takeover
from tools.soak.pod import Pod
from tools.soak.storm import Storm
from tools.soak.witness import Witness


@dataclass(frozen=True, slots=True)
class Report:
    seed: int
    seconds: float
    book: Book
    checker: Checker
    witness: Witness
    storm: Storm
    pods: Sequence[Pod]
    takeovers: Sequence[Takeover]
    keeping: KeptWatch
    blobs: int
    complaints: Sequence[str]

    @property
    def well(self) -> bool:
        return not (self.complaints or self.checker.lost or self.checker.differing)

    def lines(self) -> Iterator[str]:
        versions = self.book.all()
        states = Counter(version.state.value for version in versions)
        yield f"seed {self.seed}, {self.seconds:.0f} s"
        yield f"kills            {self.storm.count}"
        for (process, instant), count in sorted(self.storm.kills.items()):
            yield f"  {count:5}  {process:10} {instant}"
        yield f"hunts            {_hunts(self.storm.hunts)}"
        yield f"pod restarts     {_counts(sum((pod.restarts for pod in self.pods), Counter()))}"
        yield f"files            {len(self.book.names())} names, {self.blobs} blobs"
        yield f"versions         {len(versions)}: {_counts(states)}"
        written = sum(version.content.size for version in versions)
        yield f"bytes            {written / MIB:.0f} MiB written, {self.witness.bytes / MIB:.0f} MiB committed"
        yield f"commits          {len(self.witness.commits)}, of bytes that were not final yet {self.witness.early}"
        yield f"committed again  {self.witness.repeated} versions that were committed before"
        yield f"looks            {self.checker.looks} of the checker over everything"
        if self.takeovers:
            yield from _takeovers(self.takeovers)
        if self.keeping.keep_s:
            kept = self.keeping
            yield f"kept files       {kept.deleted} deleted, {kept.given_back} given back, {len(kept.early)} deleted early"
            yield f"  {kept.longest_s:5.1f} s       the longest time for which one was there after it was due"
        yield f"lost             {len(self.checker.lost)}"
        yield f"differing        {len(self.checker.differing)}"
        yield f"stuck            {len(self.checker.stuck)}"
        for complaint in self.complaints:
            yield f"WRONG: {complaint}"
        assert states[State.WRITING.value] == 0, "a writer has not finished"


def _takeovers(takeovers: Sequence[Takeover]) -> Iterator[str]:
    """A session is nobody's for as long as no pod is free for it, and for what a free one needs to see that."""
    for who, chosen in (
        ("by a free pod", [one.seconds for one in takeovers if one.by != one.of and one.was_free]),
        ("by one that came", [one.seconds for one in takeovers if one.by != one.of and not one.was_free]),
        ("taken back", [one.seconds for one in takeovers if one.by == one.of]),
    ):
        if chosen:
            yield f"session {who:16} {len(chosen)} times: median {statistics.median(chosen):.1f} s, longest {max(chosen):.1f} s"


def _hunts(hunts: Counter[tuple[str, bool]]) -> str:
    return ", ".join(f"{name} {hunts[name, True]} of {hunts[name, True] + hunts[name, False]}" for name in sorted({n for n, _ in hunts}))


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counter.items())) or "none"
