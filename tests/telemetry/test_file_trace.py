"""Traces of files that do not go straight on: tried again, changed, given up. With OpenTelemetry's own tracer."""

from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from nfsw.actors.messages import UploadProgress
from nfsw.supervisor.trace import FileTrace


class Told:
    """A trace, and the spans of it that have ended."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.tracer = provider.get_tracer("test")
        self.trace = FileTrace(self.tracer, {"file.name": "a.bin"}, 1.0, 2.0)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._spans.get_finished_spans()

    def span(self, name: str) -> ReadableSpan:
        (span,) = [span for span in self.spans if span.name == name]
        return span


@pytest.fixture
def told() -> Told:
    return Told()


def test_times_are_those_at_which_it_happened(told: Told) -> None:
    told.trace.step("stage", 3.0)
    told.trace.end("stage", 3.5)

    stage, observe = told.span("stage"), told.span("observe")
    assert stage.start_time is not None
    assert stage.end_time is not None
    assert stage.end_time - stage.start_time == 500_000_000
    assert observe.end_time is not None
    assert stage.start_time - observe.end_time == 1_000_000_000


def test_all_steps_are_in_one_trace_that_others_are_told_of(told: Told) -> None:
    told.trace.step("stage", 3.0)
    told.trace.close("completed", 4.0)
    _, trace_id, span_id, _ = told.trace.traceparent.split("-")
    contexts = [span.context for span in told.spans if span.context]
    assert {f"{context.trace_id:032x}" for context in contexts} == {trace_id}
    root = told.span("file")
    assert root.context is not None
    assert f"{root.context.span_id:016x}" == span_id


def test_a_step_that_is_begun_anew_ends_the_one_that_nobody_ended(told: Told) -> None:
    told.trace.step("stage", 3.0)
    told.trace.step("stage", 4.0)
    told.trace.end("stage", 5.0)

    died, done = [span for span in told.spans if span.name == "stage"]
    assert died.status.status_code is StatusCode.ERROR
    assert done.status.status_code is StatusCode.UNSET


def test_what_ends_a_trace_ends_its_steps_with_the_same_error(told: Told) -> None:
    told.trace.step("stage", 3.0)
    told.trace.close("gone", 4.0, error="NFS: EIO")

    assert [told.span(name).status.description for name in ("stage", "file")] == ["NFS: EIO", "NFS: EIO"]


def test_an_event_of_a_step_that_is_not_under_way_is_one_of_the_file(told: Told) -> None:
    told.trace.event("upload", "attempt failed", {"number": 1}, 3.0)
    told.trace.close("gone", 4.0)
    assert [event.name for event in told.span("file").events] == ["attempt failed"]


def test_blocks_of_another_attempt_are_counted_from_the_start(told: Told) -> None:
    told.trace.step("upload", 2.0)
    for held, sent in ((50, 50), (75, 25), (50, 0), (75, 0), (100, 25)):
        told.trace.sent(UploadProgress(held, held, sent, 0, 1), 100, 3.0)
    told.trace.end("upload", 4.0)

    assert [dict(event.attributes or {})["bytes.held"] for event in told.span("upload").events] == [50, 75, 50, 75, 100]
