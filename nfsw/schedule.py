"""The upload limit by time of day: `2MiB/s`, or `08:00-18:00=2MiB/s, 18:00-22:00=8MiB/s, else off`. Pure values; main process."""

import re
from dataclasses import dataclass
from datetime import datetime, time
from typing import ClassVar, Self

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
#: Bytes per second. More than any line carries: such a number is a slip of the hand.
_FASTEST = 10**15
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]?i?B?)(?:/s)?", re.IGNORECASE)
_HOURS = re.compile(r"(\d{1,2}:\d{2})\s*-\s*(\d{1,2}:\d{2})\s*=\s*(.+)")


class BadSchedule(ValueError):
    """The text is not a schedule. The message says which part is wrong and what a right one looks like."""


@dataclass(frozen=True, slots=True)
class Hours:
    """From `begin` up to, but without, `end`, local time; over midnight when `end` is the earlier of the two."""

    begin: time
    end: time
    bytes_per_s: int | None

    def contains(self, now: time) -> bool:
        if self.begin < self.end:
            return self.begin <= now < self.end
        return now >= self.begin or now < self.end


@dataclass(frozen=True, slots=True)
class UploadSchedule:
    hours: tuple[Hours, ...] = ()
    otherwise: int | None = None  # bytes per second; None: no limit
    text: str = "off"

    OFF: ClassVar["UploadSchedule"]

    def limit(self, now: datetime) -> int | None:
        """Bytes per second at the local time `now`; None: no limit. The first hours that contain it decide."""
        for hours in self.hours:
            if hours.contains(now.time()):
                return hours.bytes_per_s
        return self.otherwise

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises BadSchedule."""
        hours: list[Hours] = []
        otherwise: int | None = None
        parts = [part.strip() for part in text.split(",")]
        for number, part in enumerate(parts, start=1):
            if timed := _HOURS.fullmatch(part):
                hours.append(Hours(_clock(timed[1]), _clock(timed[2]), _rate(timed[3])))
            elif number == len(parts):
                otherwise = _rate(part.removeprefix("else ").strip())
            else:
                raise BadSchedule(f"{part!r} is not a part of a schedule such as 08:00-18:00=2MiB/s, else off")
        return cls(tuple(hours), otherwise, text.strip())

    def __str__(self) -> str:
        return self.text


UploadSchedule.OFF = UploadSchedule()


def _rate(text: str) -> int | None:
    if text.lower() == "off":
        return None
    found = _RATE.fullmatch(text)
    unit = _UNITS.get(found[2].upper()) if found else None
    if found is None or unit is None or not 1 <= (rate := float(found[1]) * unit) <= _FASTEST:
        raise BadSchedule(f"{text!r} is not a rate such as 2MiB/s, 500KB/s or off")
    return int(rate)


def _clock(text: str) -> time:
    hour, minute = (int(part) for part in text.split(":"))
    if (hour, minute) == (24, 0):
        return time(0)
    try:
        return time(hour, minute)
    except ValueError as wrong:
        raise BadSchedule(f"{text!r} is not a time of day such as 08:00") from wrong
