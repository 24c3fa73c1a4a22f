"""The exporters themselves: OTLP over HTTP, each in a thread of the SDK's, with a bounded queue that drops. Main process.

Imported only where there is an endpoint. A collector that is away or does not answer costs what the queues hold, one log line
when that begins, and one when it is over.
"""

import logging
import time
from threading import Lock
from typing import Any

import requests
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData, PeriodicExportingMetricReader
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from requests.adapters import HTTPAdapter

from nfsw.supervisor.call_times import with_call_times
from nfsw.supervisor.exporters import SCOPE, Providers
from nfsw.supervisor.instruments import Instruments

log = logging.getLogger("nfsw.telemetry")


def connect(providers: Providers, readings: Instruments) -> None:
    """Begins to export what the providers are given. On the main loop."""
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)  # `ExportHealth` says it, once
    logging.getLogger("opentelemetry.sdk._shared_internal").setLevel(logging.ERROR)  # each item that is dropped
    health = ExportHealth()
    if "traces" in providers.signals:
        providers.tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(session=health.session("traces"))))
    if isinstance(providers.meters, MeterProvider):
        exporter = _MetricExporter(readings, session=health.session("metrics"))
        providers.meters.add_metric_reader(PeriodicExportingMetricReader(exporter))
    if providers.logs:
        loggers = LoggerProvider(providers.resource, shutdown_on_exit=False)
        loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(session=health.session("logs"))))
        providers.logs.begin(loggers)


def tried(signal: str, timeout_s: float) -> str | None:
    """Exports nothing, once: why that fails; None: it does not."""
    health = ExportHealth()
    session = health.session(signal)
    match signal:
        case "traces":
            OTLPSpanExporter(session=session, timeout=timeout_s).export([])
        case "metrics":
            OTLPMetricExporter(session=session, timeout=timeout_s).export(MetricsData([]))
        case _:
            OTLPLogExporter(session=session, timeout=timeout_s).export([])
    return health.failing.get(signal)


class ExportHealth:
    """Which signals do not reach the collector just now."""

    def __init__(self) -> None:
        self.failing: dict[str, str] = {}  # why, by signal
        self._lock = Lock()  # each signal has a thread of its own

    def session(self, signal: str) -> requests.Session:
        session = requests.Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, _WatchedAdapter(self, signal))
        return session

    def passed(self, signal: str) -> None:
        with self._lock:
            over = self.failing.keys() == {signal}
            self.failing.pop(signal, None)
        if over:
            log.info("telemetry export works again", extra={"action": "export"})

    def failed(self, signal: str, reason: str) -> None:
        with self._lock:
            news = not self.failing
            self.failing[signal] = reason
        if news:
            log.warning("telemetry export is failing; data is being dropped: %s: %s", signal, reason, extra={"action": "export"})


class _WatchedAdapter(HTTPAdapter):
    """Every request of one signal."""

    def __init__(self, health: ExportHealth, signal: str) -> None:
        super().__init__()
        self._health = health
        self._signal = signal

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        try:
            response = super().send(request, *args, **kwargs)
        except requests.RequestException as error:
            self._health.failed(self._signal, _reason(error))
            raise
        if response.ok:
            self._health.passed(self._signal)
        else:
            self._health.failed(self._signal, f"{request.url} answered {response.status_code} {response.reason}")
        return response


class _MetricExporter(OTLPMetricExporter):
    """Adds what no instrument takes: durations that the children have counted into classes themselves."""

    def __init__(self, readings: Instruments, session: requests.Session) -> None:
        super().__init__(session=session)
        self._readings = readings
        self._begun_ns = time.time_ns()

    def export(self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: Any) -> MetricExportResult:
        data = with_call_times(metrics_data, self._readings.latest.calls, self._begun_ns, SCOPE)
        return super().export(data, timeout_millis, **kwargs)


def _reason(error: requests.RequestException) -> str:
    """The innermost error: what is around it only names classes."""
    inner: BaseException = error
    while inner.__context__ is not None:
        inner = inner.__context__
    return str(inner) or type(inner).__name__
