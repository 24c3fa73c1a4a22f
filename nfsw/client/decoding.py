"""JSON back to the frozen dataclasses that it was made of. In clients; standard library only."""

import dataclasses
import types
import typing
from datetime import datetime
from enum import StrEnum
from typing import Any


class Undecodable(Exception):
    """The JSON is not of this type. The message names the place."""


def decode[T](kind: type[T], value: object, place: str = "the answer") -> T:
    """`value` as a `kind`. Fields that `kind` does not have are passed over: a later service may say more. Raises Undecodable."""
    decoded: T = _decode(kind, value, place)
    return decoded


def _decode(kind: Any, value: object, place: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type) and isinstance(value, dict):
        types_of = typing.get_type_hints(kind)
        names = [field.name for field in dataclasses.fields(kind)]
        if missing := [name for name in names if name not in value]:
            raise Undecodable(f"{place} has no {missing[0]!r}")
        return kind(**{name: _decode(types_of[name], value[name], name) for name in names})
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return None if value is None else _decode(next(one for one in arguments if one is not types.NoneType), value, place)
    if origin is tuple and isinstance(value, list):
        return tuple(_decode(arguments[0], item, place) for item in value)
    if isinstance(value, str) and isinstance(kind, type) and issubclass(kind, StrEnum | datetime):
        try:
            return kind(value) if issubclass(kind, StrEnum) else datetime.fromisoformat(value)
        except ValueError:
            raise Undecodable(f"{place} is {value!r}") from None
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is kind:
        return value
    raise Undecodable(f"{place} is {value!r}")
