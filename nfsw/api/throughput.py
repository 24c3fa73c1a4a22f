"""How fast bytes went to Azure over the last minutes, for the plot of the status page. Main process.

Sampled all the time, so that a page that is opened now shows what was before it. One wake-up every few seconds and
a few hundred numbers are all it costs.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass

from nfsw.supervisor.service import Service

#: Seconds between two samples: several blocks long on a slow uplink, so that the plot does not jump from block to block.
STEP_S = 5
#: Ten minutes.
SAMPLES = 120


@dataclass(frozen=True, slots=True)
class History:
    step_s: int
    bytes_per_s: tuple[int, ...]  # the oldest first; each one the mean over a step


class Throughput:
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

    def history(self) -> History:
        return History(STEP_S, tuple(self._rates))

    async def keep_sampling(self, service: Service) -> None:
        while True:
            self.note(service.status().bytes.sent, time.monotonic())
            await asyncio.sleep(STEP_S)
