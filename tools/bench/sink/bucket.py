"""The uplink's rate: one token bucket for all connections of the sink. Sink process, its only thread."""

import time

#: Bytes are granted in portions that take this long at the rate: small beside a block, large beside the cost of a call.
PORTION_S = 0.005
#: The least portion, so that a low rate does not mean a call for every few bytes.
LEAST_PORTION = 16 * 1024
#: How much of an idle link may be made up for later: no more than the timer's own error.
CREDIT_S = 0.01


class Bucket:
    """`grant()` waits until the link is free and says how many bytes may be read; `spend()` books those that were."""

    def __init__(self, rate: float | None = None) -> None:
        self._rate = rate
        self._free_at = 0.0

    @property
    def rate(self) -> float | None:
        return self._rate

    @rate.setter
    def rate(self, rate: float | None) -> None:
        self._rate = rate
        self._free_at = 0.0

    def grant(self, wanted: int) -> int:
        """Sleeps with the whole process: while the link is busy no connection has anything to gain."""
        if self._rate is None:
            return wanted
        pause = self._free_at - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        return min(wanted, max(LEAST_PORTION, int(self._rate * PORTION_S)))

    def spend(self, count: int) -> None:
        if self._rate is not None:
            self._free_at = max(self._free_at, time.monotonic() - CREDIT_S) + count / self._rate
