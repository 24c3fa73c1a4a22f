"""What happens to files, as traces, histograms and totals; `readings` makes metrics of the totals. Main process, which alone exports.

The actors load no OpenTelemetry. What they tell says what was done and when, and that is enough; the trace context goes with
the file's messages, so that log lines of every process carry it. Attributes of metrics have few values each: no file is
among them, and no session, since every session may have a name of its own.
"""

import math
import time

from opentelemetry.metrics import Meter
from opentelemetry.trace import Tracer

from nfsw.actors.files import File, FileRef
from nfsw.actors.messages import FileCompleted, FileUploaded, UploadFailed, UploadGrew
from nfsw.supervisor.census import Census
from nfsw.supervisor.ledger import Entry, Stage
from nfsw.supervisor.stories import Attributes, Stories
from nfsw.supervisor.totals import Totals

#: Upper bounds of the classes, in seconds: from one small file to one of many GB on a thin line.
_DURATIONS_S = (0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1800, 3600, 10_800, 36_000)
#: In bytes: 1 KiB to 64 GiB.
_SIZES = tuple(2**power for power in range(10, 37, 2))


class Telemetry:
    def __init__(self, tracer: Tracer, meter: Meter) -> None:
        self.totals = Totals()
        self.census = Census()
        #: When bytes of a staged file last left for Azure, or a file was uploaded (seconds, monotonic).
        self.progressed_at = -math.inf
        self._stories = Stories(tracer)
        self._duration = meter.create_histogram(
            "upload.duration",
            "s",
            "From the first attempt to the verified blob",
            explicit_bucket_boundaries_advisory=_DURATIONS_S,
        )
        self._size = meter.create_histogram("file.size", "By", "Size of uploaded files", explicit_bucket_boundaries_advisory=_SIZES)

    # A file's story, in the order in which it happens. Each method runs on the main loop and does not wait. Times are
    # seconds, CLOCK_MONOTONIC, of when it happened.

    def queued(self, entry: Entry, seen_at: float, stable_at: float) -> None:
        self._stories.begin(entry, seen_at or stable_at, stable_at)
        self._stories.step(entry, "queue", stable_at)
        if isinstance(entry.file, FileRef):
            self._stories.claimed(entry)
            self._take_on(entry.file, found="processing")

    def taken(self, entry: Entry) -> None:
        """Handed to the Claimer, for the first time or again."""
        now = time.monotonic()
        self._stories.end(entry, "queue", now)
        self._stories.step(entry, "stage" if isinstance(entry.file, FileRef) else "claim", now)

    def claimed(self, entry: Entry, file: FileRef, at: float) -> None:
        self._stories.end(entry, "claim", at)
        self._stories.claimed(entry)
        self._stories.step(entry, "stage", at)
        self._take_on(file, found="incoming")

    def staged(self, entry: Entry, at: float) -> None:
        self._stories.end(entry, "stage", at)

    def attempt(self, entry: Entry, number: int, at: float) -> None:
        if not self._stories.is_at(entry, "upload"):
            self._stories.step(entry, "upload", at)
        self._stories.event(entry, "upload", "attempt", {"number": number}, at)

    def sent(self, entry: Entry | None, grew: UploadGrew, at: float) -> None:
        self.totals.bytes_sent += grew.sent
        self.totals.bytes_resent += grew.resent
        if grew.sent:
            self.progressed_at = time.monotonic()
        if entry:
            self._stories.sent(entry, grew, at)

    def attempt_failed(self, entry: Entry, failed: UploadFailed, at: float) -> None:
        attributes: Attributes = {"number": failed.attempt, "error": failed.error, "retry_in_s": failed.retry_in_s}
        self._stories.event(entry, "upload", "attempt failed", attributes, at)

    def failed(self, entry: Entry, error: str, step: str | None = None) -> None:
        """Once, until it succeeds."""
        step = step or _step_of(entry)
        self.totals.failed_at[step] += 1
        self._stories.event(entry, None, "failed", {"error": error, "step": step}, time.monotonic())

    def parked(self, entry: Entry, error: str) -> None:
        """It is in nobody's hands until its pause is over."""
        self._stories.end_all(entry, time.monotonic(), error)

    def uploaded(self, entry: Entry, uploaded: FileUploaded, at: float) -> None:
        self.progressed_at = time.monotonic()
        self._duration.record(uploaded.seconds)
        self._size.record(entry.fingerprint.size)
        committed_at = uploaded.committed_at or at
        self._stories.end(entry, "upload", committed_at)
        self._stories.step(entry, "verify", committed_at)
        self._stories.end(entry, "verify", at)
        self._stories.step(entry, "complete", at)

    def completed(self, entry: Entry, completed: FileCompleted, at: float) -> None:
        self.totals.completed += 1
        self.totals.bytes_completed += entry.fingerprint.size
        self.census.close(completed.file)
        if completed.marked_at:
            self._stories.end(entry, "complete", completed.marked_at)
            self._stories.step(entry, "delete", completed.marked_at)
        self._stories.close(entry, "completed", at)

    def let_go(self, entry: Entry) -> None:
        """The file is in nobody's hands, and its story goes on when it is seen again."""
        self._stories.close(entry, "let go", time.monotonic(), error=entry.error, again=True)

    def gone(self, file: File, entry: Entry | None) -> None:
        """Nobody has the file in hand any more, and nobody will: it is not there."""
        if entry:
            self._stories.close(entry, "gone", time.monotonic())
        self._give_up(file, "gone")

    def refused(self, file: File) -> None:
        self._give_up(file, "refused")

    def _take_on(self, file: FileRef, found: str) -> None:
        if self.census.take_on(file):
            self.totals.claimed[found] += 1

    def _give_up(self, file: File, reason: str) -> None:
        if self.census.close(file):
            self.totals.given_up[reason] += 1


def _step_of(entry: Entry) -> str:
    match entry.stage:
        case Stage.QUEUED:
            return "queue"
        case Stage.STAGING:
            return "stage" if isinstance(entry.file, FileRef) else "claim"
        case Stage.COMPLETING:
            return "complete"
        case Stage.UPLOADING | Stage.PARKED:
            return "upload"
