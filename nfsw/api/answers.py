"""The status and the limits as JSON. Main process.

Dataclasses in, bytes out, with no validation in between: the status goes out once a second to everybody who watches.
"""

import dataclasses
import json
import os
from datetime import UTC, datetime
from http import HTTPStatus

from fastapi import Response

from nfsw.supervisor.status import Limits, Status

type Json = dict[str, Json] | list[Json] | str | int | float | bool | None


def answer(value: Status | Limits, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(encode(value), status, {"Cache-Control": "no-store"}, "application/json")


def encode(value: object) -> bytes:
    return json.dumps(_json(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _json(value: object) -> Json:
    match value:
        case str():
            return _text(value)
        case int() | float() | None:  # an IntEnum too: it comes out as its number
            return value
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        case tuple() | list():
            return [_json(item) for item in value]
        case _ if dataclasses.is_dataclass(value):
            return {field.name: _json(getattr(value, field.name)) for field in dataclasses.fields(value)}
        case _:
            raise TypeError(f"{type(value).__name__} has no form in JSON here")


def _text(text: str) -> str:
    """As it is; but bytes of a file name that are not UTF-8, which JSON cannot carry, as `\\xff`."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return os.fsencode(text).decode("utf-8", "backslashreplace")
    return str(text)
