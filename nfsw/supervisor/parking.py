"""Where a file waits that NFS, the staging disk or its own actor would not let through. Main process, one event loop.

It is in nobody's hands, and after a pause that grows from one trouble to the next it is let go, to be found again like any other;
sooner, when there is news that what held it up is over.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nfsw.actors.backoff import pauses
from nfsw.actors.files import File
from nfsw.supervisor.ledger import Entry, Ledger, Stage

#: The pauses, in seconds.
_FIRST_S = 2.0
_LONGEST_S = 300.0
#: A timer may be early by the clock's resolution, in seconds.
_EARLY_S = 0.001


@dataclass(slots=True)
class _Trouble:
    """What a file has met again and again without a success in between."""

    pauses: Iterator[float]
    error: str = ""
    not_before: float = 0.0  # whatever is heard meanwhile (seconds, monotonic)


class Parking:
    def __init__(self, ledger: Ledger, *, busy: Callable[[File], bool], let_go: Callable[[File], None]) -> None:
        """`busy`: whether some actor works on the file in spite of all; then it is not let go before `look` is called."""
        self._ledger = ledger
        self._busy = busy
        self._let_go = let_go
        self._troubles: dict[File, _Trouble] = {}
        self._chance = random.Random()  # noqa: S311 - spreads retries, hides nothing

    def park(self, entry: Entry, error: str, at_least_s: float = 0.0) -> None:
        trouble = self._troubles.get(entry.file)
        if trouble is None:
            trouble = self._troubles[entry.file] = _Trouble(pauses(_FIRST_S, _LONGEST_S, self._chance))
        trouble.error, trouble.not_before = error, time.monotonic() + at_least_s
        entry.stage, entry.error = Stage.PARKED, error
        self._wait(entry, max(at_least_s, next(trouble.pauses)))

    def look(self, file: File) -> None:
        """Lets the file go, if its pause is over."""
        entry = self._ledger.get(file)
        if entry is None or entry.stage is not Stage.PARKED or entry.retry_at is None:
            return
        if entry.retry_at <= time.monotonic() + _EARLY_S and not self._busy(file):
            self._let_go(file)

    def hasten(self, error: str | None = None) -> None:
        """What held files up is over, as far as one can see: their pauses are. `error`: of those alone that it held up."""
        now = time.monotonic()
        for entry in self._ledger:
            trouble = self._troubles.get(entry.file)
            if trouble is None or entry.stage is not Stage.PARKED or entry.retry_at is None:
                continue
            if (error is None or trouble.error == error) and (soonest := max(now, trouble.not_before)) < entry.retry_at:
                self._wait(entry, soonest - now)

    def error(self, file: File) -> str | None:
        """What the file met the last time, if it has not got over it."""
        trouble = self._troubles.get(file)
        return trouble.error if trouble else None

    def forget(self, file: File) -> None:
        """It is no more: the next of that name has its first trouble still before it."""
        self._troubles.pop(file, None)

    def succeeded(self, file: File) -> None:
        """What was its trouble is so no more, and maybe not that of others either."""
        if trouble := self._troubles.pop(file, None):
            self.hasten(trouble.error)

    def _wait(self, entry: Entry, pause_s: float) -> None:
        entry.retry_at = time.monotonic() + pause_s
        asyncio.get_running_loop().call_later(pause_s, self.look, entry.file)
