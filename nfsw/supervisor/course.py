"""The course of a file: what each message means for the file that it is about, and who gets the next one. Main process.

Data flows one way: Scanner, Claimer, Uploader, Collector. How many files are under way is decided at one place, the gate in
front of the Claimer; behind it nothing has to wait for room, so nothing can wait in a circle. What goes wrong with a file
parks it for a growing while; after that it is in nobody's hands, and the Scanner finds it again like any other.
"""

import logging
import time

from nfsw.actors.envelope import Envelope, Message
from nfsw.actors.files import Arrival, File, FileRef, Fingerprint
from nfsw.actors.logs import about
from nfsw.actors.messages import (
    Complete,
    FileChanged,
    FileClaimed,
    FileCompleted,
    FileGone,
    FileStable,
    FileStaged,
    FileTroubled,
    FileUploaded,
    LetGo,
    NameTaken,
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
)
from nfsw.actors.names import shown
from nfsw.supervisor.gate import Gate
from nfsw.supervisor.hands import Hands
from nfsw.supervisor.ledger import Entry, Ledger, Meter, Stage
from nfsw.supervisor.session import Desk
from nfsw.supervisor.telemetry import Telemetry

log = logging.getLogger("nfsw.pipeline")


class Course:
    def __init__(self, hands: Hands, ledger: Ledger, desk: Desk, telemetry: Telemetry, workers: int, block_size: int | None) -> None:
        self._hands = hands
        self._ledger = ledger
        self._desk = desk
        self._telemetry = telemetry
        self.gate = Gate(
            hands.queue,
            ledger,
            workers,
            block_size,
            may_claim=lambda: desk.admission.claim_refusal() is None,
            taken=telemetry.taken,
            give_up=self._give_up_staged,
        )

    async def on_message(self, actor: str, envelope: Envelope) -> None:
        """Raises TypeError for a message that is about no file."""
        at = envelope.told_at
        match envelope.message:
            case FileStable() as stable:
                await self._on_stable(stable, at)
            case FileClaimed() as claimed:
                self._on_claimed(claimed, at)
            case NameTaken(arrival):
                self._hands.let_go(arrival)
            case StagingFound(file, size):
                self._ledger.found_staged(file, size)
            case StagingBegun(file, fingerprint):
                self._on_staging_begun(file, fingerprint)
            case StagingGrew() as grew:
                self._on_staging_grew(grew)
            case FileStaged() as whole:
                self._on_staged(whole, at)
            case FileChanged(file):
                self._hands.let_go(file)
            case FileGone(file):
                self._on_gone(file, actor)
            case FileTroubled(file, error):
                self._hands.park(file, error)
            case UploadBegun(file, attempt):
                if entry := self._hands.sending(file):
                    entry.attempts, entry.retry_at = max(entry.attempts, attempt), None
                    self._telemetry.attempt(entry, attempt, at)
            case UploadGrew() as sent:
                self._on_sent(sent, at)
            case UploadFailed() as failed:
                self._on_upload_failed(failed, at)
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

    def again(self, job: Take | Upload | Complete) -> Message | None:
        """The job as it should be delivered again after its actor died; None: it is moot."""
        match job:
            case Take(file):
                entry = self._ledger.get(file)
                if isinstance(file, Arrival) and not self._desk.claims(file.session):
                    self._hands.let_go(file)  # what the claim had done already is found under `.processing`
                elif entry and entry.stage is Stage.STAGING and not entry.afresh:
                    return job
                else:
                    self._hands.after_take(file)  # it was staged, or is of no use, and only the last word was lost
                return None
            case Upload(file, fingerprint):
                entry = self._hands.sending(file)
                if entry is None or entry.afresh or entry.fingerprint != fingerprint:
                    return None
                return Upload(file, fingerprint, staged=entry.stage is Stage.UPLOADING, look_first=True)
            case Complete(file, fingerprint):
                entry = self._ledger.get(file)
                return job if entry and entry.stage is Stage.COMPLETING and entry.fingerprint == fingerprint else None

    def unclaim(self, session: str) -> None:
        """No more of the session is to be claimed: what waits to be claimed is left where it is."""
        self.gate.short_of_room = False  # until the next in the queue turns out to be
        for job in self._hands.queue.remove(
            lambda message: isinstance(message, Take) and isinstance(message.file, Arrival) and message.file.session == session
        ):
            assert isinstance(job, Take)
            self._hands.let_go(job.file)

    # --- Seen and claimed ---

    async def _on_stable(self, stable: FileStable, at: float) -> None:
        """Waits while the queue is full, and only then notes anything: a Scanner that dies at the door leaves nothing behind."""
        if not self._is_wanted(stable.file):
            return
        await self._hands.queue.room()
        if not self._is_wanted(stable.file):  # any more
            return
        entry = self._hands.seen(stable)
        self._telemetry.queued(entry, stable.seen_at, at)
        self._hands.post("claimer", Take(stable.file, stable.fingerprint, leased=stable.leased), entry)

    def _is_wanted(self, file: File) -> bool:
        """Whether a file that is stable is to be taken. If that may change, the Scanner is told to report it again."""
        if file in self._ledger:
            return False
        match file:
            case Arrival(session, name):
                if self._desk.claims(session) and not self._ledger.in_process(session, name):
                    return True
            case FileRef(_, session, name):
                if not self._desk.holds(session):
                    return False
                if Arrival(session, name) not in self._ledger:  # else this may be its claim, of which we have not been told
                    return True
        self._hands.post("scanner", LetGo(file))
        return False

    def _on_claimed(self, claimed: FileClaimed, at: float) -> None:
        # The name in incoming is free again. The next file that has it may come before the Scanner looks again.
        self._hands.post("scanner", LetGo(claimed.arrival))
        if entry := self._hands.claimed(claimed):
            self._telemetry.claimed(entry, claimed.file, at)

    # --- Staged ---

    def _on_staging_begun(self, file: FileRef, fingerprint: Fingerprint) -> None:
        entry = self._ledger.get(file)
        if entry and entry.stage is Stage.STAGING:
            entry.fingerprint, entry.staged, entry.left = fingerprint, 0, 0
            self._hands.post("uploader", Upload(file, fingerprint, look_first=entry.found_claimed or entry.attempts > 0), entry)

    def _on_staging_grew(self, grew: StagingGrew) -> None:
        if entry := self._hands.staging(grew.file):
            entry.staged = grew.staged
            entry.meter.note(grew.staged, time.monotonic())
            self._hands.post("uploader", grew, entry)

    def _on_staged(self, whole: FileStaged, at: float) -> None:
        if entry := self._hands.staging(whole.file):
            entry.stage, entry.staged, entry.meter = Stage.UPLOADING, entry.fingerprint.size, Meter()
            self._telemetry.staged(entry, at)
            self._hands.post("uploader", whole, entry)

    def _stage_afresh(self, file: FileRef, reason: str) -> None:
        """At once; if that is no better, after a pause: a disk that spoils each copy is not to be written to without end."""
        if entry := self._hands.sending(file):
            self._hands.failed(entry, reason, "stage")
            if entry.spoilt:
                self._hands.park(file, reason)
                self._hands.post("collector", Unstage(file))
                return
            entry.afresh = entry.spoilt = True
            if not self._hands.has_claimer(file):
                self._hands.after_take(file)

    def _give_up_staged(self, file: FileRef) -> None:
        """Others need its room in staging. The file is safe on NFS, and what Azure holds of it is not sent again."""
        if (entry := self._ledger.get(file)) and entry.stage is Stage.UPLOADING:
            self._hands.park(file, entry.error or "its room in staging was needed")
        log.info("gives up its room in staging", extra=about(file.session, file.name, "unstage"))
        self._hands.post("collector", Unstage(file))

    def _on_unstaged(self, file: FileRef) -> None:
        """It may be older news than the file's next version in staging."""
        entry = self._ledger.get(file)
        self.gate.given_up(file)
        if entry is None or entry.stage in (Stage.COMPLETING, Stage.PARKED, Stage.QUEUED):
            self._ledger.release(file)
        self._hands.wake()

    # --- Sent ---

    def _on_sent(self, sent: UploadGrew, at: float) -> None:
        entry = self._ledger.get(sent.file)
        self._telemetry.sent(entry, sent, at)
        if entry:
            entry.left, entry.sent = sent.left, entry.sent + sent.sent
            if entry.stage is Stage.UPLOADING:
                entry.meter.note(entry.sent, time.monotonic())

    def _on_upload_failed(self, failed: UploadFailed, at: float) -> None:
        if entry := self._hands.sending(failed.file):
            self._hands.failed(entry, failed.error, "upload")
            self._telemetry.attempt_failed(entry, failed, at)
            entry.retry_at = time.monotonic() + failed.retry_in_s
            self._hands.wake()

    def _on_uploaded(self, uploaded: FileUploaded, at: float) -> None:
        entry = self._hands.sending(uploaded.file)
        if entry is None or entry.fingerprint != uploaded.fingerprint:
            return
        entry.stage, entry.left, entry.error = Stage.COMPLETING, entry.fingerprint.size, None
        entry.uploaded = uploaded
        self._telemetry.uploaded(entry, uploaded, at)
        self._hands.post("collector", Complete(uploaded.file, uploaded.fingerprint), entry)

    # --- The end ---

    def _on_completed(self, completed: FileCompleted, at: float) -> None:
        entry = self._ledger.drop(completed.file)
        self._hands.post("scanner", LetGo(completed.file))
        self._hands.succeeded(completed.file)
        if entry:
            _log_end(entry, completed.file)
            self._telemetry.completed(entry, completed, at)
        self._hands.wake()

    def _on_gone(self, file: File, actor: str) -> None:
        if actor == "scanner" and file in self._ledger:
            return  # news of an older file of that name
        self._telemetry.gone(file, self._ledger.get(file))
        self._hands.gone(file)
        if actor != "scanner":
            self._hands.let_go(file)


def _log_end(entry: Entry, file: FileRef) -> None:
    """The one line at INFO that each file has at its end."""
    sent = entry.uploaded
    if sent is None:
        return
    log.info(
        "in Azure and deleted from NFS: blob %s, %d bytes, %.1f s, %s, CRC64 %s, Azure's request id %s",
        shown(file.blob),
        sent.fingerprint.size,
        sent.seconds,
        f"{sent.attempts} attempt" + ("s" if sent.attempts > 1 else ""),
        sent.crc64,
        sent.request_id or "unknown (an earlier life had sent it)",
        extra=about(file.session, file.name, "complete"),
    )
