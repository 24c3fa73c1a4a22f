"""The uplink's rate: one token bucket for all connections of the sink. Sink process, its only thread."""

import time

#: Bytes are granted in portions that take this long at the rate: small beside a block, large beside the cost of a call.
PORTION_S = 0.005
#: The least portion, so that a low rate does not mean a call for every few bytes.
LEAST_PORTION = 16 * 1024
#: How much of an idle link may be made up for later: no more than the timer's own error.
CREDIT_S = 0.01


class Bucket:
    """When `pause()` is over `portion()` says how many bytes may be read at once; `spend()` books those that were."""

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

    def pause(self) -> float:
        """Seconds until the link is free; 0 or less when it is."""
        return self._free_at - time.monotonic() if self._rate is not None else 0.0

    def portion(self, wanted: int) -> int:
        return wanted if self._rate is None else min(wanted, max(LEAST_PORTION, int(self._rate * PORTION_S)))

    def spend(self, count: int) -> None:
        if self._rate is not None:
            self._free_at = max(self._free_at, time.monotonic() - CREDIT_S) + count / self._rate
