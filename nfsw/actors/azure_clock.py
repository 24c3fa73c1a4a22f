"""What time it is for Azure, from the `Date` of its answers. Uploader process.

It is kept as a distance to CLOCK_MONOTONIC, which nobody sets: so our own time of day can be compared with it at any moment, and
a clock that is set right is noticed without asking again.
"""

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

#: How often, in seconds, a `Date` is read at most, though each answer has one.
_READ_EVERY_S = 5.0
#: A change of fewer seconds is no news: a `Date` has whole seconds, and is as old as its way to us.
_NEWS_S = 5.0


class AzureClock:
    def __init__(self) -> None:
        #: Called with the time that Azure said, in seconds since the epoch, and when it did, in seconds of CLOCK_MONOTONIC.
        self.on_news: Callable[[float, float], None] | None = None
        self._distance: float | None = None  # Azure's time less CLOCK_MONOTONIC, as last read
        self._read_at = 0.0
        self._told: float | None = None  # the distance of which `on_news` was told

    def hear(self, date: str | None) -> None:
        """The `Date` of an answer that is Azure's."""
        at = time.monotonic()
        if date is None or (self._distance is not None and at - self._read_at < _READ_EVERY_S):
            return
        try:
            azure = parsedate_to_datetime(date).timestamp()
        except ValueError:
            return  # the next answer has another one
        self._distance, self._read_at = azure - at, at
        if self.on_news and (self._told is None or abs(self._distance - self._told) >= _NEWS_S):
            self._told = self._distance
            self.on_news(azure, at)

    def ahead_s(self) -> float:
        """How far our time of day is ahead of Azure's, in seconds; less than 0: behind. 0.0 while Azure has said nothing."""
        return 0.0 if self._distance is None else time.time() - (self._distance + time.monotonic())
