"""Spans and metrics of the REST API, in the stable HTTP conventions of OpenTelemetry. Main process, where something is exported.

Without the probes, which come every few seconds for ever, and without the stream of events, whose requests last as long as
the page is open.
"""

import os
from typing import Any

from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.trace import Span

from nfsw.actors import logs
from nfsw.supervisor.exporters import Providers

_NOT_TRACED = "/healthz,/readyz,/v1/watch/events"


def instrument(app: FastAPI, exporting: Providers) -> None:
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http")  # seconds, and the names that are to stay
    FastAPIInstrumentor.instrument_app(
        app,
        server_request_hook=_log_with,
        tracer_provider=exporting.tracers,
        meter_provider=exporting.meters,
        excluded_urls=_NOT_TRACED,
        exclude_spans=["receive", "send"],
    )


def _log_with(span: Span, _scope: dict[str, Any]) -> None:
    """What is logged on behalf of a request, in whichever process, is in the request's trace."""
    context = span.get_span_context()
    if context.is_valid:
        logs.traceparent.set(f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}")
