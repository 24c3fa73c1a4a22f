"""JSON logs: one object a line on stdout, the same in every process. The standard library alone, since NFS actors load it."""

import contextlib
import contextvars
import json
import logging
import os
import socket
import sys
import traceback
from datetime import UTC, datetime

from nfsw.actors.names import shown

#: W3C trace context of the file in hand, set by whatever hands a message to an actor.
traceparent: contextvars.ContextVar[str | None] = contextvars.ContextVar("traceparent", default=None)

#: What a log call may pass in `extra`, besides `file`.
_FIELDS = ("session_name", "file_name", "actor", "action")
NO_TRACE = ("0" * 32, "0" * 16, "00")
#: A pipe takes this much in one piece (PIPE_BUF), so that lines of different processes never mix.
LONGEST = 4096
#: Their lines are not exported: what is said of an export that fails would be the next export's load.
_OF_THE_EXPORTER = ("opentelemetry", "urllib3", "requests")


class JsonFormatter(logging.Formatter):
    """`actor`: the name of the actor whose process this is; None in the main process."""

    def __init__(self, actor: str | None = None) -> None:
        super().__init__()
        self._actor = actor

    def format(self, record: logging.LogRecord) -> str:
        trace_id, span_id, flags = _trace()
        line: dict[str, object] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "trace_id": trace_id,
            "span_id": span_id,
            "trace_flags": flags,
        }
        if self._actor:
            line["actor"] = self._actor
        for field in _FIELDS:
            if (value := getattr(record, field, None)) is not None:
                line[field] = value
        if record.exc_info:
            line["exception"] = "".join(traceback.format_exception(*record.exc_info))
        return _fitting(line)


class StdoutHandler(logging.Handler):
    """Writes each line with one write(2); then sends it to the exporter, if there is one."""

    def __init__(self, export: socket.socket | None = None) -> None:
        super().__init__()
        self._export = export

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record).encode()
            os.write(1, line + b"\n")
            if self._export and len(line) <= LONGEST and not record.name.startswith(_OF_THE_EXPORTER):
                with contextlib.suppress(OSError):  # full, or nobody there any more: stdout has the line
                    self._export.send(line, socket.MSG_DONTWAIT)
        except Exception:  # noqa: BLE001 - logging's own rule: an error while logging goes to logging.raiseExceptions
            self.handleError(record)


def configure(level: str, actor: str | None = None, export_fd: int | None = None) -> None:
    """Before anything is logged. `export_fd`: the socket that takes the lines to the exporter."""
    handler = StdoutHandler(None if export_fd is None else socket.socket(fileno=os.dup(export_fd)))
    handler.setFormatter(JsonFormatter(actor))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("azure", "uvicorn.access", "uvicorn.error", "asyncio", "urllib3", "msal", "opentelemetry"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught


def about(session: str, name: str, action: str | None = None) -> dict[str, str]:
    """The `extra` of a log line about a file; the name is made safe for JSON."""
    extra = {"session_name": session, "file_name": shown(name)}
    return extra | {"action": action} if action else extra


def _trace() -> tuple[str, str, str]:
    context = traceparent.get()
    if context is None:
        return NO_TRACE
    _, trace_id, span_id, flags = context.split("-")
    return trace_id, span_id, flags


def _fitting(line: dict[str, object]) -> str:
    text = _json(line)
    for field in ("exception", "message"):
        excess = len(text) + 1 - LONGEST
        if excess > 0 and field in line:
            kept = str(line[field]).encode("utf-8", "surrogatepass")
            half = max(64, (len(kept) - excess - 64) // 2)
            line[field] = kept[:half].decode(errors="ignore") + " [...] " + kept[-half:].decode(errors="ignore")
            text = _json(line)
    return text.decode()


def _json(line: dict[str, object]) -> bytes:
    """What is no UTF-8, such as the odd bytes of a file's name in an error's text, becomes an escape of JSON's own."""
    return json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _log_uncaught(kind: type[BaseException], error: BaseException, _trace: object) -> None:
    logging.getLogger("nfsw").critical("uncaught %s: %s", kind.__name__, error, exc_info=error)
