"""The pipeline: what each message means for the file that it is about, and who gets the next one. Main process.

Data flows one way: Scanner, Claimer, Uploader, Collector. How many files are under way is decided at one place, the gate in
front of the Claimer; behind it nothing has to wait for room, so nothing can wait in a circle. What goes wrong with a file
parks it for a growing while; after that it is in nobody's hands, and the Scanner finds it again like any other.
"""

import asyncio
import logging
import time
from collections.abc import Sequence

from nfsw.actors.envelope import Envelope, Message
from nfsw.actors.logs import about
from nfsw.actors.messages import (
    Abandon,
    Arrival,
    Complete,
    ContainerReady,
    ContainerRefused,
    File,
    FileChanged,
    FileClaimed,
    FileCompleted,
    FileGone,
    FileRef,
    FileRefused,
    FileStable,
    FileStaged,
    FileTroubled,
    FileUploaded,
    Fingerprint,
    Hold,
    HoldFailed,
    LetGo,
    Looked,
    LookFailed,
    NameAside,
    NameTaken,
    PutBack,
    RefusalLifted,
    Release,
    SessionDenied,
    SessionHeld,
    SessionReleased,
    SetUploads,
    StagedCopyBad,
    StagingBegun,
    StagingFound,
    StagingGrew,
    Take,
    Unstage,
    Unstaged,
    Upload,
    UploadBegun,
    UploadFailed,
    UploadGrew,
    Watch,
)
from nfsw.supervisor.gate import Gate
from nfsw.supervisor.ledger import Entry, Ledger, Stage
from nfsw.supervisor.parking import Parking
from nfsw.supervisor.ref import ActorRef
from nfsw.supervisor.session import Desk
from nfsw.supervisor.telemetry import Telemetry

log = logging.getLogger("nfsw.pipeline")


class Pipeline:
    """The plot of the supervisor. `refs` are its actors."""

    def __init__(self, refs: dict[str, ActorRef], ledger: Ledger, desk: Desk, telemetry: Telemetry, workers: int, block_size: int) -> None:
        self.ledger = ledger
        self.refused: dict[File, str] = {}
        self.uploads = SetUploads(None, paused=False)
        #: Set once the Uploader has said whether the container is there: None when it is, else why not.
        self.container: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        #: Why NFS could not be looked at the last time; None: it could.
        self.nfs_trouble: str | None = None
        self._refs = refs
        self._desk = desk
        self._telemetry = telemetry
        self._parking = Parking(ledger, busy=self._is_with_claimer, let_go=self._let_go)
        self.gate = Gate(refs["claimer"].mailbox, ledger, workers, block_size, taken=telemetry.taken, give_up=self._give_up_staged)

    # --- Plot ---

    def greeting(self, actor: str) -> Sequence[Message]:
        match actor:
            case "scanner":
                self.refused.clear()
                return [self._desk.watch()]
            case "collector":
                return [self._desk.watch()]
            case "keeper":
                return self._desk.greeting()
            case "uploader":
                return [self.uploads]
            case _:
                return []

    async def on_message(self, actor: str, envelope: Envelope) -> None:
        at = envelope.told_at
        match envelope.message:
            case FileStable() as stable:
                await self._on_stable(stable, at)
            case FileRefused(file, reason):
                self.refused[file] = reason
                self._telemetry.refused(file)
            case RefusalLifted(file):
                self.refused.pop(file, None)
            case NameAside() as aside:
                await self._refs["claimer"].mailbox.put(Envelope(PutBack(aside)))
            case Looked() as looked:
                self.nfs_trouble = None
                self._desk.on_looked(looked)
                self._wake()
            case LookFailed(error):
                self.nfs_trouble = error
            case SessionHeld() as held:
                self._desk.on_held(held)
            case SessionDenied() as denied:
                self._desk.on_denied(denied)
            case HoldFailed() as failed:
                self._desk.on_hold_failed(failed)
            case SessionReleased() as released:
                self._desk.on_released(released)
            case FileClaimed(arrival, file):
                self._on_claimed(arrival, file, at)
            case NameTaken(arrival):
                self._let_go(arrival)
            case StagingFound(file, size):
                self.ledger.found_staged(file, size)
            case StagingBegun(file, fingerprint):
                self._on_staging_begun(file, fingerprint)
            case StagingGrew(file, staged) as grew:
                if entry := self._staging(file):
                    entry.staged = staged
                    entry.meter.note(staged, time.monotonic())
                    self._post("uploader", grew, entry)
            case FileStaged(file) as whole:
                if entry := self._staging(file):
                    entry.stage, entry.staged = Stage.UPLOADING, entry.fingerprint.size
                    self._telemetry.staged(entry, at)
                    self._post("uploader", whole, entry)
            case FileChanged(file):
                self._withdraw(file)
                self._let_go(file)
            case FileGone(file) if actor == "scanner":
                if file not in self.ledger:  # else it is news of an older file of that name
                    self._telemetry.gone(file, None)
                    self._parking.forget(file)
            case FileGone(file):
                self._withdraw(file)
                self._parking.forget(file)
                self._telemetry.gone(file, self.ledger.get(file))
                self._let_go(file)
            case FileTroubled(file, error):
                self._withdraw(file)
                self._park(file, error)
            case ContainerReady():
                self._settle_container(None)
            case ContainerRefused(reason):
                self._settle_container(reason)
            case UploadBegun(file, attempt):
                if entry := self._sending(file):
                    entry.attempts, entry.retry_at = max(entry.attempts, attempt), None
                    self._telemetry.attempt(entry, attempt, at)
            case UploadGrew(file, held) as sent:
                entry = self.ledger.get(file)
                self._telemetry.sent(entry, sent, at)
                if entry:
                    entry.held = held
                    if entry.stage is Stage.UPLOADING:
                        entry.meter.note(held, time.monotonic())
            case UploadFailed() as failed_upload:
                self._on_upload_failed(failed_upload, at)
            case StagedCopyBad(file, reason):
                self._stage_afresh(file, reason)
            case FileUploaded() as uploaded:
                self._on_uploaded(uploaded, at)
            case FileCompleted() as completed:
                self._on_completed(completed, at)
            case Unstaged(file):
                self._on_unstaged(file)
            case other:
                raise TypeError(f"{actor} says {other!r}, which nobody understands")

    def on_done(self, job: Message) -> None:
        match job:
            case Take(file):
                self._after_take(file)
            case Unstage(file):
                self.gate.not_given_up(file)
        self._wake()

    def redelivered(self, job: Message) -> Message | None:
        match job:
            case Take(file):
                entry = self.ledger.get(file)
                if isinstance(file, Arrival) and not self._desk.claims(file.session):
                    self._let_go(file)  # what the claim had done already is found under `.processing`
                elif entry and entry.stage is Stage.STAGING and not entry.afresh:
                    return job
                else:
                    self._after_take(file)  # it was staged, or is of no use, and only the last word was lost
                return None
            case Upload(file, fingerprint):
                entry = self._sending(file)
                return job if entry and not entry.afresh and entry.fingerprint == fingerprint else None
            case Complete(file, fingerprint):
                entry = self.ledger.get(file)
                return job if entry and entry.stage is Stage.COMPLETING and entry.fingerprint == fingerprint else None
            case _:
                return job

    def on_dead_letter(self, job: Message, reason: str, again_after_s: float) -> None:
        match job:
            case Take(file) | Upload(file) | Complete(file):
                log.error("set aside: %s", reason, extra=about(file.session, file.name, "dead-letter"))
                self._withdraw(file)
                self._park(file, reason, again_after_s)
                return
            case Hold(session):
                self._desk.on_hold_failed(HoldFailed(session, reason))
            case Release(session):
                self._desk.on_released(SessionReleased(session))  # the lock has gone with the Keeper
            case Unstage(file):
                self.gate.not_given_up(file)
        log.error("set aside: %s: %r", reason, job, extra={"action": "dead-letter"})

    # --- What the service asks ---

    def set_uploads(self, uploads: SetUploads) -> None:
        if uploads != self.uploads:
            self.uploads = uploads
            self._refs["uploader"].mailbox.post(Envelope(uploads))

    def show(self, watch: Watch) -> None:
        """The sessions that are held have changed."""
        for actor in ("scanner", "collector"):
            self._refs[actor].mailbox.post(Envelope(watch))

    def unclaim(self, session: str) -> None:
        """The session was stopped: what waits to be claimed is left where it is."""
        self.gate.short_of_room = False  # until the next in the queue turns out to be
        for job in self._refs["claimer"].mailbox.remove(
            lambda message: isinstance(message, Take) and isinstance(message.file, Arrival) and message.file.session == session
        ):
            assert isinstance(job, Take)
            self._let_go(job.file)

    # --- The story of a file ---

    async def _on_stable(self, stable: FileStable, at: float) -> None:
        """Waits while the queue is full, and only then notes anything: a Scanner that dies at the door leaves nothing behind."""
        file, queue = stable.file, self._refs["claimer"].mailbox
        if not self._is_wanted(file):
            return
        await queue.room()
        if not self._is_wanted(file):  # any more
            return
        entry = self.ledger.add(Entry(file, stable.fingerprint))
        self._telemetry.queued(entry, stable.seen_at, at)
        self._post("claimer", Take(file, stable.fingerprint), entry)

    def _is_wanted(self, file: File) -> bool:
        """Whether a file that is stable is to be taken. If that may change, the Scanner is told to report it again."""
        if file in self.ledger:
            return False
        match file:
            case Arrival(session, name):
                if self._desk.claims(session) and not self.ledger.in_process(session, name):
                    return True
            case FileRef(_, session, name):
                if not self._desk.holds(session):
                    return False
                if Arrival(session, name) not in self.ledger:  # else this may be its claim, of which we have not been told
                    return True
        self._post("scanner", LetGo(file))
        return False

    def _on_claimed(self, arrival: Arrival, file: FileRef, at: float) -> None:
        # The name in incoming is free again. The next file that has it may come before the Scanner looks again.
        self._post("scanner", LetGo(arrival))
        entry = self.ledger.claimed(arrival, file)
        if entry is None:
            return
        self._parking.forget(arrival)
        for envelope in self._refs["claimer"].jobs():
            if isinstance(envelope.message, Take) and envelope.message.file == arrival:
                self._refs["claimer"].rephrase(envelope, Take(file, entry.fingerprint))
        self._telemetry.claimed(entry, file, at)

    def _on_staging_begun(self, file: FileRef, fingerprint: Fingerprint) -> None:
        entry = self.ledger.get(file)
        if entry is None:
            return
        entry.stage, entry.staged, entry.held = Stage.STAGING, 0, 0
        self._post("uploader", Upload(file, fingerprint), entry)

    def _staging(self, file: FileRef) -> Entry | None:
        """The entry of a file whose staged copy is to be sent; None: it is worthless already."""
        entry = self.ledger.get(file)
        return entry if entry and entry.stage is Stage.STAGING and not entry.afresh else None

    def _sending(self, file: FileRef) -> Entry | None:
        """The entry of a file that the Uploader has in hand; None: it was withdrawn, and this is late news."""
        entry = self.ledger.get(file)
        return entry if entry and entry.stage in (Stage.STAGING, Stage.UPLOADING) else None

    def _on_upload_failed(self, failed: UploadFailed, at: float) -> None:
        entry = self._sending(failed.file)
        if entry is None:
            return
        if entry.error is None:
            self._telemetry.failed(entry, failed.error)
        self._telemetry.attempt_failed(entry, failed, at)
        entry.error = failed.error
        entry.retry_at = time.monotonic() + failed.retry_in_s
        self._wake()

    def _on_uploaded(self, uploaded: FileUploaded, at: float) -> None:
        entry = self._sending(uploaded.file)
        if entry is None or entry.fingerprint != uploaded.fingerprint:
            return
        entry.stage, entry.held, entry.error = Stage.COMPLETING, entry.fingerprint.size, None
        self._telemetry.uploaded(entry, uploaded, at)
        self._post("collector", Complete(uploaded.file, uploaded.fingerprint), entry)

    def _on_completed(self, completed: FileCompleted, at: float) -> None:
        entry = self.ledger.drop(completed.file)
        self._post("scanner", LetGo(completed.file))
        self._parking.forget(completed.file)
        if entry:
            self._telemetry.completed(entry, completed, at)
        self._wake()

    def _on_unstaged(self, file: FileRef) -> None:
        """It may be older news than the file's next version in staging."""
        entry = self.ledger.get(file)
        self.gate.given_up(file)
        if entry is None or entry.stage in (Stage.COMPLETING, Stage.PARKED, Stage.QUEUED):
            self.ledger.release(file)
        self._wake()

    def _stage_afresh(self, file: FileRef, reason: str) -> None:
        entry = self._sending(file)
        if entry is None:
            return
        if entry.error is None:
            self._telemetry.failed(entry, reason)
        entry.error, entry.afresh = reason, True
        if not self._is_with_claimer(file):
            self._after_take(file)

    def _after_take(self, file: File) -> None:
        """The Claimer is done with the file; if what it staged turned out worthless meanwhile, it does it again."""
        entry = self.ledger.get(file)
        if entry and entry.afresh and entry.stage is not Stage.PARKED:
            entry.afresh, entry.stage = False, Stage.QUEUED
            self._post("claimer", Take(file, entry.fingerprint, afresh=True), entry)
        self._parking.look(file)

    def _is_with_claimer(self, file: File) -> bool:
        """Whether the Claimer has the file in hand, or is about to have it."""

        def takes(message: Message) -> bool:
            return isinstance(message, Take) and message.file == file

        claimer = self._refs["claimer"]
        return any(takes(job.message) for job in claimer.jobs()) or claimer.mailbox.has(takes)

    def _give_up_staged(self, file: FileRef) -> None:
        """Others need its room in staging. The file is safe on NFS, and what Azure holds of it is not sent again."""
        if (entry := self.ledger.get(file)) and entry.stage is Stage.UPLOADING:
            self._withdraw(file)
            self._park(file, entry.error or "its room in staging was needed")
        log.info("gives up its room in staging", extra=about(file.session, file.name, "unstage"))
        self._post("collector", Unstage(file))

    # --- Out of hand ---

    def _withdraw(self, file: File) -> None:
        """Nobody is to send the file any more."""
        entry = self.ledger.get(file)
        if isinstance(file, FileRef) and entry and entry.stage in (Stage.STAGING, Stage.UPLOADING):
            self._post("uploader", Abandon(file), entry)

    def _let_go(self, file: File) -> None:
        """In nobody's hands from now on: the Scanner reports it again once it is stable."""
        entry = self.ledger.drop(file)
        if isinstance(file, Arrival):
            self.ledger.release(file)
        if entry:
            self._telemetry.let_go(entry)
        self._post("scanner", LetGo(file))
        self._wake()

    def _park(self, file: File, error: str, at_least_s: float = 0.0) -> None:
        entry = self.ledger.get(file)
        if entry is None:
            return
        if entry.error is None:
            self._telemetry.failed(entry, error)
        self._telemetry.parked(entry, error)
        self._parking.park(entry, error, at_least_s)
        if isinstance(file, Arrival):
            self.ledger.release(file)
        self._wake()

    def _settle_container(self, reason: str | None) -> None:
        if not self.container.done():
            self.container.set_result(reason)

    def _post(self, actor: str, message: Message, entry: Entry | None = None) -> None:
        self._refs[actor].mailbox.post(Envelope(message, traceparent=entry.traceparent if entry else None))

    def _wake(self) -> None:
        self._refs["claimer"].mailbox.wake()
