"""Where telemetry goes: does whoever listens there take it. A child of the doctor.

Files are moved with and without it, so nothing here is worse than a warning.
"""

import os
from collections.abc import Generator
from functools import partial

from nfsw.doctor.finding import Check, Verdict, Wrong
from nfsw.doctor.plan import Plan
from nfsw.supervisor import exporters

_PROTOCOLS = {"", "http/protobuf"}


def checks(plan: Plan) -> Generator[Check]:
    signals = exporters.exported()
    if not signals:
        yield Check("OTLP", lambda: "no endpoint: nothing is exported")
        return
    for signal in sorted(signals):
        yield Check(f"OTLP {signal}", partial(_sent, signal, plan.limit_s))


def _sent(signal: str, limit_s: float) -> str:
    """An export of nothing, which a collector answers like any other."""
    from nfsw.supervisor import otlp  # noqa: PLC0415 - only where something is exported

    protocol = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "")
    endpoint = exporters.endpoint(signal)
    if protocol not in _PROTOCOLS:
        raise Wrong(
            f"{endpoint}: protocol {protocol} is not supported", "set http/protobuf and the collector's port for it, 4318", Verdict.WARN
        )
    if reason := otlp.tried(signal, limit_s / 2):
        raise Wrong(
            f"{endpoint}: {reason}", "start the collector, or empty OTEL_EXPORTER_OTLP_ENDPOINT; files do not wait for it", Verdict.WARN
        )
    return f"{endpoint} accepts exports"
