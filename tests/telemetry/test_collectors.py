"""A collector that is away, hangs or refuses costs nothing but one line of log: no throughput, and no second at the end."""

import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.content import KIB, some_bytes
from tests.support.otlp import OFTEN, Collector, collector, dead_collector, hanging_collector
from tests.support.service import Service
from tests.support.site import Site
from tests.support.waiting import until

FILES = 40
#: Seconds for all of them. It takes about two on an idle machine; if each waited for one export, it would be eighty.
MOVED_WITHIN = 60.0

type Endpoint = Callable[[], AbstractContextManager[str]]


def move_files(site: Site, service: Service, files: int = 3) -> None:
    """Until all are in Azure and counted."""
    service.start_session("s")
    for number in range(files):
        site.write("s", f"{number}.bin", some_bytes(number, 64 * KIB))
    until(
        lambda: service.status()["files"]["completed"] == files,
        within=MOVED_WITHIN,
        what=lambda: f"{files} files are moved: {service.status()['files']}\n{service.report()}",
    )


def lines_about_telemetry(service: Service) -> list[str]:
    return [
        line["message"]
        for line in service.log()
        if line["logger"].split(".")[0] in {"opentelemetry", "urllib3"} or "telemetry" in line["message"]
    ]


def processed(collector: Collector) -> float:
    metric = collector.received.metrics.get("files.processed")
    return metric.total() if metric else 0


@pytest.mark.parametrize("endpoint", [dead_collector, hanging_collector])
def test_files_move_and_the_end_is_quick_while_nothing_gets_through(site: Site, endpoint: Endpoint) -> None:
    with endpoint() as address:
        service = site.serve(OTEL_EXPORTER_OTLP_ENDPOINT=address, OTEL_EXPORTER_OTLP_TIMEOUT="2", **OFTEN)
        move_files(site, service, FILES)
        until(lambda: lines_about_telemetry(service), within=20, what="what is wrong is said")
        service.send(signal.SIGTERM)
        assert service.gone() == 0

    said = lines_about_telemetry(service)
    assert len(said) == 1, said
    assert said[0].startswith("telemetry export is failing")


def test_a_collector_that_refuses_is_said_once_and_its_recovery_too(site: Site, collector: Collector) -> None:
    collector.status = 503
    service = site.serve(**collector.settings, OTEL_EXPORTER_OTLP_TIMEOUT="1")
    until(lambda: collector.requests > 5, within=30, what="several requests are refused")
    move_files(site, service, FILES)
    collector.status = 200

    until(lambda: len(lines_about_telemetry(service)) == 2, within=30, what=lambda: f"it is over: {lines_about_telemetry(service)}")
    until(lambda: processed(collector) == FILES, within=20, what="counters have lost nothing")
    refused, again = lines_about_telemetry(service)
    assert "503" in refused
    assert again == "telemetry export works again"


def test_without_an_endpoint_nothing_of_an_exporter_is_loaded(site: Site) -> None:
    """Protobuf is the exporter's, and it is a shared object, which the kernel shows."""
    quiet = site.serve()
    assert not loads_protobuf(quiet)
    quiet.stop()
    with collector() as running:
        service = site.serve(**running.settings)
        until(lambda: running.requests, within=30, what="it exports")
        assert loads_protobuf(service)


def loads_protobuf(service: Service) -> bool:
    return "google/_upb" in Path(f"/proc/{service.pid}/maps").read_text()


@pytest.mark.parametrize(
    "off",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {"OTEL_SDK_DISABLED": "true"},
        {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")},
    ],
    ids=["an empty endpoint", "the SDK disabled", "every signal off"],
)
def test_what_is_switched_off_is_not_exported(site: Site, collector: Collector, off: dict[str, str]) -> None:
    service = site.serve(**{**collector.settings, **off})
    move_files(site, service)

    assert not loads_protobuf(service)
    assert not lines_about_telemetry(service)
    assert collector.requests == 0


def test_one_signal_may_go_without_the_others(site: Site, collector: Collector) -> None:
    service = site.serve(OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{collector.endpoint}/v1/metrics", **OFTEN)
    move_files(site, service)

    until(lambda: processed(collector) == 3, within=20, what="the metrics come")
    assert not collector.received.spans
    assert not collector.received.logs
