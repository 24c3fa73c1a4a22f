"""An OpenTelemetry collector for tests: it takes OTLP over HTTP, decodes the real protobuf, and fails in the ways that collectors do."""

import gzip
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tests.support.ports import reserved_port

type Attributes = dict[str, Any]

#: Often, so that a test does not wait for what the service has long known.
OFTEN = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_BLRP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "200"}


@dataclass(frozen=True, slots=True)
class Event:
    name: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Span:
    trace_id: str
    span_id: str
    parent: str  # empty: it has none
    scope: str
    name: str
    start: int  # nanoseconds since the epoch
    end: int
    error: str | None
    attributes: Attributes
    events: tuple[Event, ...]
    resource: Attributes

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / 1e9


@dataclass(frozen=True, slots=True)
class Metric:
    """As one export has it."""

    name: str
    unit: str
    kind: str  # sum, gauge or histogram
    monotonic: bool
    bounds: tuple[float, ...]
    #: By attributes: the value, or how many values a histogram has.
    points: dict[frozenset[tuple[str, Any]], float]
    sums: dict[frozenset[tuple[str, Any]], float]  # of histograms

    def total(self, **attributes: Any) -> float:
        """Of all points that have these attributes."""
        return sum(value for key, value in self.points.items() if attributes.items() <= dict(key).items())


@dataclass(frozen=True, slots=True)
class LogRecord:
    trace_id: str
    span_id: str
    logger: str
    severity: str
    body: str
    time: int  # nanoseconds since the epoch
    attributes: Attributes
    resource: Attributes


@dataclass(slots=True)
class Received:
    spans: list[Span] = field(default_factory=list)
    logs: list[LogRecord] = field(default_factory=list)
    #: The metrics of each export, by name.
    exports: list[dict[str, Metric]] = field(default_factory=list)
    #: Of each export.
    metric_resources: list[Attributes] = field(default_factory=list)

    @property
    def metrics(self) -> dict[str, Metric]:
        """As they were received last."""
        return self.exports[-1] if self.exports else {}

    def trace(self, root: str, **attributes: Any) -> list[Span] | None:
        """The spans of the trace whose root has this name and these attributes (dots as underscores); None: it is not there yet."""
        spans = list(self.spans)
        for span in spans:
            told = {key.replace(".", "_"): value for key, value in span.attributes.items()}
            if span.name == root and not span.parent and attributes.items() <= told.items():
                trace = [other for other in spans if other.trace_id == span.trace_id]
                return sorted(trace, key=lambda other: (other.start, other.parent))
        return None

    def take(self, path: str, body: bytes) -> None:
        match path:
            case "/v1/traces":
                self._take_spans(ExportTraceServiceRequest.FromString(body))
            case "/v1/metrics":
                self._take_metrics(ExportMetricsServiceRequest.FromString(body))
            case "/v1/logs":
                self._take_logs(ExportLogsServiceRequest.FromString(body))
            case _:
                raise AssertionError(f"nothing of OTLP goes to {path}")

    def _take_spans(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append(
                        Span(
                            span.trace_id.hex(),
                            span.span_id.hex(),
                            span.parent_span_id.hex(),
                            scope.scope.name,
                            span.name,
                            span.start_time_unix_nano,
                            span.end_time_unix_nano,
                            span.status.message if span.status.code == span.status.STATUS_CODE_ERROR else None,
                            _plain(span.attributes),
                            tuple(Event(event.name, _plain(event.attributes)) for event in span.events),
                            _plain(resource.resource.attributes),
                        )
                    )

    def _take_metrics(self, request: ExportMetricsServiceRequest) -> None:
        export: dict[str, Metric] = {}
        for resource in request.resource_metrics:
            self.metric_resources.append(_plain(resource.resource.attributes))
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data") or "nothing"
                    data = getattr(metric, kind)
                    keys = [frozenset(_plain(point.attributes).items()) for point in data.data_points]
                    histogram = kind == "histogram"
                    values = [
                        point.count if histogram else getattr(point, point.WhichOneof("value") or "as_int") for point in data.data_points
                    ]
                    export[metric.name] = Metric(
                        metric.name,
                        metric.unit,
                        kind,
                        kind == "sum" and data.is_monotonic,
                        tuple(data.data_points[0].explicit_bounds) if histogram else (),
                        dict(zip(keys, values, strict=True)),
                        dict(zip(keys, [point.sum for point in data.data_points], strict=True)) if histogram else {},
                    )
        self.exports.append(export)

    def _take_logs(self, request: ExportLogsServiceRequest) -> None:
        for resource in request.resource_logs:
            for scope in resource.scope_logs:
                for record in scope.log_records:
                    self.logs.append(
                        LogRecord(
                            record.trace_id.hex(),
                            record.span_id.hex(),
                            scope.scope.name,
                            record.severity_text,
                            record.body.string_value,
                            record.time_unix_nano,
                            _plain(record.attributes),
                            _plain(resource.resource.attributes),
                        )
                    )


class Collector:
    """`received` grows while requests come in. `status`: with what they are answered; what is not answered with 200 is not taken."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.received = Received()
        self.status = 200
        self.requests = 0

    @property
    def settings(self) -> dict[str, str]:
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint, **OFTEN}


@contextmanager
def collector() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            running.requests += 1
            if running.status == 200:
                running.received.take(self.path, body)
            self.send_response(running.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Not on the test's stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        running = Collector(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, name="collector")
        thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def dead_collector() -> Iterator[str]:
    """The endpoint of one that is away: connections are refused."""
    with reserved_port() as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def hanging_collector() -> Iterator[str]:
    """The endpoint of one that takes connections, and requests, and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"


def _plain(attributes: Any) -> Attributes:
    return {pair.key: _value(pair) for pair in attributes}


def _value(pair: KeyValue) -> Any:
    value: AnyValue = pair.value
    kind = value.WhichOneof("value")
    return None if kind is None else getattr(value, kind)
