"""The record of one file: what is known of it and who works on it, in one place. Main process, in memory alone.

A file has a record from the moment at which the Scanner reports it, or something of it is found in staging, until nothing is left
of it. Status, metrics, traces, admission and retries read the record; none keeps a copy. All of it can be read off the disks again.
"""

import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from nfsw.actors.files import Arrival, File, FileRef, Fingerprint
from nfsw.actors.messages import Outage, Uploaded
from nfsw.supervisor.actor_ref import Request
from nfsw.supervisor.trace import FileTrace


class Stage(Enum):
    #: Nobody works on it: it is refused, or a report of the Scanner is awaited, or only its staged copy is left.
    UNSEEN = "unseen"
    #: Stable; it waits for its first admission.
    QUEUED = "queued"
    #: With the Claimer; its first blocks may be on their way to Azure.
    STAGING = "staging"
    #: Staged; with the Uploader alone.
    UPLOADING = "uploading"
    #: In Azure; with the Collector.
    COMPLETING = "completing"
    #: It failed, and waits for its next attempt.
    WAITING = "waiting"


#: With an actor.
UNDER_WAY = (Stage.STAGING, Stage.UPLOADING, Stage.COMPLETING)


class RateMeter:
    """Bytes per second over the last seconds."""

    _WINDOW_S = 5.0

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def note(self, done: int, now: float) -> None:
        if self._samples and done < self._samples[-1][1]:
            self._samples.clear()
        if len(self._samples) < 2 or now - self._samples[-2][0] >= 0.2:
            self._samples.append((now, done))
        else:
            self._samples[-1] = (now, done)
        while len(self._samples) > 2 and self._samples[1][0] < now - self._WINDOW_S:
            self._samples.popleft()

    def rate(self, now: float) -> float:
        if not self._samples:
            return 0.0
        since, first = self._samples[0]
        _, last = self._samples[-1]
        return (last - first) / max(now - since, 1e-3) if last > first and now - self._samples[-1][0] < self._WINDOW_S else 0.0


@dataclass(slots=True, eq=False)
class TrackedFile:
    """Changed by `TrackedFiles` (name, stage), `StagingBudget` (room in staging), `Scheduler` (pauses) and `Pipeline` (the rest) alone."""

    file: File
    version: Fingerprint
    stage: Stage = Stage.UNSEEN
    #: Nobody had it open for writing when it was seen stable; it is taken only if that is so still.
    leased: bool = False
    #: What its writer has left beside it, and has to be there still when it is claimed; None: it needs none.
    marker: Fingerprint | None = None
    #: It had its claimed name when it was seen: an earlier process may have sent it.
    found_claimed: bool = False
    #: It is claimed and not yet completed, given up or gone: it counts as taken on.
    taken_on: bool = False
    seen_at: float = field(default_factory=time.monotonic)  # when a scan saw it first of all (seconds, CLOCK_MONOTONIC)

    staged: int = 0  # bytes
    staged_whole: bool = False  # the staged copy is complete
    restage: bool = False  # what is staged is worthless
    bad_copies: int = 0
    reserved: int = 0  # bytes of staging that it holds or may grow to
    reserved_since: float = 0.0  # seconds, monotonic
    evicting: bool = False  # its staged copy is being removed for others

    attempts: int = 0  # to upload it
    first_attempt_at: float = 0.0  # seconds, monotonic
    left: int = 0  # bytes that Azure holds, or that have left for it in requests that are not answered yet
    sent: int = 0  # bytes that have left, again and again if need be: what the uplink has carried
    uploaded: Uploaded | None = None  # once it is in Azure
    meter: RateMeter | None = None  # once it is being staged or sent

    refused: str | None = None  # why it is not taken
    abandoned: bool = False  # it is refused because an operator has given up on it
    error: str | None = None  # of the latest failed attempt
    outage: Outage | None = None  # that caused it
    upload_refused: bool = False  # by Azure, the last time
    refused_for_good: bool = False  # the same, and only people can lift it
    failures: int = 0  # in a row, of the same cause
    not_before: float | None = None  # of the next attempt (seconds, monotonic); None: it waits for none
    soonest: float = 0.0  # the same, whatever outage is over meanwhile

    staging: Request | None = None  # with the Claimer
    sending: Request | None = None  # with the Uploader
    trace: FileTrace | None = None  # while a span of it is open

    def moved(self, done: int) -> None:
        """So many bytes are staged, or have left, by now."""
        self.meter = self.meter or RateMeter()
        self.meter.note(done, time.monotonic())

    @property
    def next_stage(self) -> Stage:
        """Where it goes once it is admitted."""
        if self.uploaded:
            return Stage.COMPLETING
        return Stage.UPLOADING if self.staged_whole and not self.restage else Stage.STAGING

    @property
    def traceparent(self) -> str | None:
        return self.trace.traceparent if self.trace else None

    @property
    def done(self) -> int:
        """Bytes staged while it is being staged, else bytes that have left."""
        return self.staged if self.stage is Stage.STAGING or not self.attempts else self.left


class TrackedFiles:
    """All records, by name. A name changes when the file is claimed."""

    def __init__(self) -> None:
        self._by_file: dict[File, TrackedFile] = {}
        self._claimed: dict[tuple[str, str], set[TrackedFile]] = {}  # by session and name, of whatever date
        self._by_stage: Counter[Stage] = Counter()
        self.taken_on = 0  # claimed files that are not yet completed, given up or gone

    def __iter__(self) -> Iterator[TrackedFile]:
        return iter(self._by_file.values())

    def get(self, file: File) -> TrackedFile | None:
        return self._by_file.get(file)

    def add(self, record: TrackedFile) -> TrackedFile:
        """There must be none of its name."""
        assert record.file not in self._by_file
        self._by_file[record.file] = record
        self._by_stage[record.stage] += 1
        if isinstance(record.file, FileRef):
            self._claimed.setdefault((record.file.session, record.file.name), set()).add(record)
        return record

    def remove(self, record: TrackedFile) -> None:
        del self._by_file[record.file]
        self._by_stage[record.stage] -= 1
        if isinstance(record.file, FileRef):
            same_name = self._claimed[record.file.session, record.file.name]
            same_name.remove(record)
            if not same_name:
                del self._claimed[record.file.session, record.file.name]
        self.set_taken_on(record, taken_on=False)

    def rename(self, record: TrackedFile, file: FileRef) -> None:
        self.remove(record)
        record.file = file
        self.add(record)

    def move(self, record: TrackedFile, stage: Stage) -> None:
        self._by_stage[record.stage] -= 1
        record.stage = stage
        self._by_stage[stage] += 1

    def set_taken_on(self, record: TrackedFile, *, taken_on: bool) -> bool:
        """Whether that is news."""
        news = record.taken_on != taken_on
        if news:
            record.taken_on = taken_on
            self.taken_on += 1 if taken_on else -1
        return news

    def count(self, *stages: Stage) -> int:
        return sum(self._by_stage[stage] for stage in stages)

    def is_claimed(self, arrival: Arrival) -> bool:
        """Whether a claimed file of that name is not gone yet, of whatever date."""
        same_name = self._claimed.get((arrival.session, arrival.name), ())
        return any(record.taken_on or record.stage is not Stage.UNSEEN for record in same_name)

    def is_busy(self, session: str) -> bool:
        """Whether a file of the session is queued, under way or waits for its next attempt."""
        return any(record.file.session == session and record.stage is not Stage.UNSEEN for record in self)
