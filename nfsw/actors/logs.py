"""JSON logs: one object a line on stdout, the same in every process. The standard library alone, since NFS actors load it.

Nobody who logs waits: a thread writes to stdout, and what is exported goes into a socket only if there is room.
"""

import contextvars
import json
import logging
import math
import os
import socket
import sys
import threading
import time
import traceback
from datetime import UTC, datetime
from typing import NoReturn

from nfsw.actors.line_writer import LineWriter
from nfsw.actors.names import printable

log = logging.getLogger("nfsw")

#: W3C trace context of the file in hand, set by whatever hands a message to an actor.
traceparent: contextvars.ContextVar[str | None] = contextvars.ContextVar("traceparent", default=None)

#: What a log call may pass in `extra`, besides `file`.
_FIELDS = ("session_name", "file_name", "actor", "action")
NO_TRACE = ("0" * 32, "0" * 16, "00")
#: A pipe takes this much in one piece (PIPE_BUF), so that lines of different processes never mix.
LONGEST = 4096
#: Seconds for which the end of a process waits for its last lines.
_FLUSH_S = 0.3
#: Seconds between two lines about lines that were not exported.
_SAY_EVERY_S = 10.0
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
    """Gives each line to the thread that writes them to stdout, and to the exporter, if there is one."""

    def __init__(self, export: socket.socket | None = None) -> None:
        super().__init__()
        self._writer = LineWriter(1)
        self._export = export
        self._not_exported = 0
        self._said_at = -math.inf

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record).encode()
        except Exception as error:  # noqa: BLE001 - the arguments of a log call do not fit: a bug, and no reason to end
            line = self.format(_unformatted(record, error)).encode()
        self._writer.put(line + b"\n")
        if self._export and len(line) <= LONGEST and not record.name.startswith(_OF_THE_EXPORTER):
            self._send(self._export, line)

    def flush(self) -> None:
        """Waits for the lines to be written, for a moment. The end of the interpreter calls it too."""
        self._writer.flush(_FLUSH_S)

    def close(self) -> None:
        self._writer.close()
        if self._export:
            self._export.close()
        super().close()

    def _send(self, export: socket.socket, line: bytes) -> None:
        try:
            export.send(line, socket.MSG_DONTWAIT)
        except OSError:  # full, or nobody there any more: stdout has the line
            self._not_exported += 1
            return
        now = time.monotonic()
        if self._not_exported and now - self._said_at >= _SAY_EVERY_S:
            count, self._not_exported, self._said_at = self._not_exported, 0, now
            log.warning("%d log lines were not exported, because the exporter was too slow", count, extra={"action": "log"})


def configure(level: str, actor: str | None = None, export_fd: int | None = None) -> None:
    """Before anything is logged. `export_fd`: the socket that takes the lines to the exporter."""
    handler = StdoutHandler(None if export_fd is None else socket.socket(fileno=os.dup(export_fd)))
    handler.setFormatter(JsonFormatter(actor))
    root = logging.getLogger()
    for before in root.handlers:
        if isinstance(before, StdoutHandler):
            before.flush()
            before.close()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("azure", "uvicorn.access", "uvicorn.error", "asyncio", "urllib3", "msal", "opentelemetry"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    # None of these may write to stderr: it ends where stdout does, and may be as blocked.
    sys.excepthook = lambda kind, error, _: _log_uncaught(kind, error)
    threading.excepthook = lambda args: _log_uncaught(args.exc_type, args.exc_value)
    sys.unraisablehook = _log_unraisable


def leave(code: int) -> NoReturn:
    """Ends the process at once with this exit code: no clean-up but for the last lines, which are waited for for a moment."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    os._exit(code)


def about(session: str, name: str, action: str | None = None) -> dict[str, str]:
    """The `extra` of a log line about a file; the name is made safe for JSON."""
    extra = {"session_name": session, "file_name": printable(name)}
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


def _log_uncaught(kind: type[BaseException], error: BaseException | None) -> None:
    log.critical("uncaught %s: %s", kind.__name__, error, exc_info=error)


def _log_unraisable(args: "sys.UnraisableHookArgs") -> None:
    log.error("ignored %s in %r: %s", args.exc_type.__name__, args.object, args.exc_value, exc_info=args.exc_value)


def _unformatted(record: logging.LogRecord, error: Exception) -> logging.LogRecord:
    message = f"cannot be put into words: {record.msg!r}"
    return logging.LogRecord(
        record.name, logging.ERROR, record.pathname, record.lineno, message, None, (type(error), error, error.__traceback__)
    )
