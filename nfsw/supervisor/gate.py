"""The gate in front of the Claimer: how much is under way at a time. Main process.

It is the only place that decides that. Behind it every mailbox takes what comes, because no more can come than was let through.
"""

from collections.abc import Callable

from nfsw.actors.envelope import Message
from nfsw.actors.messages import FileRef, Take
from nfsw.actors.proof import proof_bytes
from nfsw.supervisor.ledger import Entry, Ledger, Stage

#: What has lain in staging for this long while its file waits may be given up for others, in seconds.
_GIVE_UP_STAGED_S = 30.0
#: Files under way for each worker: one staged, one sent, one being completed.
_UNDER_WAY = 3


class Gate:
    def __init__(
        self, ledger: Ledger, workers: int, block_size: int, *, taken: Callable[[Entry], None], give_up: Callable[[FileRef], None]
    ) -> None:
        """`taken`: told of each file that goes through. `give_up`: asked to remove a staged copy that nobody uses just now."""
        #: Whether the first file in the queue waits for room in staging.
        self.short_of_room = False
        self._ledger = ledger
        self._most_under_way = _UNDER_WAY * workers
        self._block_size = block_size
        self._taken = taken
        self._give_up = give_up
        self._giving_up: set[FileRef] = set()

    def lets_through(self, message: Message) -> bool:
        """Whether the message may go to the Claimer now. A file's room in staging is its own from then on."""
        if not isinstance(message, Take) or (entry := self._ledger.get(message.file)) is None:
            return True
        if self._ledger.in_flight() >= self._most_under_way:
            return False
        need = entry.fingerprint.size + proof_bytes(entry.fingerprint.size, self._block_size)
        self.short_of_room = not self._ledger.fits(entry.file, need)
        if self.short_of_room:
            self._make_room()
            return False
        self._ledger.reserve(entry.file, need)
        entry.stage = Stage.STAGING
        self._taken(entry)
        return True

    def given_up(self, file: FileRef) -> None:
        """Nothing of the file is left in staging."""
        self._giving_up.discard(file)

    def _make_room(self) -> None:
        for file in self._ledger.idle_staged(_GIVE_UP_STAGED_S):
            if file not in self._giving_up:
                self._giving_up.add(file)
                self._give_up(file)
