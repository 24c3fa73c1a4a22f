"""Telemetry: one trace for each file, the metrics, and the totals of the status. Main process, which alone exports.

The actors load no OpenTelemetry. What they tell says when each step of a file's story began and ended, and that is enough
for its spans; the trace context goes with the file's messages, so that log lines of every process carry it.
"""

from dataclasses import dataclass, field

from opentelemetry import trace
from opentelemetry.metrics import Meter
from opentelemetry.trace import Span, Status, StatusCode, Tracer

from nfsw.actors.messages import FileRef, FileUploaded, UploadGrew
from nfsw.actors.names import shown
from nfsw.supervisor.ledger import Entry


@dataclass(slots=True)
class Totals:
    """Since the process started."""

    completed: int = 0
    failed: int = 0  # files that failed at least once
    bytes_completed: int = 0
    bytes_sent: int = 0
    bytes_resent: int = 0


@dataclass(slots=True)
class _Story:
    """The spans of one file that are open: the whole, and its steps by name."""

    root: Span
    steps: dict[str, Span] = field(default_factory=dict)


class Telemetry:
    def __init__(self, tracer: Tracer, meter: Meter) -> None:
        self.totals = Totals()
        self._tracer = tracer
        self._stories: dict[Entry, _Story] = {}
        self._processed = meter.create_counter("files.processed", "{file}", "Files that are in Azure, verified, and gone from NFS")
        self._failed = meter.create_counter("files.failed", "{file}", "Files that failed at least one attempt")
        self._duration = meter.create_histogram("upload.duration", "s", "From the first attempt to the verified blob")
        self._size = meter.create_histogram("file.size", "By", "Size of uploaded files")
        self._depth = meter.create_up_down_counter("queue.depth", "{file}", "Stable files that wait to be claimed")
        self._sent = meter.create_counter("upload.sent", "By", "Bytes that Azure has acknowledged")
        self._resent = meter.create_counter("upload.resent", "By", "Of these, bytes that had been on their way before")

    # A file's story, in the order in which it happens. Each method runs on the main loop and does not wait.

    def queued(self, entry: Entry) -> None:
        file = entry.file
        attributes: dict[str, str | int] = {
            "session.name": file.session,
            "file.name": shown(file.name),
            "file.size": entry.fingerprint.size,
        }
        story = self._stories[entry] = _Story(self._tracer.start_span("file", attributes=attributes))
        entry.traceparent = _traceparent(story.root)
        self._begin(entry, "queue")
        self._depth.add(1)

    def taken(self, entry: Entry) -> None:
        if self._end(entry, "queue"):
            self._depth.add(-1)
        self._begin(entry, "claim")

    def claimed(self, entry: Entry) -> None:
        if (story := self._stories.get(entry)) and isinstance(entry.file, FileRef):
            story.root.set_attribute("blob.name", shown(entry.file.blob))

    def staging(self, entry: Entry) -> None:
        self._end(entry, "claim")
        self._begin(entry, "stage")
        self._begin(entry, "upload")

    def staged(self, entry: Entry) -> None:
        self._end(entry, "stage")

    def sent(self, entry: Entry | None, grew: UploadGrew) -> None:
        self.totals.bytes_sent += grew.sent
        self.totals.bytes_resent += grew.resent
        self._sent.add(grew.sent)
        self._resent.add(grew.resent)
        if entry and (upload := self._step(entry, "upload")):
            upload.add_event("block", {"bytes": grew.sent, "held": grew.held})

    def failed(self, entry: Entry, error: str) -> None:
        self.totals.failed += 1
        self._failed.add(1)
        if story := self._stories.get(entry):
            story.root.add_event("failed", {"error": error})

    def uploaded(self, entry: Entry, uploaded: FileUploaded) -> None:
        self._duration.record(uploaded.seconds)
        self._size.record(entry.fingerprint.size)
        self._end(entry, "upload")
        self._begin(entry, "complete")

    def completed(self, entry: Entry) -> None:
        self.totals.completed += 1
        self.totals.bytes_completed += entry.fingerprint.size
        self._processed.add(1)
        self._close(entry)

    def let_go(self, entry: Entry) -> None:
        """The file is in nobody's hands, and its story begins anew when it is seen again."""
        if self._step(entry, "queue"):
            self._depth.add(-1)
        if story := self._stories.get(entry):
            story.root.set_status(Status(StatusCode.ERROR, entry.error or "let go"))
        self._close(entry)

    def _close(self, entry: Entry) -> None:
        if story := self._stories.pop(entry, None):
            for step in story.steps.values():
                step.end()
            story.root.end()

    def _begin(self, entry: Entry, step: str) -> None:
        if story := self._stories.get(entry):
            if before := story.steps.pop(step, None):
                before.end()
            story.steps[step] = self._tracer.start_span(step, context=trace.set_span_in_context(story.root))

    def _end(self, entry: Entry, step: str) -> bool:
        story = self._stories.get(entry)
        span = story.steps.pop(step, None) if story else None
        if span:
            span.end()
        return span is not None

    def _step(self, entry: Entry, step: str) -> Span | None:
        story = self._stories.get(entry)
        return story.steps.get(step) if story else None


def _traceparent(span: Span) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
