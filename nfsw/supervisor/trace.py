"""The trace of one file: a span for the whole, and below it one for each step. Main process.

observe, queue, claim, stage, upload, verify, complete, delete. The steps happen in the children, which know nothing of spans:
they tell when something was done, and the spans are drawn here with those times.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from opentelemetry.trace import Span, SpanContext, Status, StatusCode, Tracer, set_span_in_context

from nfsw.actors.messages import UploadProgress

#: Events that tell of blocks in one trace: a file of many more blocks has several of them in each event.
_BLOCK_EVENTS = 100

type Attributes = Mapping[str, str | int | float | bool]


@dataclass(slots=True)
class _Blocks:
    """Blocks that Azure has taken since the latest event."""

    held: int = 0  # bytes of the file that Azure held then
    count: int = 0
    sent: int = 0  # bytes
    resent: int = 0  # bytes


class FileTrace:
    """Times are seconds, CLOCK_MONOTONIC."""

    def __init__(self, tracer: Tracer, attributes: Attributes, seen_at: float, stable_at: float) -> None:
        """Seen, and stable, at these times."""
        self._tracer = tracer
        #: From that clock to the time of day, in nanoseconds. Fixed for a trace, so that a step of the clock bends no span in it.
        self._offset = time.time_ns() - time.monotonic_ns()
        self._root = tracer.start_span("file", attributes=attributes, start_time=self._time_of(seen_at))
        self._steps: dict[str, Span] = {}  # those that have begun and not ended
        self._blocks = _Blocks()
        self.traceparent = _traceparent(self._root.get_span_context())
        self.step("observe", seen_at)
        self.end("observe", stable_at)

    def set(self, attribute: str, value: str) -> None:
        self._root.set_attribute(attribute, value)

    def step(self, name: str, at: float) -> None:
        """It begins. One that was under way ends: whoever was at it has died."""
        self.end(name, at, error="begun anew")
        self._steps[name] = self._tracer.start_span(name, set_span_in_context(self._root), start_time=self._time_of(at))

    def end(self, name: str, at: float, error: str | None = None) -> None:
        if step := self._steps.pop(name, None):
            if error:
                step.set_status(Status(StatusCode.ERROR, error))
            step.end(self._time_of(at))

    def end_all(self, at: float, error: str | None = None) -> None:
        for name in list(self._steps):
            self.end(name, at, error)

    def is_at(self, name: str) -> bool:
        return name in self._steps

    def event(self, step: str | None, name: str, attributes: Attributes, at: float) -> None:
        """`step`: None for the file as a whole, which also stands for a step that is not under way."""
        span = self._steps.get(step, self._root) if step else self._root
        span.add_event(name, attributes, self._time_of(at))

    def sent(self, progress: UploadProgress, size: int, at: float) -> None:
        """`size`: the file's, in bytes."""
        blocks = self._blocks
        if progress.held < blocks.held:  # another attempt, which counts from the start
            blocks = self._blocks = _Blocks()
        blocks.count += progress.blocks
        blocks.sent += progress.sent
        blocks.resent += progress.resent
        if progress.held < size and (progress.held - blocks.held) * _BLOCK_EVENTS < size:
            return
        told: Attributes = {"blocks": blocks.count, "bytes.sent": blocks.sent, "bytes.resent": blocks.resent, "bytes.held": progress.held}
        self.event("upload", "blocks", told, at)
        self._blocks = _Blocks(progress.held)

    def close(self, outcome: str, at: float, error: str | None = None) -> None:
        self.end_all(at, error)
        self._root.set_attribute("outcome", outcome)
        if error:
            self._root.set_status(Status(StatusCode.ERROR, error))
        self._root.end(self._time_of(at))

    def _time_of(self, at: float) -> int:
        return self._offset + round(at * 1e9)


def _traceparent(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
