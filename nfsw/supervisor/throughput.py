"""How fast bytes have left for Azure over the last minutes. Main process; pure."""

from collections import deque
from dataclasses import dataclass
from itertools import dropwhile

#: Seconds between two samples: several blocks long on a slow uplink, so that the plot does not jump from block to block.
STEP_S = 5
#: Ten minutes.
SAMPLES = 120
#: Samples that "the rate of late" is the mean of: two minutes.
_RECENT = 24


@dataclass(frozen=True, slots=True)
class ThroughputHistory:
    step_s: int
    bytes_per_s: tuple[int, ...]  # the oldest first; each one the mean over a step


class Throughput:
    """Sampled all the time, so that a page that is opened now shows what was before it."""

    def __init__(self) -> None:
        self._rates: deque[int] = deque(maxlen=SAMPLES)
        self._last: tuple[int, float] | None = None

    def note(self, sent: int, now: float) -> None:
        """`sent` bytes in all had gone out at `now`, in seconds of a monotonic clock."""
        if self._last is not None:
            before, then = self._last
            if now <= then:
                return
            self._rates.append(round((sent - before) / (now - then)))
        self._last = sent, now

    def history(self) -> ThroughputHistory:
        return ThroughputHistory(STEP_S, tuple(self._rates))

    def rate(self) -> float | None:
        """Bytes per second over the last two minutes, without the time before anything was sent; None: not measured yet."""
        recent = list(self._rates)[-_RECENT:]
        sending = list(dropwhile(lambda rate: rate == 0, recent))
        if not recent:
            return None
        return sum(sending) / len(sending) if sending else 0.0
