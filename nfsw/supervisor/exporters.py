"""OpenTelemetry's providers: real ones that export over OTLP/HTTP when an endpoint is set, else ones that only number traces.

Main process. The standard OTEL_* variables say what goes where. Without an endpoint there is no exporter, no thread, no socket
and no span that is kept. What is exported is never waited for, and at the end what is under way is left.
"""

import os
from dataclasses import dataclass

from opentelemetry.metrics import MeterProvider, NoOpMeterProvider
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from nfsw import __version__
from nfsw.supervisor.instruments import Instruments
from nfsw.supervisor.log_export import LogExport

#: Of the service's own spans and metrics.
SCOPE = "nfsw"
SIGNALS = ("traces", "metrics", "logs")


@dataclass(frozen=True, slots=True)
class Providers:
    tracers: TracerProvider
    meters: MeterProvider
    #: Where log lines go; None: no further than stdout.
    logs: LogExport | None
    #: The signals that are exported.
    signals: frozenset[str]
    resource: Resource

    @property
    def exports(self) -> bool:
        return bool(self.signals)

    def connect(self, readings: Instruments) -> None:
        """Begins to export. Once, when the children have been started: the exporters take their time to import."""
        if self.exports:
            from nfsw.supervisor import otlp  # noqa: PLC0415 - they also take memory, which a pod without a collector keeps

            otlp.connect(self, readings)


def providers(pod_name: str) -> Providers:
    """As the environment says."""
    signals = exported()
    given = OTELResourceDetector().detect().attributes
    resource = Resource.create({"service.name": "nfsw", "service.version": __version__, "service.instance.id": pod_name, **given})
    sampler = None if "traces" in signals else ALWAYS_OFF  # None: as OTEL_TRACES_SAMPLER says
    tracers = TracerProvider(sampler, resource, shutdown_on_exit=False)
    meters: MeterProvider = NoOpMeterProvider()
    if "metrics" in signals:
        from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider  # noqa: PLC0415 - as above

        meters = SdkMeterProvider(resource=resource, shutdown_on_exit=False)
    return Providers(tracers, meters, LogExport() if "logs" in signals else None, signals, resource)


def exported() -> frozenset[str]:
    """The signals that have an endpoint, and are not switched off."""
    if _given("OTEL_SDK_DISABLED").lower() == "true":
        return frozenset()
    return frozenset(signal for signal in SIGNALS if endpoint(signal) and _given(f"OTEL_{signal.upper()}_EXPORTER") != "none")


def endpoint(signal: str) -> str:
    """As the variables say; empty: none."""
    return _given(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT") or _given("OTEL_EXPORTER_OTLP_ENDPOINT")


def _given(variable: str) -> str:
    return os.environ.get(variable, "").strip()
