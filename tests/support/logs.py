"""The log as an operator's collector reads it: one JSON object a line on stdout."""

import json
from pathlib import Path
from typing import Any

type LogLine = dict[str, Any]

FIELDS = frozenset({"timestamp", "level", "logger", "message", "trace_id", "span_id", "trace_flags"})
TROUBLE = frozenset({"ERROR", "CRITICAL"})


def read_log(path: Path) -> list[LogLine]:
    """Every line that is complete by now. Fails at one that is no JSON object with the fields of the contract."""
    text = path.read_bytes().decode()
    lines = text.split("\n")[:-1]
    return [_line(line) for line in lines]


def _line(text: str) -> LogLine:
    try:
        line = json.loads(text)
    except ValueError as wrong:
        raise AssertionError(f"no JSON on stdout: {text!r}") from wrong
    assert isinstance(line, dict), f"no JSON object on stdout: {text!r}"
    assert line.keys() >= FIELDS, f"without {sorted(FIELDS - line.keys())}: {text}"
    return line
