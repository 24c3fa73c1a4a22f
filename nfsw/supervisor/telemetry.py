"""What happens to files, as traces, histograms and totals; `instruments` makes metrics of the totals. Main process, which alone exports.

The actors load no OpenTelemetry. What they tell says what was done and when, and that is enough; the trace context goes with
the file's messages, so that log lines of every process carry it. Attributes of metrics have few values each: no file is
among them, and no session, since every session may have a name of its own.
"""

import math
import time

from opentelemetry.metrics import Meter
from opentelemetry.trace import Tracer

from nfsw.actors.files import FileRef
from nfsw.actors.messages import Completed, FileStable, Uploaded, UploadFailed, UploadProgress
from nfsw.actors.names import printable
from nfsw.supervisor.counters import Counters
from nfsw.supervisor.finished_files import FinishedFiles
from nfsw.supervisor.trace import Attributes, FileTrace
from nfsw.supervisor.tracked_file import Stage, TrackedFile

#: Upper bounds of the classes, in seconds: from one small file to one of many GB on a thin line.
_DURATIONS_S = (0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1800, 3600, 10_800, 36_000)
#: In bytes: 1 KiB to 64 GiB.
_SIZES = tuple(2**power for power in range(10, 37, 2))


class Telemetry:
    """A file's story, in the order in which it happens. No method waits. Times are seconds, CLOCK_MONOTONIC, of when it happened."""

    def __init__(self, tracer: Tracer, meter: Meter) -> None:
        self.totals = Counters()
        self.finished = FinishedFiles()
        #: When bytes of a staged file last left for Azure, or a file was uploaded (seconds, monotonic).
        self.progressed_at = -math.inf
        self._tracer = tracer
        self._duration = meter.create_histogram(
            "upload.duration",
            "s",
            "From the first attempt to the verified blob",
            explicit_bucket_boundaries_advisory=_DURATIONS_S,
        )
        self._size = meter.create_histogram("file.size", "By", "Size of uploaded files", explicit_bucket_boundaries_advisory=_SIZES)

    def queued(self, record: TrackedFile, stable: FileStable, at: float) -> None:
        seen_at = stable.seen_at or at
        if record.trace is None:
            file = record.file
            attributes: Attributes = {"session.name": file.session, "file.name": printable(file.name), "file.size": stable.version.size}
            record.trace, record.seen_at = FileTrace(self._tracer, attributes, seen_at, at), seen_at
        record.trace.step("queue", at)
        if isinstance(record.file, FileRef):
            record.trace.set("blob.name", printable(record.file.blob))

    def taken_on(self, record: TrackedFile, found: str) -> None:
        """A claimed file is this process's to complete. `found`: "incoming" or "processing"."""
        self.totals.claimed[found] += 1
        if found == "incoming":
            self.totals.bytes_claimed += record.version.size

    def staging(self, record: TrackedFile) -> None:
        """Handed to the Claimer, for the first time or again."""
        now = time.monotonic()
        if record.trace:
            record.trace.end("queue", now)
            record.trace.step("stage" if isinstance(record.file, FileRef) else "claim", now)

    def claimed(self, record: TrackedFile, file: FileRef, at: float) -> None:
        if record.trace:
            record.trace.end("claim", at)
            record.trace.set("blob.name", printable(file.blob))
            record.trace.step("stage", at)

    def staged(self, record: TrackedFile, at: float) -> None:
        if record.trace:
            record.trace.end("stage", at)

    def attempt(self, record: TrackedFile) -> None:
        now = time.monotonic()
        if record.trace:
            if not record.trace.is_at("upload"):
                record.trace.step("upload", now)
            record.trace.event("upload", "attempt", {"number": record.attempts}, now)

    def sent(self, record: TrackedFile, progress: UploadProgress, at: float) -> None:
        self.totals.bytes_sent += progress.sent
        self.totals.bytes_resent += progress.resent
        if progress.sent:
            self.progressed_at = time.monotonic()
        if record.trace:
            record.trace.sent(progress, record.version.size, at)

    def attempt_failed(self, record: TrackedFile, failed: UploadFailed, pause_s: float, at: float) -> None:
        if record.trace:
            attributes: Attributes = {"number": record.attempts, "error": failed.error, "retry_in_s": pause_s}
            record.trace.event("upload", "attempt failed", attributes, at)

    def failed(self, record: TrackedFile, error: str, step: str | None = None) -> None:
        """Once, until it succeeds. `step`: which failed, where the stage does not tell: a file is sent while it is staged."""
        step = step or _step_of(record)
        self.totals.failed_at[step] += 1
        if record.trace:
            record.trace.event(None, "failed", {"error": error, "step": step}, time.monotonic())

    def waits(self, record: TrackedFile, error: str | None) -> None:
        """Nobody works on it until its pause is over."""
        if record.trace:
            record.trace.end_all(time.monotonic(), error)

    def uploaded(self, record: TrackedFile, uploaded: Uploaded, at: float) -> None:
        self.progressed_at = time.monotonic()
        self._duration.record(at - record.first_attempt_at)
        self._size.record(record.version.size)
        if record.trace:
            committed_at = uploaded.committed_at or at
            record.trace.end("upload", committed_at)
            record.trace.step("verify", committed_at)
            record.trace.end("verify", at)
            record.trace.step("complete", at)

    def completed(self, record: TrackedFile, completed: Completed, at: float) -> None:
        self.totals.completed += 1
        self.totals.bytes_completed += record.version.size
        self.finished.note(record, at)
        if record.trace and completed.marked_at:
            record.trace.end("complete", completed.marked_at)
            record.trace.step("keep" if completed.kept else "delete", completed.marked_at)
        self.closed(record, "completed", at)

    def given_up(self, reason: str) -> None:
        """A claimed file is no longer this process's to complete. `reason`: "gone" or "refused"."""
        self.totals.given_up[reason] += 1

    def closed(self, record: TrackedFile, outcome: str, at: float | None = None) -> None:
        """Nobody works on the file any more."""
        if record.trace:
            record.trace.close(outcome, time.monotonic() if at is None else at, None if outcome == "completed" else record.error)
            record.trace = None


def _step_of(record: TrackedFile) -> str:
    match record.stage:
        case Stage.STAGING:
            return "stage" if isinstance(record.file, FileRef) else "claim"
        case Stage.COMPLETING:
            return "complete"
        case Stage.UPLOADING:
            return "upload"
        case _:
            return "queue"
