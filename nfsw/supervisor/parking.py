"""Where a file waits that NFS, the staging disk or its own actor would not let through. Main process, one event loop.

It is in nobody's hands, and after a pause that grows from one trouble to the next it is let go, to be found again like any other.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator

from nfsw.actors.backoff import pauses
from nfsw.actors.messages import File
from nfsw.supervisor.ledger import Entry, Ledger, Stage

#: The pauses, in seconds.
_FIRST_S = 2.0
_LONGEST_S = 300.0
#: A timer may be early by the clock's resolution, in seconds.
_EARLY_S = 0.001


class Parking:
    def __init__(self, ledger: Ledger, *, busy: Callable[[File], bool], let_go: Callable[[File], None]) -> None:
        """`busy`: whether some actor works on the file in spite of all; then it is not let go before `look` is called."""
        self._ledger = ledger
        self._busy = busy
        self._let_go = let_go
        self._pauses: dict[File, Iterator[float]] = {}
        self._chance = random.Random()  # noqa: S311 - spreads retries, hides nothing

    def park(self, entry: Entry, error: str, at_least_s: float = 0.0) -> None:
        pause = max(at_least_s, next(self._pauses.setdefault(entry.file, pauses(_FIRST_S, _LONGEST_S, self._chance))))
        entry.stage, entry.error, entry.retry_at = Stage.PARKED, error, time.monotonic() + pause
        asyncio.get_running_loop().call_later(pause, self.look, entry.file)

    def look(self, file: File) -> None:
        """Lets the file go, if its pause is over."""
        entry = self._ledger.get(file)
        if entry is None or entry.stage is not Stage.PARKED or entry.retry_at is None:
            return
        if entry.retry_at <= time.monotonic() + _EARLY_S and not self._busy(file):
            self._let_go(file)

    def forget(self, file: File) -> None:
        """It was a success, or is no more: its next trouble is its first one."""
        self._pauses.pop(file, None)
