"""Restart intensity: how often an actor may die before restarting it is no remedy. Pure; main process.

More than `restarts` within `period_s` seconds, and the next level decides: here the kubelet, through /healthz. The words and
the idea are OTP's (supervisor, "Maximum Restart Intensity").
"""

from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class RestartIntensity:
    restarts: int = 5
    period_s: float = 60.0
    _times: deque[float] = field(default_factory=deque)

    def allows(self, now: float) -> bool:
        """Counts one more restart at `now` (seconds, monotonic) and says whether it is still one too few."""
        self._times.append(now)
        while self._times and self._times[0] < now - self.period_s:
            self._times.popleft()
        return len(self._times) <= self.restarts
