"""Measures how long something takes on a machine that others use too.

Where the kernel tells (/proc/pressure, PSI), the time in which some process of this machine waited for a processor or a disk does not
count. So "gone within a second" is judged to the millisecond on an idle machine, and a crowded one does not make it fail.
"""

import time
from pathlib import Path

_PRESSURE = Path("/proc/pressure")


class Stopwatch:
    """Begins with its creation."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._stalled = _stalled_s()

    @property
    def wall_s(self) -> float:
        return time.monotonic() - self._begun

    @property
    def seconds(self) -> float:
        """Those in which the machine was free for whoever wanted it."""
        return max(0.0, self.wall_s - (_stalled_s() - self._stalled))


def _stalled_s() -> float:
    """Since the machine was started. 0 where the kernel does not tell."""
    try:
        return sum(_total_us((_PRESSURE / resource).read_text()) for resource in ("cpu", "io")) / 1e6
    except OSError:
        return 0.0


def _total_us(text: str) -> int:
    """Of lines such as `some avg10=0.00 avg60=0.00 avg300=0.00 total=1234`."""
    some = text.splitlines()[0]
    return int(some.rpartition("total=")[2])
