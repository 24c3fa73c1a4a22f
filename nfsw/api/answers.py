"""The status and the limits as JSON. Main process.

Dataclasses in, bytes out, with no validation in between: the status goes out once a second to everybody who watches.
"""

import dataclasses
import json
import re
from datetime import UTC, datetime
from http import HTTPStatus

from fastapi import Response

from nfsw.supervisor.status import Limits, Status

#: A byte of a file name that is not UTF-8, as the operating system's names have it in a `str`.
_ODD_BYTE = re.compile("[\udc80-\udcff]")


def answer(value: Status | Limits, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(encode(value), status, {"Cache-Control": "no-store"}, "application/json")


def encode(value: object) -> bytes:
    text = json.dumps(value, default=_fields, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:  # JSON cannot carry such a byte: it becomes the text `\xff`
        return _ODD_BYTE.sub(lambda byte: f"\\\\x{ord(byte[0]) - 0xDC00:02x}", text).encode()


def _fields(value: object) -> object:
    """What `json` itself does not know."""
    match value:
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        case _ if dataclasses.is_dataclass(value):
            return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        case _:
            raise TypeError(f"{type(value).__name__} has no form in JSON here")
