"""The metrics as a collector receives them: names, units, kinds, attributes of few values, and numbers that fit together."""

import errno
import json
import os
import re
import signal
from collections.abc import Iterator

import pytest
import yaml

from tests.deploy.metrics import HISTOGRAM, Instrument
from tests.deploy.overlays import CHECKOUT, K3S
from tests.support.content import KIB, MIB, some_bytes
from tests.support.fuse import FaultyFileSystem
from tests.support.link import Link
from tests.support.otlp import Collector, Metric, Received, collector
from tests.support.site import Site
from tests.support.waiting import until

#: Name, unit, kind, and whether it only grows.
EXPORTED = {
    ("actor.hang", "s", "gauge", False),
    ("actor.restarts", "{restart}", "sum", True),
    ("backlog.size", "By", "sum", False),
    ("export.free", "By", "sum", False),
    ("export.size", "By", "sum", False),
    ("file.size", "By", "histogram", False),
    ("files.claimed", "{file}", "sum", True),
    ("files.failed", "{file}", "sum", True),
    ("files.given_up", "{file}", "sum", True),
    ("files.in_flight", "{file}", "sum", False),
    ("files.kept", "{file}", "gauge", False),
    ("files.kept_size", "By", "gauge", False),
    ("files.open_for_writing", "{file}", "sum", False),
    ("files.processed", "{file}", "sum", True),
    ("files.refused", "{file}", "sum", False),
    ("nfs.call.duration", "s", "histogram", False),
    ("queue.depth", "{file}", "sum", False),
    ("queue.oldest_age", "s", "gauge", False),
    ("service.health", "{state}", "gauge", False),
    ("staging.limit", "By", "sum", False),
    ("staging.usage", "By", "sum", False),
    ("upload.duration", "s", "histogram", False),
    ("upload.resent", "By", "sum", True),
    ("upload.sent", "By", "sum", True),
}
ACTORS = {"keeper", "scanner", "claimer", "uploader", "collector"}
#: Every attribute of the service's own metrics, and every value that it may have.
VALUES = {
    "actor": ACTORS,
    "state": {"queued", "staging", "uploading", "completing", "waiting", "OK", "Waiting", "Trouble"},
    "found": {"incoming", "processing"},
    "reason": {"gone", "refused"},
    "step": {"queue", "claim", "stage", "upload", "complete"},
}
CALLS = {"statx", "stat", "scandir", "statvfs", "open", "close", "fstat", "fadvise", "read", "write", "flock", "link", "rename"}
CALLS |= {"unlink", "mkdir", "rmdir", "lease", "create", "lstat", "utime"}


def own(metrics: dict[str, Metric]) -> dict[str, Metric]:
    """Without those of the HTTP server, which are OpenTelemetry's own."""
    return {name: metric for name, metric in metrics.items() if not name.startswith("http.")}


@pytest.fixture(scope="module")
def received(module_site: Site) -> Received:
    """All that a service exported which has moved five files of 64 KiB."""
    with collector() as running:
        service = module_site.serve(**running.settings, APP_POD_NAME="pod-7")
        service.start_session("s")
        for number in range(5):
            module_site.write("s", f"{number}.bin", some_bytes(number, 64 * KIB))
        module_site.all_arrived()
        until(lambda: value(running, "files.processed") == 5, within=20, what=lambda: f"five files are told of\n{service.report()}")
        until(
            lambda: (value(running, "nfs.call.duration", actor="collector", call="unlink") or 0) >= 5, within=20, what="deletes are told of"
        )
        return running.received


def value(collector: Collector, name: str, **attributes: str) -> float | None:
    metric = collector.received.metrics.get(name)
    return metric.total(**attributes) if metric else None


def not_accounted_for(metrics: dict[str, Metric]) -> float:
    """Claimed files of which the numbers do not say what became of them."""
    known = sum(metrics[name].total() for name in ("files.processed", "files.given_up", "files.in_flight"))
    return metrics["files.claimed"].total() - known


def test_every_metric_has_its_name_unit_and_kind(received: Received) -> None:
    metrics = own(received.metrics).values()
    assert {(metric.name, metric.unit, metric.kind, metric.monotonic) for metric in metrics} == EXPORTED


def test_the_manual_has_a_row_for_each() -> None:
    rows = re.findall(
        r"^\| `([a-z_.]+)` \| `([A-Za-z{}]+)` \| (.*?) ?\| .+ \|$", (CHECKOUT / "docs/operations.md").read_text(), re.MULTILINE
    )

    assert {(name, unit) for name, unit, _ in rows} == {(name, unit) for name, unit, _, _ in EXPORTED}
    assert {attribute for _, _, by in rows for attribute in re.findall(r"`(\w+)`", by)} == {*VALUES, "call"}


def test_attributes_have_few_values_and_none_names_a_file_or_a_session(received: Received) -> None:
    for metric in own(received.metrics).values():
        for key in metric.points:
            for attribute, said in key:
                assert said in (CALLS if attribute == "call" else VALUES[attribute]), metric


def test_the_numbers_are_those_of_what_was_moved(received: Received) -> None:
    metrics = received.metrics
    assert metrics["files.claimed"].total(found="incoming") == 5
    assert metrics["file.size"].total() == 5
    assert sum(metrics["file.size"].sums.values()) == 5 * 64 * KIB
    assert metrics["upload.duration"].total() == 5
    assert 0 < sum(metrics["upload.duration"].sums.values()) < 60
    assert metrics["upload.sent"].total() == 5 * 64 * KIB
    assert metrics["upload.resent"].total() == 0
    assert metrics["staging.limit"].total() == 90 * 1024**3
    assert metrics["queue.depth"].total() == metrics["files.in_flight"].total() == metrics["files.failed"].total() == 0
    assert {dict(key)["actor"] for key in metrics["actor.restarts"].points} == ACTORS
    assert [metrics["service.health"].total(state=word) for word in ("OK", "Waiting", "Trouble")] == [1, 0, 0]
    assert metrics["backlog.size"].total() == 0
    assert 0 < metrics["export.free"].total() <= metrics["export.size"].total()


def test_nfs_calls_are_counted_by_actor_and_kind(received: Received) -> None:
    durations = received.metrics["nfs.call.duration"]
    assert durations.total(actor="claimer", call="link") == 5
    assert durations.total(actor="claimer", call="read") == 5
    assert durations.total(actor="uploader") == 0  # it has nothing to do with NFS
    assert all(0 <= seconds < 60 for seconds in durations.sums.values())
    assert list(durations.bounds) == sorted(durations.bounds)


def test_one_process_exports(received: Received) -> None:
    assert {resource["service.instance.id"] for resource in received.metric_resources} == {"pod-7"}


def test_every_claimed_file_is_accounted_for_in_every_export(linked: Site, link: Link, collector: Collector) -> None:
    """While uploads fail and an actor dies, and after all has passed."""
    service = linked.serve(**collector.settings, APP_AZURE_MAX_SINGLE_PUT_SIZE="1", APP_AZURE_MAX_BLOCK_SIZE=str(64 * KIB))
    service.start_session("s")
    link.cut()
    for number in range(6):
        linked.write("s", f"{number}.bin", some_bytes(number, 256 * KIB))
    until(lambda: value(collector, "files.failed"), within=60, what=lambda: f"uploads fail\n{service.report()}")
    os.kill(service.actors()["claimer"].pid, signal.SIGKILL)
    until(lambda: value(collector, "actor.restarts", actor="claimer") == 1, within=30, what="the death is told of")
    assert value(collector, "queue.oldest_age")
    link.mend()
    linked.all_arrived()
    until(lambda: value(collector, "files.processed") == 6, within=20, what="six files are told of")

    assert {not_accounted_for(metrics) for metrics in collector.received.exports} == {0}
    assert max(metrics["files.in_flight"].total() for metrics in collector.received.exports) > 0
    assert {metrics["files.failed"].total() - metrics["files.failed"].total(step="upload") for metrics in collector.received.exports} == {0}


def test_what_was_claimed_before_is_counted_as_found(site: Site, collector: Collector) -> None:
    folder = site.processing("s", "20260101")
    folder.mkdir(parents=True)
    (folder / "old.bin").write_bytes(b"old")
    service = site.serve(**collector.settings)

    until(lambda: value(collector, "files.processed") == 1, within=30, what=lambda: f"it is sent\n{service.report()}")
    assert value(collector, "files.claimed", found="processing") == 1
    assert value(collector, "files.claimed", found="incoming") == 0


def test_refused_files_are_a_number_that_goes_down_again(site: Site, collector: Collector) -> None:
    service = site.serve(**collector.settings)
    service.start_session("s")
    refused = site.incoming("s") / "a.completed"
    refused.write_bytes(b"a")

    until(lambda: value(collector, "files.refused") == 1, within=20, what="it is refused")
    refused.unlink()
    until(lambda: value(collector, "files.refused") == 0, within=20, what="it is not refused any more")


def test_every_series_of_the_dashboard_and_the_alerts_is_received(received: Received) -> None:
    """Under the names that the collector's Prometheus exporter makes of them."""
    series = {name for metric in received.metrics.values() for name in in_prometheus(metric)}
    asked = set(series_asked_for())
    assert len(asked) > 15
    assert asked <= series


def in_prometheus(metric: Metric) -> Iterator[str]:
    endings = HISTOGRAM if metric.kind == "histogram" else ("total",) if metric.monotonic else ("",)
    yield from Instrument(metric.name, metric.unit, endings).series()


def series_asked_for() -> Iterator[str]:
    dashboard = json.loads((K3S / "monitoring/dashboard.json").read_text())
    alerts = yaml.safe_load((K3S / "monitoring/alerts.yaml").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    for expression in expressions:
        yield from re.findall(r"\b(?:actor|backlog|export|file|files|nfs|queue|service|staging|upload)_\w+", expression)


def test_a_hang_is_a_gauge_of_its_actor_and_its_end_a_restart(shaky: Site, disk: FaultyFileSystem, collector: Collector) -> None:
    service = shaky.serve(**collector.settings, APP_HANG_TIMEOUT_S="4", APP_HANG_ESCALATE_S="60")
    service.start_session("s")
    with disk.hanging("readdir"):
        until(lambda: (value(collector, "actor.hang", actor="scanner") or 0) > 1, within=30, what="the hang is told of")
        assert value(collector, "actor.hang", actor="uploader") == 0
    until(lambda: value(collector, "actor.hang", actor="scanner") == 0, within=30, what=lambda: f"it is over\n{service.report()}")
    assert value(collector, "actor.restarts", actor="scanner")
    shaky.write("s", "a.bin", some_bytes(1, MIB))
    shaky.all_arrived()


def test_a_claimed_file_that_vanishes_is_given_up(shaky: Site, disk: FaultyFileSystem, collector: Collector) -> None:
    """Somebody deletes it from `.processing` while it waits for its next attempt."""
    service = shaky.serve(**collector.settings)
    service.start_session("s")
    with disk.failing(errno.EIO, "open", path="*.processing*"):
        path = shaky.write("s", "a.bin", some_bytes(1, MIB))
        until(lambda: value(collector, "files.failed", step="stage") == 1, within=30, what=lambda: f"it fails\n{service.report()}")
        (shaky.processing("s") / path.name).unlink()
        until(lambda: value(collector, "files.given_up", reason="gone") == 1, within=30, what=lambda: f"it is gone\n{service.report()}")
    assert value(collector, "files.in_flight") == 0
