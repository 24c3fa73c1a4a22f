"""What the service has done and what is so at the moment, as metrics. Main process.

The exporter reads from a thread of its own, and the numbers belong to the main loop. So the loop takes a sample now and then,
whole and frozen, and the thread reads whichever is the latest: the numbers of one export fit together. Without an exporter
nothing is sampled.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from nfsw.actors.call_durations import DurationsByCall
from nfsw.actors.messages import DiskName
from nfsw.supervisor.assembly import MainProcess
from nfsw.supervisor.counters import Counters
from nfsw.supervisor.health import HealthState
from nfsw.supervisor.status import Disk
from nfsw.supervisor.tracked_file import Stage

#: Seconds between two samples.
SAMPLE_S = 1.0

#: In which state a claimed file is in flight. What is in none of these waits: for its next attempt, or to be found again.
_STATES = {Stage.QUEUED: "queued", Stage.STAGING: "staging", Stage.UPLOADING: "uploading", Stage.COMPLETING: "completing"}

type _Callback = Callable[[CallbackOptions], Iterable[Observation]]


@dataclass(frozen=True, slots=True)
class Sample:
    totals: Counters = field(default_factory=Counters)
    queued: int = 0  # files
    oldest_age_s: float = 0.0  # of the files that wait, seconds since it was seen first
    in_flight: Mapping[str, int] = field(default_factory=dict)  # claimed files, by state
    refused: int = 0  # files
    opened: int = 0  # files that are open for writing
    kept: int = 0  # files
    kept_bytes: int = 0
    staged: int = 0  # bytes
    restarts: Mapping[str, int] = field(default_factory=dict)  # by actor
    hangs_s: Mapping[str, float] = field(default_factory=dict)  # by actor; 0.0: it does not hang
    health: Mapping[str, int] = field(default_factory=dict)  # 1 for the state that holds, 0 for the others
    backlog: int = 0  # bytes
    export: Disk | None = None  # None: not measured yet
    calls: Mapping[str, DurationsByCall] = field(default_factory=dict)  # what NFS calls took, by actor


class Instruments:
    def __init__(self, meter: Meter, main: MainProcess, totals: Counters) -> None:
        self.latest = Sample()
        self._main = main
        self._files = main.files
        self._totals = totals
        self._count(meter)
        self._measure(meter)

    async def keep_sampling(self) -> None:
        """Until cancelled."""
        while True:
            self.latest = self.sample(time.monotonic())
            await asyncio.sleep(SAMPLE_S)

    def sample(self, now: float) -> Sample:
        waiting = [record.seen_at for record in self._files if record.stage in (Stage.QUEUED, Stage.WAITING)]
        refs, overview = self._main.supervisor.refs.values(), self._main.service.overview
        return Sample(
            totals=self._totals.copy(),
            queued=self._files.count(Stage.QUEUED),
            oldest_age_s=now - min(waiting, default=now),
            in_flight=self._in_flight(),
            refused=sum(record.refused is not None for record in self._files),
            opened=self._main.router.open_for_writing.count,
            kept=self._main.pipeline.kept.count,
            kept_bytes=self._main.pipeline.kept.size,
            staged=self._main.budget.used,
            restarts={ref.name: ref.restarts for ref in refs},
            hangs_s={ref.name: now - ref.hang.since if ref.hang else 0.0 for ref in refs},
            health={state: int(state is overview.health.state) for state in HealthState},
            backlog=overview.backlog.bytes,
            export=overview.disk(DiskName.EXPORT),
            calls={ref.name: ref.calls() for ref in refs},
        )

    def _count(self, meter: Meter) -> None:
        """Counters."""
        create, one, each = meter.create_observable_counter, self._one, self._each
        create("files.claimed", [each("found", lambda now: now.totals.claimed)], "{file}", "Files taken on: claimed, or found claimed")
        create(
            "files.processed",
            [one(lambda now: now.totals.completed)],
            "{file}",
            "Files in Azure, verified, and gone from NFS or kept there",
        )
        create("files.given_up", [each("reason", lambda now: now.totals.given_up)], "{file}", "Claimed files that are no longer ours")
        create("files.failed", [each("step", lambda now: now.totals.failed_at)], "{file}", "Files that failed at least one attempt")
        create("upload.sent", [one(lambda now: now.totals.bytes_sent)], "By", "Bytes that have left for Azure")
        create("upload.resent", [one(lambda now: now.totals.bytes_resent)], "By", "Of these, bytes that had left before")
        create("actor.restarts", [each("actor", lambda now: now.restarts)], "{restart}", "Actors that ended, and were replaced")

    def _measure(self, meter: Meter) -> None:
        """What goes up and down."""
        create, one, each = meter.create_observable_up_down_counter, self._one, self._each
        create("queue.depth", [one(lambda now: now.queued)], "{file}", "Stable files that wait to be claimed")
        create("files.in_flight", [each("state", lambda now: now.in_flight)], "{file}", "Claimed files that are not completed")
        create("files.open_for_writing", [one(lambda now: now.opened)], "{file}", "Files that would be taken if nobody had them open")
        create("files.refused", [one(lambda now: now.refused)], "{file}", "Files left where they are, for their name or size")
        create("staging.usage", [one(lambda now: now.staged)], "By", "What staging holds or has promised to hold")
        create("staging.limit", [one(lambda _: self._main.budget.limit)], "By", "What staging may hold")
        create("backlog.size", [one(lambda now: now.backlog)], "By", "Bytes that are known to be there and have not left for Azure")
        create("export.free", [self._export(lambda disk: disk.free)], "By", "What is free on the disk of the export")
        create("export.size", [self._export(lambda disk: disk.size)], "By", "The disk of the export")
        gauge = meter.create_observable_gauge
        gauge("service.health", [each("state", lambda now: now.health)], "{state}", "1 for the word that the status says, 0 for the others")
        gauge("queue.oldest_age", [one(lambda now: now.oldest_age_s)], "s", "Since the oldest file that waits was seen first")
        gauge("files.kept", [one(lambda now: now.kept)], "{file}", "Files in Azure that stay on NFS for a while, on the whole share")
        gauge("files.kept_size", [one(lambda now: now.kept_bytes)], "By", "Bytes of these files")
        gauge("actor.hang", [each("actor", lambda now: now.hangs_s)], "s", "How long the actor's NFS call has hung; 0: it does not")

    def _one(self, read: Callable[[Sample], float]) -> _Callback:
        return lambda _: [Observation(read(self.latest))]

    def _export(self, read: Callable[[Disk], float]) -> _Callback:
        return lambda _: [Observation(read(disk))] if (disk := self.latest.export) else []

    def _each(self, label: str, read: Callable[[Sample], Mapping[str, float]]) -> _Callback:
        return lambda _: [Observation(value, {label: key}) for key, value in read(self.latest).items()]

    def _in_flight(self) -> dict[str, int]:
        counts = Counter(_STATES[record.stage] for record in self._files if record.taken_on and record.stage in _STATES)
        return {state: counts[state] for state in _STATES.values()} | {"waiting": self._files.taken_on - counts.total()}
