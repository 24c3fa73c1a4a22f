"""The trace of each file: one span for the whole, and below it one for each step. Main process.

observe, queue, claim, stage, upload, verify, complete, delete. The steps happen in the children, which know nothing of spans:
they tell when something was done, and the spans are drawn here with those times. A file that is let go and found again goes
on in the trace that it had.
"""

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, Status, StatusCode, Tracer, set_span_in_context

from nfsw.actors.files import File, FileRef
from nfsw.actors.messages import UploadGrew
from nfsw.actors.names import shown
from nfsw.supervisor.ledger import Entry

#: Events that tell of blocks in one trace: a file of many more blocks has several of them in each event.
_BLOCK_EVENTS = 100
#: Files that were let go and whose traces are remembered.
_MOST_FORMER = 1000

type Attributes = Mapping[str, str | int | float | bool]


@dataclass(slots=True)
class _Blocks:
    """Blocks that Azure has taken since the latest event."""

    held: int = 0  # bytes of the file that Azure held then
    count: int = 0
    sent: int = 0  # bytes
    resent: int = 0  # bytes


@dataclass(slots=True)
class _Story:
    root: Span
    seen_at: float  # seconds, CLOCK_MONOTONIC
    #: From that clock to the time of day, in nanoseconds. Fixed for a trace, so that a step of the clock bends no span in it.
    offset: int
    steps: dict[str, Span] = field(default_factory=dict)  # those that have begun and not ended
    blocks: _Blocks = field(default_factory=_Blocks)

    def time_of(self, at: float) -> int:
        return self.offset + round(at * 1e9)


class Stories:
    """Times are seconds, CLOCK_MONOTONIC."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._stories: dict[Entry, _Story] = {}
        self._former: OrderedDict[File, tuple[SpanContext, float]] = OrderedDict()

    def begin(self, entry: Entry, seen_at: float, stable_at: float) -> None:
        """Seen, and stable, at these times. Gives the entry its trace context, and the time at which it was seen first of all."""
        former, first_seen_at = self._former.pop(entry.file, (None, seen_at))
        offset = time.time_ns() - time.monotonic_ns()
        attributes: Attributes = {
            "session.name": entry.file.session,
            "file.name": shown(entry.file.name),
            "file.size": entry.fingerprint.size,
        }
        context = set_span_in_context(NonRecordingSpan(former)) if former else None
        root = self._tracer.start_span("file", context, attributes=attributes, start_time=offset + round(seen_at * 1e9))
        self._stories[entry] = _Story(root, first_seen_at, offset)
        entry.traceparent, entry.seen_at = _traceparent(root.get_span_context()), first_seen_at
        self.step(entry, "observe", seen_at)
        self.end(entry, "observe", stable_at)

    def claimed(self, entry: Entry) -> None:
        """The file has the name under which it will be in Azure."""
        if (story := self._stories.get(entry)) and isinstance(entry.file, FileRef):
            story.root.set_attribute("blob.name", shown(entry.file.blob))

    def step(self, entry: Entry, name: str, at: float) -> None:
        """It begins. One that was under way ends: whoever was at it has died."""
        if story := self._stories.get(entry):
            self.end(entry, name, at, error="begun anew")
            story.steps[name] = self._tracer.start_span(name, set_span_in_context(story.root), start_time=story.time_of(at))

    def end(self, entry: Entry, name: str, at: float, error: str | None = None) -> None:
        story = self._stories.get(entry)
        if story and (step := story.steps.pop(name, None)):
            if error:
                step.set_status(Status(StatusCode.ERROR, error))
            step.end(story.time_of(at))

    def end_all(self, entry: Entry, at: float, error: str | None = None) -> None:
        if story := self._stories.get(entry):
            for name in list(story.steps):
                self.end(entry, name, at, error)

    def is_at(self, entry: Entry, name: str) -> bool:
        story = self._stories.get(entry)
        return story is not None and name in story.steps

    def event(self, entry: Entry, step: str | None, name: str, attributes: Attributes, at: float) -> None:
        """`step`: None for the file as a whole, which also stands for a step that is not under way."""
        if story := self._stories.get(entry):
            span = story.steps.get(step, story.root) if step else story.root
            span.add_event(name, attributes, story.time_of(at))

    def sent(self, entry: Entry, grew: UploadGrew, at: float) -> None:
        story = self._stories.get(entry)
        if story is None:
            return
        blocks = story.blocks
        if grew.held < blocks.held:  # another attempt, which counts from the start
            blocks = story.blocks = _Blocks()
        blocks.count += grew.blocks
        blocks.sent += grew.sent
        blocks.resent += grew.resent
        size = entry.fingerprint.size
        if grew.held < size and (grew.held - blocks.held) * _BLOCK_EVENTS < size:
            return
        told: Attributes = {"blocks": blocks.count, "bytes.sent": blocks.sent, "bytes.resent": blocks.resent, "bytes.held": grew.held}
        self.event(entry, "upload", "blocks", told, at)
        story.blocks = _Blocks(grew.held)

    def close(self, entry: Entry, outcome: str, at: float, *, error: str | None = None, again: bool = False) -> None:
        """`again`: the file may be found again, and then its trace goes on."""
        self.end_all(entry, at, error)
        story = self._stories.pop(entry, None)
        if story is None:
            return
        story.root.set_attribute("outcome", outcome)
        if error:
            story.root.set_status(Status(StatusCode.ERROR, error))
        story.root.end(story.time_of(at))
        if again:
            self._former[entry.file] = story.root.get_span_context(), story.seen_at
            if len(self._former) > _MOST_FORMER:
                self._former.popitem(last=False)


def _traceparent(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
