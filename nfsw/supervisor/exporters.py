"""OpenTelemetry's providers: real ones that export over OTLP/HTTP when an endpoint is set, else ones that only number traces.

Main process, after the children have been started. The standard OTEL_* variables say where and how; without an endpoint
there is no exporter, so no retries and no noise. Nothing here is waited for at the end.
"""

import os
from dataclasses import dataclass

from opentelemetry.metrics import MeterProvider, NoOpMeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from nfsw import __version__

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")


@dataclass(frozen=True, slots=True)
class Providers:
    tracers: TracerProvider
    meters: MeterProvider
    exports: bool


def providers(pod_name: str) -> Providers:
    """As the environment says."""
    resource = Resource.create(
        {"service.name": os.environ.get("OTEL_SERVICE_NAME", "nfsw"), "service.version": __version__, "service.instance.id": pod_name}
    )
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    if not any(os.environ.get(name) for name in _ENDPOINTS) or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return Providers(tracers, NoOpMeterProvider(), exports=False)
    # Only here: the exporter and its HTTP client take memory that a pod without a collector does not need.
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    return Providers(tracers, SdkMeterProvider([reader], resource=resource, shutdown_on_exit=False), exports=True)
