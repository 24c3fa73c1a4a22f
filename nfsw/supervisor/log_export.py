"""The way of log lines to the exporter: every process has written its line to stdout, and sends the same line here. Main process.

One socket pair for all processes. A child sends and goes on: a line that finds the socket full is dropped, and stdout has it
all the same. So a main process that is stuck, or an exporter that is slow, holds nobody up and takes no more memory.
"""

import asyncio
import json
import socket
from datetime import datetime
from typing import Any

from opentelemetry._logs import LoggerProvider, LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from nfsw.actors.logs import LONGEST, NO_TRACE

#: Lines that are taken in one turn of the loop.
_LINES_A_TURN = 64
_SEVERITIES = {
    "DEBUG": SeverityNumber.DEBUG,
    "INFO": SeverityNumber.INFO,
    "WARNING": SeverityNumber.WARN,
    "ERROR": SeverityNumber.ERROR,
    "CRITICAL": SeverityNumber.FATAL,
}


class LogExport:
    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)

    @property
    def fd(self) -> int:
        """For the children, and for the main process itself, to send to."""
        return self._theirs.fileno()

    def begin(self, provider: LoggerProvider) -> None:
        """What has been sent so far waits in the socket."""
        asyncio.get_running_loop().add_reader(self._ours, self._read, provider)

    def _read(self, provider: LoggerProvider) -> None:
        for _ in range(_LINES_A_TURN):
            try:
                line = json.loads(self._ours.recv(LONGEST))
            except BlockingIOError:
                return
            provider.get_logger(line["logger"]).emit(_record(line))


def _record(line: dict[str, Any]) -> LogRecord:
    """The fields of the contract become those of OTLP; what else the line has becomes attributes of the same names."""
    severity = line.pop("level")
    trace = line.pop("trace_id"), line.pop("span_id"), line.pop("trace_flags")
    del line["logger"]
    if "exception" in line:
        line["exception.stacktrace"] = line.pop("exception")
    return LogRecord(
        timestamp=round(datetime.fromisoformat(line.pop("timestamp")).timestamp() * 1e9),
        severity_text=severity,
        severity_number=_SEVERITIES.get(severity, SeverityNumber.UNSPECIFIED),
        body=line.pop("message"),
        context=_context(*trace),
        attributes=line,
    )


def _context(trace_id: str, span_id: str, flags: str) -> Context | None:
    if (trace_id, span_id, flags) == NO_TRACE:
        return None
    span = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return set_span_in_context(NonRecordingSpan(span), Context())
