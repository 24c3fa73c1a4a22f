"""In whose hands a file is: how it is passed on, taken back, and how it ends up in nobody's. Main process."""

from nfsw.actors.envelope import Envelope, Message
from nfsw.actors.files import Arrival, File, FileRef
from nfsw.actors.messages import Abandon, FileClaimed, FileStable, LetGo, Take, Unstage
from nfsw.supervisor.ledger import Entry, Ledger, Stage
from nfsw.supervisor.mailbox import Mailbox
from nfsw.supervisor.parking import Parking
from nfsw.supervisor.ref import ActorRef
from nfsw.supervisor.telemetry import Telemetry


class Hands:
    """`refs` are the actors."""

    def __init__(self, refs: dict[str, ActorRef], ledger: Ledger, telemetry: Telemetry) -> None:
        self._refs = refs
        self._ledger = ledger
        self._telemetry = telemetry
        self._parking = Parking(ledger, busy=self.has_claimer, let_go=self.let_go)

    @property
    def queue(self) -> Mailbox:
        """What waits for the Claimer."""
        return self._refs["claimer"].mailbox

    def post(self, actor: str, message: Message, entry: Entry | None = None) -> None:
        """`entry`: of the file that it is about."""
        self._refs[actor].mailbox.post(Envelope(message, traceparent=entry.traceparent if entry else None))

    def has_claimer(self, file: File) -> bool:
        """Whether the Claimer has the file in hand, or is about to have it."""

        def takes(message: Message) -> bool:
            return isinstance(message, Take) and message.file == file

        return any(takes(job.message) for job in self._refs["claimer"].jobs()) or self.queue.has(takes)

    def staging(self, file: FileRef) -> Entry | None:
        """The entry of a file whose staged copy is to be sent; None: it is worthless already."""
        entry = self._ledger.get(file)
        return entry if entry and entry.stage is Stage.STAGING and not entry.afresh else None

    def sending(self, file: FileRef) -> Entry | None:
        """The entry of a file that the Uploader has in hand; None: it was withdrawn, and this is late news."""
        entry = self._ledger.get(file)
        return entry if entry and entry.stage in (Stage.STAGING, Stage.UPLOADING) else None

    def claimed(self, claimed: FileClaimed) -> Entry | None:
        """The same file under its new name, for the Claimer too, should it die and have to take it again."""
        entry = self._ledger.claimed(claimed.arrival, claimed.file)
        if entry:
            self._parking.succeeded(claimed.arrival)
            entry.fingerprint, entry.error = claimed.fingerprint, None
            for job in self._refs["claimer"].jobs():
                if isinstance(job.message, Take) and job.message.file == claimed.arrival:
                    self._refs["claimer"].rephrase(job, Take(claimed.file, claimed.fingerprint, leased=entry.leased))
        return entry

    def seen(self, stable: FileStable) -> Entry:
        """In hand from now on. What held it up the last time still does, as far as one knows."""
        file = stable.file
        entry = Entry(
            file, stable.fingerprint, leased=stable.leased, error=self._parking.error(file), found_claimed=isinstance(file, FileRef)
        )
        return self._ledger.add(entry)

    def after_take(self, file: File) -> None:
        """The Claimer is done with the file; if what it staged turned out worthless meanwhile, it does it again."""
        entry = self._ledger.get(file)
        if entry and entry.afresh and entry.stage is not Stage.PARKED:
            entry.afresh, entry.stage = False, Stage.QUEUED
            self.post("claimer", Take(file, entry.fingerprint, afresh=True, leased=entry.leased), entry)
        self._parking.look(file)

    def withdraw(self, file: File) -> None:
        """Nobody is to send the file any more."""
        if isinstance(file, FileRef) and (entry := self.sending(file)):
            self.post("uploader", Abandon(file), entry)

    def park(self, file: File, error: str, at_least_s: float = 0.0) -> None:
        """In nobody's hands, and let go after a pause."""
        self.withdraw(file)
        entry = self._ledger.get(file)
        if entry is None:
            return
        self.failed(entry, error)
        self._telemetry.parked(entry, error)
        self._parking.park(entry, error, at_least_s)
        if isinstance(file, Arrival):
            self._ledger.release(file)
        self.wake()

    def let_go(self, file: File) -> None:
        """In nobody's hands from now on: the Scanner reports it again once it is stable."""
        self.withdraw(file)
        entry = self._ledger.drop(file)
        if isinstance(file, Arrival):
            self._ledger.release(file)
        if entry:
            self._telemetry.let_go(entry)
        self.post("scanner", LetGo(file))
        self.wake()

    def abandoned(self, file: FileRef) -> None:
        """Nobody is to finish the file. The Scanner reports it as refused from now on."""
        self.queue.remove(lambda message: isinstance(message, Take) and message.file == file)
        self.let_go(file)
        self._parking.forget(file)
        if not self.has_claimer(file):  # else what it stages counts until others need the room
            self.post("collector", Unstage(file))

    def failed(self, entry: Entry, error: str, step: str | None = None) -> None:
        """Counts once, until it succeeds. `step`: which failed, where the stage does not tell: a file is sent while it is staged."""
        if entry.error is None:
            self._telemetry.failed(entry, error, step)
        entry.error = error

    def gone(self, file: File) -> None:
        """It is no more, and its troubles with it."""
        self._parking.forget(file)

    def succeeded(self, file: File) -> None:
        self._parking.succeeded(file)

    def nfs_is_back(self) -> None:
        """Nothing that is parked has to wait any longer for that."""
        self._parking.hasten()

    def wake(self) -> None:
        """Something has changed that the gate in front of the Claimer looks at."""
        self.queue.wake()
