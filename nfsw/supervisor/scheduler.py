"""The scheduler: which file goes to the actors next, and when. Main process.

It is the only place that decides how much is under way: behind it every mailbox takes what comes, because no more can come than was
admitted. Files that wait for the first time go before those that have failed, but for those whose turn is long overdue: a backlog that
never ends must not keep a file from its next attempt for ever.
"""

import asyncio
import time
from collections.abc import Callable, Iterator

from nfsw.supervisor.staging_budget import StagingBudget
from nfsw.supervisor.tracked_file import UNDER_WAY, Stage, TrackedFile, TrackedFiles

#: Files under way for each worker: one staged, one sent, one being completed.
_UNDER_WAY = 3
#: While a file waits for room, it is looked for this often, in seconds: what nobody uses may be evicted after a while.
_LOOK_S = 5.0
#: A file that has failed goes first once its pause has been over for so many seconds.
OVERDUE_S = 300.0
#: A timer may be early by the clock's resolution, in seconds.
_EARLY_S = 0.001


class Scheduler:
    def __init__(
        self,
        files: TrackedFiles,
        budget: StagingBudget,
        *,
        queue_size: int,
        workers: int,
        may_go: Callable[[TrackedFile], bool],
        admit: Callable[[TrackedFile], None],
        evict: Callable[[TrackedFile], None],
    ) -> None:
        """`may_go`: whether anything but room and number keeps the file. `admit` starts the file's next step, for which it has room.

        `evict` removes a staged copy that nobody uses just now. `queue_size`: files that may be queued.
        """
        #: Whether a file waits for room in staging.
        self.short_of_room = False
        self._files = files
        self._budget = budget
        self._queue_size = queue_size
        self._workers = workers
        self._most = _UNDER_WAY * workers
        self._may_go = may_go
        self._admit = admit
        self._evict = evict
        self._first: dict[TrackedFile, None] = {}  # in order; those that wait for their first admission
        self._again: dict[TrackedFile, None] = {}  # those whose pause is over
        self._changed = asyncio.Event()
        self._due = False
        self._looking: asyncio.TimerHandle | None = None

    async def room(self) -> None:
        """Returns when the queue is not full. It stays so until the caller waits for something else."""
        while len(self._first) >= self._queue_size:
            self._changed.clear()
            await self._changed.wait()

    def queue(self, record: TrackedFile) -> None:
        """The file waits for its admission."""
        self._files.move(record, Stage.QUEUED)
        self._first[record] = None
        self.wake()

    def wait(self, record: TrackedFile, pause_s: float) -> None:
        """The file is tried again after a pause (seconds)."""
        self._files.move(record, Stage.WAITING)
        self._wait_until(record, time.monotonic() + pause_s)
        self.wake()

    def hasten(self, held_up: Callable[[TrackedFile], bool]) -> None:
        """What held these files up is over: so are their pauses, as far as they may be."""
        now = time.monotonic()
        for record in self._files:
            if record.not_before is not None and record not in self._again and held_up(record):
                soonest = max(now, record.soonest)
                if soonest < record.not_before:
                    self._wait_until(record, soonest)

    def forget(self, record: TrackedFile) -> None:
        """The file waits for nothing any more."""
        self._first.pop(record, None)
        self._again.pop(record, None)
        record.not_before = None
        self.wake()

    def wake(self) -> None:
        """Something has changed that admission looks at. It is looked at once for all that happens in this turn of the loop."""
        self._changed.set()
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        self._due = False
        while record := self._next():
            self.forget(record)
            self._budget.reserve(record, self._budget.need(record))
            self._admit(record)

    def _next(self) -> TrackedFile | None:
        self.short_of_room = False
        if self._files.count(*UNDER_WAY) >= self._most:
            return None
        claimer_is_busy = self._files.count(Stage.STAGING) >= self._workers
        first_kept: TrackedFile | None = None  # for want of room
        for record in self._waiting():
            if record.evicting or record.staging or not self._may_go(record):
                continue
            if claimer_is_busy and record.next_stage is Stage.STAGING:
                continue
            # While one waits for room, those go first that need no more, as after a restart: or they wait for each other.
            if self._budget.fits(record) and (first_kept is None or record.reserved or record.uploaded):
                return record
            first_kept = first_kept or record
        if first_kept:
            self.short_of_room = True
            self._make_room(first_kept)
        return None

    def _waiting(self) -> Iterator[TrackedFile]:
        overdue = time.monotonic() - OVERDUE_S
        yield from [record for record in self._again if record.not_before is not None and record.not_before <= overdue]
        yield from list(self._first)
        yield from list(self._again)

    def _make_room(self, needy: TrackedFile) -> None:
        missing = self._budget.missing(needy) - sum(record.reserved for record in self._files if record.evicting)
        for record in self._budget.evictable():
            if missing > 0 and record is not needy and not record.evicting:
                missing -= record.reserved
                self._evict(record)
        if missing > 0 and self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(_LOOK_S, self._look_again)

    def _look_again(self) -> None:
        self._looking = None
        self.wake()

    def _wait_until(self, record: TrackedFile, at: float) -> None:
        record.not_before = at
        asyncio.get_running_loop().call_later(at - time.monotonic(), self._pause_over, record)

    def _pause_over(self, record: TrackedFile) -> None:
        if record.stage is Stage.WAITING and record.not_before is not None and record.not_before <= time.monotonic() + _EARLY_S:
            self._again[record] = None
            self.wake()
