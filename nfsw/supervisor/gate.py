"""The gate in front of the Claimer: how much is under way at a time. Main process.

It is the only place that decides that. Behind it every mailbox takes what comes, because no more can come than was let through.
"""

from collections.abc import Callable

from nfsw.actors.envelope import Message
from nfsw.actors.files import Arrival, File, FileRef
from nfsw.actors.manifest import manifest_bytes
from nfsw.actors.messages import Take
from nfsw.supervisor.ledger import Entry, Ledger, Stage
from nfsw.supervisor.mailbox import Mailbox

#: What has lain in staging for this long while its file waits may be given up for others, in seconds.
_GIVE_UP_STAGED_S = 30.0
#: Files under way for each worker: one staged, one sent, one being completed.
_UNDER_WAY = 3


class Gate:
    def __init__(
        self,
        queue: Mailbox,
        ledger: Ledger,
        workers: int,
        block_size: int | None,
        *,
        may_claim: Callable[[], bool],
        taken: Callable[[Entry], None],
        give_up: Callable[[FileRef], None],
    ) -> None:
        """`may_claim`: whether any file may leave `incoming` now. `taken`: told of each file that goes through. `give_up`: asked to
        remove a staged copy that nobody uses just now.
        """
        #: Whether the first file in the queue waits for room in staging.
        self.short_of_room = False
        self._queue = queue
        self._ledger = ledger
        self._most_under_way = _UNDER_WAY * workers
        self._block_size = block_size
        self._may_claim = may_claim
        self._taken = taken
        self._give_up = give_up
        self._giving_up: set[File] = set()
        queue.gate = self.lets_through

    def lets_through(self, message: Message) -> bool:
        """Whether the message may go to the Claimer now. A file's room in staging is its own from then on."""
        self.short_of_room = False
        if not isinstance(message, Take) or (entry := self._ledger.get(message.file)) is None:
            return True
        if entry.file in self._giving_up:
            return False  # or what is staged now would be removed
        if isinstance(entry.file, Arrival) and not self._may_claim():
            return False  # it is about to be taken out of the queue
        if self._ledger.in_flight() - entry.under_way >= self._most_under_way:
            return False
        need = self._need(entry)
        if not self._ledger.fits(entry.file, need):
            self.short_of_room = True
            self._queue.bring_forward(self._is_staged)
            self._make_room(entry.file, need)
            return False
        self._ledger.reserve(entry.file, need)
        entry.stage, entry.retry_at = Stage.STAGING, None
        self._taken(entry)
        return True

    def given_up(self, file: FileRef) -> None:
        """Nothing of the file is left in staging."""
        self._giving_up.discard(file)

    def not_given_up(self, file: FileRef) -> None:
        """The Collector is done with it. If it was not able to remove it, it is asked again later."""
        if file in self._giving_up:
            self._giving_up.remove(file)
            self._ledger.still_staged(file)

    def _need(self, entry: Entry) -> int:
        return entry.fingerprint.size + manifest_bytes(entry.fingerprint.size, self._block_size)

    def _is_staged(self, message: Message) -> bool:
        """Whether it is a file that has room in staging already, as after a restart. It goes before others, or they wait for each other."""
        if not isinstance(message, Take) or (entry := self._ledger.get(message.file)) is None or entry.file in self._giving_up:
            return False
        return self._ledger.reserved(entry.file) > 0 and self._ledger.fits(entry.file, self._need(entry))

    def _make_room(self, file: File, need: int) -> None:
        """As much as it takes."""
        missing = need - self._ledger.reserved(file) + self._ledger.staging_used - self._ledger.staging_limit
        missing -= sum(map(self._ledger.reserved, self._giving_up))
        for other in self._ledger.idle_staged(_GIVE_UP_STAGED_S):
            if missing > 0 and other != file and other not in self._giving_up:
                missing -= self._ledger.reserved(other)
                self._giving_up.add(other)
                self._give_up(other)
