"""The stories that do not go straight on: let go and found again, given up, begun anew. With OpenTelemetry's own tracer."""

from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from nfsw.actors.files import Arrival, File, FileRef, Fingerprint
from nfsw.actors.messages import UploadGrew
from nfsw.supervisor.ledger import Entry
from nfsw.supervisor.stories import Stories

CLAIMED = FileRef("20260131", "s", "a.bin")


class Told:
    """Stories, and the spans that they have told so far."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.stories = Stories(provider.get_tracer("test"))

    def begun(self, file: File = CLAIMED, size: int = 100, seen_at: float = 1.0) -> Entry:
        entry = Entry(file, Fingerprint(size, 0, 1, 0))
        self.stories.begin(entry, seen_at, seen_at + 1)
        return entry

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
    entry = told.begun(seen_at=10.0)
    told.stories.step(entry, "stage", 12.0)
    told.stories.end(entry, "stage", 12.5)

    stage = told.span("stage")
    assert stage.start_time is not None
    assert stage.end_time is not None
    assert stage.end_time - stage.start_time == 500_000_000
    observe = told.span("observe")
    assert observe.end_time is not None
    assert stage.start_time - observe.end_time == 1_000_000_000


def test_a_file_that_is_let_go_and_found_again_goes_on_in_its_trace(told: Told) -> None:
    first = told.begun(seen_at=1.0)
    told.stories.close(first, "let go", 5.0, error="NFS: EIO", again=True)
    second = told.begun(seen_at=20.0)

    assert first.traceparent is not None
    assert second.traceparent is not None
    assert first.traceparent.split("-")[1] == second.traceparent.split("-")[1]
    assert first.traceparent != second.traceparent
    assert second.seen_at == 1.0  # it has waited since then


def test_a_file_that_is_done_with_begins_a_trace_of_its_own_next_time(told: Told) -> None:
    first = told.begun()
    told.stories.close(first, "completed", 5.0)
    second = told.begun()

    assert first.traceparent is not None
    assert second.traceparent is not None
    assert first.traceparent.split("-")[1] != second.traceparent.split("-")[1]


def test_a_step_that_is_begun_anew_ends_the_one_that_nobody_ended(told: Told) -> None:
    entry = told.begun()
    told.stories.step(entry, "stage", 3.0)
    told.stories.step(entry, "stage", 4.0)
    told.stories.end(entry, "stage", 5.0)

    died, done = [span for span in told.spans if span.name == "stage"]
    assert died.status.status_code is StatusCode.ERROR
    assert done.status.status_code is StatusCode.UNSET


def test_what_ends_a_story_ends_its_steps_with_the_same_error(told: Told) -> None:
    entry = told.begun()
    told.stories.step(entry, "stage", 3.0)
    told.stories.close(entry, "let go", 4.0, error="NFS: EIO", again=True)

    assert [told.span(name).status.description for name in ("stage", "file")] == ["NFS: EIO", "NFS: EIO"]


def test_blocks_of_another_attempt_are_counted_from_the_start(told: Told) -> None:
    entry = told.begun(size=100)
    told.stories.step(entry, "upload", 2.0)
    for held, sent in ((50, 50), (75, 25), (50, 0), (75, 0), (100, 25)):
        told.stories.sent(entry, UploadGrew(CLAIMED, held, held, sent, 0, 1), 3.0)
    told.stories.end(entry, "upload", 4.0)

    assert [dict(event.attributes or {})["bytes.held"] for event in told.span("upload").events] == [50, 75, 50, 75, 100]


def test_traces_of_files_that_never_come_back_are_forgotten_in_the_end(told: Told) -> None:
    first = told.begun(Arrival("s", "first"))
    told.stories.close(first, "let go", 2.0, again=True)
    for number in range(1000):
        told.stories.close(told.begun(Arrival("s", str(number))), "let go", 2.0, again=True)
    again = told.begun(Arrival("s", "first"))

    assert first.traceparent is not None
    assert again.traceparent is not None
    assert first.traceparent.split("-")[1] != again.traceparent.split("-")[1]


def test_a_file_without_a_story_is_no_trouble(told: Told) -> None:
    stranger = Entry(CLAIMED, Fingerprint(1, 0, 1, 0))
    told.stories.claimed(stranger)
    told.stories.step(stranger, "stage", 1.0)
    told.stories.event(stranger, "stage", "blocks", {}, 1.0)
    told.stories.sent(stranger, UploadGrew(CLAIMED, 1, 1, 1, 0), 1.0)
    told.stories.close(stranger, "completed", 1.0)

    assert not told.spans
