"""Forecasts: how long the backlog takes at the present rate, and when a disk is full. Main process; pure.

Nothing is counted that is not known, and what is not known yet is None.
"""

import time
from collections import deque
from datetime import UTC, datetime

from nfsw.actors.messages import ArrivalsCounted
from nfsw.supervisor.counters import Counters
from nfsw.supervisor.status import Backlog, Disk

#: How far back the trend of a disk looks, and for how long it must have been watched before it is one, in seconds.
_WINDOW_S, _SHORTEST_S = 3600.0, 300.0
#: Samples that are kept: one every half a minute.
_SAMPLES = 120
#: A sample that is older says nothing of the present, in seconds; whoever measures may hang.
_STALE_S = 900.0
#: A disk that takes longer to fill counts as one that does not, in seconds: 30 days.
_FAR_S = 30 * 86_400.0


class DiskTrend:
    """The room of one disk, over the last hour."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)  # when (seconds, monotonic), and bytes that are free
        self._total = 0
        self._at: datetime | None = None

    def note(self, total: int, free: int, now: float) -> None:
        """Bytes, and seconds of a monotonic clock. A disk of another size is another disk."""
        if total != self._total:
            self._samples.clear()
        self._total = total
        self._samples.append((now, free))
        while len(self._samples) > 2 and self._samples[0][0] < now - _WINDOW_S:
            self._samples.popleft()
        self._at = datetime.fromtimestamp(int(time.time()), UTC)

    def disk(self, now: float) -> Disk | None:
        """None: not measured yet."""
        if self._at is None:
            return None
        latest, free = self._samples[-1]
        filling = self._filling() if now - latest <= _STALE_S else None
        full_in_s = max(0.0, free / filling - (now - latest)) if filling and filling > 0 else None
        return Disk(self._total, free, self._at, filling, full_in_s if full_in_s is None or full_in_s <= _FAR_S else None)

    def _filling(self) -> float | None:
        """Bytes per second, by least squares; negative: it empties. None: it has not been watched for long enough."""
        begin = self._samples[0][0]
        if self._samples[-1][0] - begin < _SHORTEST_S:
            return None
        times = [at - begin for at, _ in self._samples]
        mean_time, mean_free = sum(times) / len(times), sum(free for _, free in self._samples) / len(times)
        spread = sum((at - mean_time) ** 2 for at in times)
        return -sum((at - mean_time) * (free - mean_free) for at, (_, free) in zip(times, self._samples, strict=True)) / spread


class ArrivalCount:
    """What lies in `incoming`, as the Scanner counted it last, less what was claimed since: its next count may be hours away."""

    def __init__(self, totals: Counters) -> None:
        self.counted_at: datetime | None = None  # UTC; None: not yet
        self._totals = totals
        self._left_files = self._left_size = 0  # what was counted, and what had been claimed by then

    def note(self, counted: ArrivalsCounted) -> None:
        self._left_files = counted.files + self._totals.claimed["incoming"]
        self._left_size = counted.size + self._totals.bytes_claimed
        self.counted_at = datetime.fromtimestamp(int(time.time()), UTC)

    def forget(self) -> None:
        """It is another session's, or nobody's."""
        self.counted_at = None

    @property
    def files(self) -> int:
        return max(0, self._left_files - self._totals.claimed["incoming"]) if self.counted_at else 0

    @property
    def size(self) -> int:
        """Bytes."""
        return max(0, self._left_size - self._totals.bytes_claimed) if self.counted_at else 0


def backlog(files: int, unsent: int, rate: float | None, counted_at: datetime | None, limit: int | None = None) -> Backlog:
    """`unsent`: bytes of these files that have not left yet. `rate`, `limit`: bytes per second."""
    if unsent == 0:
        eta_s: float | None = 0.0
    else:
        eta_s = unsent / rate if rate else None
    return Backlog(files, unsent, counted_at, rate, eta_s, limit)
