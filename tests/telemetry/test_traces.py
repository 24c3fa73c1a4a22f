"""The trace of a file as a collector receives it: one for each file, from its first sight to its last name, across all processes."""

from itertools import pairwise

import pytest

from tests.support.content import KIB, MIB, some_bytes
from tests.support.link import Link
from tests.support.otlp import Collector, Span, collector
from tests.support.service import Service
from tests.support.site import Site
from tests.support.waiting import until

STEPS = ["observe", "queue", "claim", "stage", "upload", "verify", "complete", "delete"]
IN_BLOCKS = {"APP_AZURE_MAX_SINGLE_PUT_SIZE": "1", "APP_AZURE_MAX_BLOCK_SIZE": str(256 * KIB)}


def trace_of(collector: Collector, service: Service, file: str) -> list[Span]:
    return until(
        lambda: collector.received.trace("file", file_name=file, outcome="completed"),
        within=20,
        what=lambda: f"the trace of {file} comes; there are {[span.name for span in collector.received.spans]}\n{service.report()}",
    )


def steps_of(trace: list[Span]) -> dict[str, Span]:
    """By name; each is there once, and is a child of the root."""
    root = next(span for span in trace if not span.parent)
    steps = {span.name: span for span in trace if span is not root}
    assert len(steps) == len(trace) - 1, trace
    assert {span.parent for span in steps.values()} == {root.span_id}
    return steps


@pytest.fixture(scope="module")
def trace(module_site: Site) -> list[Span]:
    """Of a file of four blocks."""
    with collector() as received:
        service = module_site.serve(**received.settings, **IN_BLOCKS)
        service.start_session("s")
        module_site.write("s", "a.bin", some_bytes(1, MIB))
        module_site.all_arrived()
        return trace_of(received, service, "a.bin")


def test_a_file_has_one_trace_with_a_span_for_each_step(module_site: Site, trace: list[Span]) -> None:
    root, steps = trace[0], steps_of(trace)
    assert root.name == "file"
    assert [step for step in STEPS if step in steps] == STEPS
    assert root.attributes["session.name"] == "s"
    assert root.attributes["file.size"] == MIB
    assert module_site.container.names() == {root.attributes["blob.name"]}
    assert all(root.start <= step.start <= step.end <= root.end for step in steps.values())
    assert not [span for span in trace if span.error]


def test_steps_follow_one_another_and_only_the_upload_overlaps(trace: list[Span]) -> None:
    steps = steps_of(trace)

    def follow(*names: str) -> bool:
        return all(one.end <= two.start for one, two in pairwise(steps[name] for name in names))

    assert follow("observe", "queue", "claim", "stage")
    assert follow("upload", "verify", "complete", "delete")
    assert steps["stage"].start <= steps["upload"].start  # while it is staged, or after that if it is small
    assert steps["observe"].seconds >= 0.3  # the minimum age


def test_the_blocks_of_an_upload_are_its_events(trace: list[Span]) -> None:
    upload = steps_of(trace)["upload"]

    attempt, *blocks = upload.events
    assert attempt.name == "attempt"
    assert {event.name for event in blocks} == {"blocks"}
    assert sum(event.attributes["blocks"] for event in blocks) == 4
    assert sum(event.attributes["bytes.sent"] for event in blocks) == MIB
    assert blocks[-1].attributes["bytes.held"] == MIB


def test_a_file_of_very_many_blocks_has_several_in_an_event(site: Site, collector: Collector) -> None:
    service = site.serve(**collector.settings, APP_AZURE_MAX_SINGLE_PUT_SIZE="1", APP_AZURE_MAX_BLOCK_SIZE=str(4 * KIB))
    service.start_session("s")
    site.write("s", "a.bin", some_bytes(1, MIB))
    site.all_arrived()

    upload = steps_of(trace_of(collector, service, "a.bin"))["upload"]

    blocks = [event for event in upload.events if event.name == "blocks"]
    assert 1 <= len(blocks) <= 101
    assert sum(event.attributes["blocks"] for event in blocks) == 256
    assert sum(event.attributes["bytes.sent"] for event in blocks) == MIB


def test_an_attempt_that_failed_is_an_event_of_the_same_trace(linked: Site, link: Link, collector: Collector) -> None:
    service = linked.serve(**collector.settings, **IN_BLOCKS)
    service.start_session("s")
    link.cut()
    linked.write("s", "a.bin", some_bytes(1, MIB))
    until(lambda: service.status()["files"]["failed"], within=60, what=lambda: f"an attempt fails\n{service.report()}")
    link.mend()
    linked.all_arrived()

    trace = trace_of(collector, service, "a.bin")

    upload = steps_of(trace)["upload"]
    failed = [event for event in upload.events if event.name == "attempt failed"]
    assert failed
    assert failed[0].attributes["number"] == 1
    assert failed[0].attributes["error"]
    assert [event.attributes["number"] for event in upload.events if event.name == "attempt"] == list(range(1, len(failed) + 2))
    assert [event.attributes["step"] for event in trace[0].events] == ["upload"]


def test_a_file_that_a_crash_left_behind_goes_on_where_it_was(linked: Site, link: Link, collector: Collector) -> None:
    first = linked.serve(**IN_BLOCKS)
    first.start_session("s")
    link.cut()
    linked.write("s", "a.bin", some_bytes(1, MIB))
    until(lambda: service_holds(first, "uploading"), within=30, what=lambda: f"it is staged\n{first.report()}")
    first.crash()
    link.mend()
    second = linked.serve(**collector.settings, **IN_BLOCKS)
    linked.all_arrived()

    steps = steps_of(trace_of(collector, second, "a.bin"))

    assert steps.keys() == set(STEPS) - {"claim"}


def service_holds(service: Service, state: str) -> bool:
    return any(flight["state"] == state for flight in service.status()["in_flight"])


def test_calls_of_the_api_are_traced_and_probes_are_not(site: Site, collector: Collector) -> None:
    service = site.serve(**collector.settings)
    for path in ("/healthz", "/readyz", "/v1/watch/status"):
        service.call("GET", path)
    service.start_session("s")

    until(lambda: collector.received.trace("POST /v1/watch/start"), within=20, what="the trace of the call comes")
    names = {span.name for span in collector.received.spans}
    assert names == {"GET /v1/watch/status", "POST /v1/watch/start"}


def test_every_span_names_the_service_and_the_pod(site: Site, collector: Collector) -> None:
    service = site.serve(**collector.settings, APP_POD_NAME="pod-7", OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test")
    service.start_session("s")

    (span,) = until(lambda: collector.received.trace("POST /v1/watch/start"), within=20, what="the trace of the call comes")
    assert (
        span.resource.items()
        >= {
            "service.name": "nfsw",
            "service.instance.id": "pod-7",
            "deployment.environment.name": "test",
        }.items()
    )
    assert span.resource["service.version"]
