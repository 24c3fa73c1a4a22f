"""The pipeline: what each report and reply means for the file that it is about, and who gets the next job. Main process.

Data flows one way: Scanner, Claimer, Uploader, Collector. An attempt ends in one reply. What goes wrong with a file makes it wait for
a growing while; the scheduler then admits it again, and it goes on where it can.
"""

import logging
import time
from collections.abc import Callable
from functools import partial

from nfsw.actors.envelope import Job, Lost, Message, Reply
from nfsw.actors.files import Arrival, File, FileRef, Fingerprint
from nfsw.actors.logs import about
from nfsw.actors.messages import (
    Changed,
    Claimed,
    Completed,
    CompleteFile,
    Evicted,
    EvictStaged,
    Failed,
    FileRefused,
    FilesKept,
    FileStable,
    Gone,
    MoreStaged,
    NameTaken,
    Outage,
    ReportAgain,
    Staged,
    StagedCopyBad,
    StageFile,
    StagingProgress,
    StillOpen,
    Uploaded,
    UploadFailed,
    UploadFile,
    UploadProgress,
    WithdrawUpload,
)
from nfsw.actors.names import printable
from nfsw.supervisor.actor_ref import ActorRef, OnNews, OnReply, Request
from nfsw.supervisor.retry import Retry
from nfsw.supervisor.scheduler import Scheduler
from nfsw.supervisor.sessions import Sessions
from nfsw.supervisor.staging_budget import StagingBudget
from nfsw.supervisor.telemetry import Telemetry
from nfsw.supervisor.tracked_file import Stage, TrackedFile, TrackedFiles

log = logging.getLogger("nfsw.pipeline")

#: Of a file of which nothing but its name is known: it is refused, or lies in staging.
_UNKNOWN = Fingerprint(0, 0, 0, 0)


class Pipeline:
    """`refs` are the actors, by name. `queue_size`: files that may be queued."""

    def __init__(
        self,
        refs: dict[str, ActorRef],
        files: TrackedFiles,
        budget: StagingBudget,
        sessions: Sessions,
        telemetry: Telemetry,
        *,
        workers: int,
        queue_size: int,
    ) -> None:
        self.files = files
        #: What is in Azure and stays on NFS for a while.
        self.kept = FilesKept(0, 0)
        self.budget = budget
        self.scheduler = Scheduler(
            files, budget, queue_size=queue_size, workers=workers, may_go=self._may_go, admit=self._go_on, evict=self._evict
        )
        self._refs = refs
        self._sessions = sessions
        self._telemetry = telemetry
        self._retry = Retry(self.scheduler, telemetry)

    # --- What the Scanner reports ---

    async def on_stable(self, stable: FileStable, at: float) -> None:
        """Waits while the queue is full, and only then notes anything: a Scanner that dies at the door leaves nothing behind."""
        record = self.files.get(stable.file)
        if record and record.stage is not Stage.UNSEEN:
            if record.stage in (Stage.QUEUED, Stage.WAITING) and (record.version, record.marker) != (stable.version, stable.marker):
                record.version, record.leased, record.staged_whole, record.uploaded = stable.version, stable.leased, False, None
                record.marker = stable.marker
            return  # else it is under way, and whoever has it will see that it is another version
        if self._is_wanted(stable.file):
            await self.scheduler.room()
        if not self._is_wanted(stable.file):  # any more
            self._tell("scanner", ReportAgain(stable.file))
            return
        self._queue(stable, at)

    def on_refused(self, refused: FileRefused) -> None:
        record = self.files.get(refused.file) or self.files.add(TrackedFile(refused.file, _UNKNOWN))
        record.refused, record.abandoned = refused.reason, refused.abandoned
        if record.stage in (Stage.QUEUED, Stage.WAITING):
            self._rest(record)
        elif record.stage is Stage.UNSEEN:
            self._settle(record)

    def on_refusal_lifted(self, file: File) -> None:
        if record := self.files.get(file):
            record.refused, record.abandoned = None, False
            if record.stage is Stage.UNSEEN:
                self._settle(record)

    def on_gone(self, file: FileRef) -> None:
        """A file whose report was awaited is no longer there."""
        if (record := self.files.get(file)) and record.stage is Stage.UNSEEN:
            self._give_up(record, "gone")
            self._settle(record)

    def scanner_restarted(self) -> None:
        """What it had refused, it will say again. What it was to report again it does not know: that file may be gone by now."""
        for record in list(self.files):
            if record.refused:
                self.on_refusal_lifted(record.file)
            elif record.taken_on and record.stage is Stage.UNSEEN:
                self._tell("scanner", ReportAgain(record.file))

    def unclaim(self, session: str) -> None:
        """No more of the session is to be claimed: what waits for its claim is left where it is."""
        for record in list(self.files):
            if isinstance(record.file, Arrival) and record.file.session == session and record.stage in (Stage.QUEUED, Stage.WAITING):
                self._rest(record)

    def abandoned(self, file: FileRef) -> None:
        """Nobody is to finish the file. The Scanner reports it as refused from now on."""
        if record := self.files.get(file):
            record.abandoned = True
            if record.stage is Stage.COMPLETING:
                return  # it is in Azure: the Collector ends it, or it rests when that fails
            self._rest(record)
            if record.reserved and not record.staging:
                self._evict(record)

    def _is_wanted(self, file: File) -> bool:
        """Whether a file that is stable is to be taken."""
        match file:
            case Arrival(session):
                return self._sessions.claims(session) and not self.files.is_claimed(file)
            case FileRef(_, session, name):
                arrival = self.files.get(Arrival(session, name))
                # The arrival may be this file's claim, of which we have not been told.
                return self._sessions.holds(session) and not (arrival and arrival.stage is Stage.STAGING)

    def _queue(self, stable: FileStable, at: float) -> None:
        file = stable.file
        record = self.files.get(file) or self.files.add(TrackedFile(file, stable.version))
        record.version, record.leased, record.marker = stable.version, stable.leased, stable.marker
        record.refused, record.abandoned = None, False
        self._telemetry.queued(record, stable, at)
        if isinstance(file, FileRef):
            record.found_claimed = True
            self._take_on(record, "processing")
            arrival = self.files.get(Arrival(file.session, file.name))
            if arrival and arrival.stage in (Stage.QUEUED, Stage.WAITING):
                self._rest(arrival)  # one file of a name at a time
        self.scheduler.queue(record)

    # --- What comes next ---

    def _may_go(self, record: TrackedFile) -> bool:
        return not isinstance(record.file, Arrival) or self._sessions.claims(record.file.session)

    def _go_on(self, record: TrackedFile) -> None:
        """The next step of a file that was admitted."""
        match record.next_stage:
            case Stage.COMPLETING:
                self._complete(record)
            case Stage.UPLOADING:
                self._move(record, Stage.UPLOADING)
                self._upload(record)
            case _:
                self._stage(record)

    def _move(self, record: TrackedFile, stage: Stage) -> None:
        """Another file may have its place."""
        self.files.move(record, stage)
        self.scheduler.wake()

    def _rest(self, record: TrackedFile) -> None:
        """Nobody works on the file from now on. The Scanner reports it again once it is stable."""
        self._withdraw_upload(record)
        self._move(record, Stage.UNSEEN)
        self.scheduler.forget(record)
        record.staged_whole, record.uploaded, record.attempts = False, None, 0
        self._telemetry.waits(record, record.error)
        if isinstance(record.file, Arrival):
            self.budget.release(record)
        self._tell("scanner", ReportAgain(record.file))
        self._settle(record)

    def _settle(self, record: TrackedFile) -> None:
        """The record of a file on which nobody works is kept for as long as it says anything."""
        if record.refused:
            self._give_up(record, "refused")
        if not (record.refused or record.taken_on or record.reserved or record.staging):
            self._telemetry.closed(record, "let go")
            self.files.remove(record)

    def _end(self, record: TrackedFile) -> None:
        """The file is no more. What is left of it in staging still counts."""
        self._withdraw_upload(record)
        self._move(record, Stage.UNSEEN)
        self.scheduler.forget(record)
        self.files.set_taken_on(record, taken_on=False)
        record.error = record.outage = record.uploaded = None
        record.attempts = record.failures = record.bad_copies = record.staged = record.left = record.sent = 0
        record.staged_whole = record.restage = record.found_claimed = False
        self._settle(record)

    def _take_on(self, record: TrackedFile, found: str) -> None:
        if self.files.set_taken_on(record, taken_on=True):
            self._telemetry.taken_on(record, found)

    def _give_up(self, record: TrackedFile, reason: str) -> None:
        if self.files.set_taken_on(record, taken_on=False):
            self._telemetry.given_up(reason)
        self._telemetry.closed(record, reason)

    # --- Claimed and staged ---

    def _stage(self, record: TrackedFile) -> None:
        restage, record.restage = record.restage, False
        self._move(record, Stage.STAGING)
        record.staged, record.staged_whole, record.meter = 0, False, None
        self._telemetry.staging(record)
        job = partial(self._stage_job, record, restage=restage)
        record.staging = self._ask("claimer", record, job, self._on_stage_reply, self._on_stage_news)

    def _stage_job(self, record: TrackedFile, *, restage: bool) -> Job | None:
        if record.stage is not Stage.STAGING:
            self._on_unwanted_copy(record)
            return None
        if not self._may_go(record):
            record.staging = None
            self._rest(record)
            return None
        return StageFile(record.file, record.version, restage, record.leased, record.marker)

    def _on_stage_news(self, record: TrackedFile, news: Message, at: float) -> None:
        match news:
            case Claimed(file, version):
                self._on_claimed(record, file, version, at)
            case StagingProgress(staged):
                if record.stage is not Stage.STAGING or record.restage:
                    return
                record.staged = staged
                record.moved(staged)
                if record.sending:
                    self._tell("uploader", MoreStaged(self._claimed(record)), record)
                elif record.not_before is None or record.not_before <= time.monotonic():
                    self._upload(record)

    def _on_claimed(self, record: TrackedFile, file: FileRef, version: Fingerprint, at: float) -> None:
        if older := self.files.get(file):  # what another version of it left in staging: that room is this one's now
            self.budget.release(older)
            self.files.remove(older)
        self.files.rename(record, file)
        record.version, record.marker = version, None
        self._take_on(record, "incoming")
        self._retry.got_over(record)
        self._telemetry.claimed(record, file, at)
        self._sessions.verify()  # in a flood of files the Scanner waits, and its next scan may be hours away

    def _on_stage_reply(self, record: TrackedFile, reply: Reply, at: float) -> None:
        record.staging = None
        if record.stage is not Stage.STAGING:
            self._on_unwanted_copy(record)
            return
        match reply:
            case Staged() if record.restage:
                self._stage_again(record)
            case Staged():
                self._on_staged(record, at)
            case Changed() | StillOpen() | NameTaken():
                self._rest(record)
            case Gone():
                self._tell("scanner", ReportAgain(record.file))
                if isinstance(record.file, Arrival):
                    self.budget.release(record)
                self._give_up(record, "gone")
                self._end(record)
            case Failed() | Lost():
                if isinstance(record.file, Arrival) or (isinstance(reply, Failed) and reply.unstaged):
                    self.budget.release(record)
                self._fail(record, reply, at)
            case _:
                raise TypeError(f"{reply!r} is no reply to StageFile")

    def _on_unwanted_copy(self, record: TrackedFile) -> None:
        """The file was abandoned while the Claimer had it, and the Claimer has it no more."""
        record.staging = None
        if record.reserved:
            self._evict(record)
        elif record.stage is Stage.UNSEEN:
            self._settle(record)

    def _on_staged(self, record: TrackedFile, at: float) -> None:
        record.staged, record.staged_whole, record.meter = record.version.size, True, None
        if record.outage is Outage.NFS or (record.outage is Outage.STAGING and not record.bad_copies):
            self._retry.got_over(record)
        self._telemetry.staged(record, at)
        self._move(record, Stage.UPLOADING)
        if record.sending:
            self._tell("uploader", MoreStaged(self._claimed(record), whole=True), record)
        elif record.not_before is None:
            self._upload(record)
        else:  # an attempt has failed while it was staged
            self.scheduler.wait(record, max(0.0, record.not_before - time.monotonic()))

    # --- Uploaded ---

    def _upload(self, record: TrackedFile) -> None:
        record.attempts += 1
        record.not_before = None
        if record.attempts == 1:
            record.first_attempt_at = time.monotonic()
        self._telemetry.attempt(record)
        record.sending = self._ask("uploader", record, partial(self._upload_job, record), self._on_upload_reply, self._on_upload_news)

    def _upload_job(self, record: TrackedFile) -> Job:
        again = record.found_claimed or record.attempts > 1 or (record.sending is not None and record.sending.deliveries > 0)
        return UploadFile(self._claimed(record), record.version, record.attempts, record.staged_whole, again, record.upload_refused)

    def _on_upload_news(self, record: TrackedFile, news: Message, at: float) -> None:
        assert isinstance(news, UploadProgress)
        self._telemetry.sent(record, news, at)
        record.left, record.sent = news.left, record.sent + news.sent
        if record.stage is Stage.UPLOADING:
            record.moved(record.sent)

    def _on_upload_reply(self, record: TrackedFile, reply: Reply, at: float) -> None:
        record.sending = None
        match reply:
            case Uploaded():
                self._on_uploaded(record, reply, at)
            case StagedCopyBad(reason):
                self._on_bad_copy(record, reason)
            case UploadFailed() | Lost():
                self._fail(record, reply, at)
            case _:
                raise TypeError(f"{reply!r} is no reply to UploadFile")

    def _on_uploaded(self, record: TrackedFile, uploaded: Uploaded, at: float) -> None:
        if record.staging:  # only its last word is missing
            record.staging.withdraw()
            record.staging = None
        self._retry.got_over(record)
        record.left, record.uploaded = record.version.size, uploaded
        self._telemetry.uploaded(record, uploaded, at)
        self._complete(record)

    def _on_bad_copy(self, record: TrackedFile, reason: str) -> None:
        """It is staged again at once; if that is no better, after a pause: a disk that spoils each copy is not written to without end."""
        record.bad_copies += 1
        record.restage = True
        self._retry.count_failure(record, reason, "stage")
        if not record.staging:  # else when the Claimer is done with it
            self._stage_again(record)

    def _stage_again(self, record: TrackedFile) -> None:
        if record.bad_copies == 1:
            self._stage(record)
        else:
            self._fail(record, Failed(record.error or "the staged copy is bad", Outage.STAGING), time.monotonic())
            self._evict(record)

    def _withdraw_upload(self, record: TrackedFile) -> None:
        """Nobody is to send the file any more."""
        if record.sending:
            record.sending.withdraw()
            record.sending = None
        if record.attempts and isinstance(record.file, FileRef):
            self._tell("uploader", WithdrawUpload(record.file), record)

    # --- Completed ---

    def _complete(self, record: TrackedFile) -> None:
        self._move(record, Stage.COMPLETING)
        job = CompleteFile(self._claimed(record), record.version)
        self._ask("collector", record, lambda: job, self._on_complete_reply)

    def _on_complete_reply(self, record: TrackedFile, reply: Reply, at: float) -> None:
        match reply:
            case Completed(unstaged=unstaged):
                self.kept = reply.kept or self.kept
                _log_end(record, reply, at)
                self._telemetry.completed(record, reply, at)
                self._retry.got_over(record)
                if unstaged:
                    self.budget.release(record)
                record.attempts = 0  # the Uploader has forgotten it already
                self._end(record)
                self._sessions.verify()
            case Changed() | StillOpen():
                self._rest(record)
            case Failed() | Lost():
                self._fail(record, reply, at)
            case _:
                raise TypeError(f"{reply!r} is no reply to CompleteFile")

    # --- Room in staging ---

    def found_staged(self, file: FileRef, size: int) -> None:
        """Something of the file lies in staging. Counts once."""
        record = self.files.get(file) or self.files.add(TrackedFile(file, _UNKNOWN))
        if not record.reserved:
            self.budget.reserve(record, size)

    def unstaged(self, file: FileRef) -> None:
        """The sweep has removed what lay in staging. It may be older news than the next version of the file there."""
        if (record := self.files.get(file)) and record.stage not in (Stage.STAGING, Stage.UPLOADING):
            self._on_evicted(record)

    def _evict(self, record: TrackedFile) -> None:
        """Others need its room in staging, or the copy is of no use. The file is safe on NFS; what Azure holds is not sent again."""
        file = self._claimed(record)
        log.info("the staged copy is being removed to free its room", extra=about(file.session, file.name, "evict"))
        record.evicting = True
        self._ask("collector", record, lambda: EvictStaged(file), self._on_evict_reply)

    def _on_evict_reply(self, record: TrackedFile, reply: Reply, _: float) -> None:
        record.evicting = False
        if self.files.get(record.file) is not record:
            return  # another version has its place
        if isinstance(reply, Evicted):
            self._on_evicted(record)
        else:
            self.budget.reserve(record, record.reserved)  # it counts as new: it is asked for again later
            self.scheduler.wake()

    def _on_evicted(self, record: TrackedFile) -> None:
        self.budget.release(record)
        record.staged_whole, record.restage, record.staged = False, False, 0
        self.scheduler.wake()
        if record.stage is Stage.UNSEEN:
            self._settle(record)

    # --- Failures ---

    def outage_over(self, outage: Outage) -> None:
        """What it held up need not wait any longer."""
        self._retry.outage_over(outage)

    def _fail(self, record: TrackedFile, reply: Failed | Lost | UploadFailed, at: float) -> None:
        """The attempt is over. The next one comes after a pause."""
        pause = self._retry.failed(record, reply, at)
        if record.stage is Stage.STAGING and record.staging:  # it is sent again when all is staged
            record.not_before = time.monotonic() + pause
            return
        if record.refused or record.abandoned:
            self._rest(record)
            return
        if not isinstance(reply, UploadFailed):  # whose attempts are one step
            self._withdraw_upload(record)
            self._telemetry.waits(record, reply.error)
        self.scheduler.wait(record, pause)

    # --- The actors ---

    def _tell(self, actor: str, message: Message, record: TrackedFile | None = None) -> None:
        self._refs[actor].tell(message, record.traceparent if record else None)

    def _ask(
        self,
        actor: str,
        record: TrackedFile,
        job: Callable[[], Job | None],
        on_reply: Callable[[TrackedFile, Reply, float], None],
        on_news: Callable[[TrackedFile, Message, float], None] | None = None,
    ) -> Request:
        news: OnNews | None = partial(on_news, record) if on_news else None
        replied: OnReply = partial(on_reply, record)
        return self._refs[actor].ask(Request(job, replied, news, record.traceparent))

    def _claimed(self, record: TrackedFile) -> FileRef:
        assert isinstance(record.file, FileRef)
        return record.file


def _log_end(record: TrackedFile, completed: Completed, at: float) -> None:
    """The one line at INFO that each file has at its end."""
    sent, file = record.uploaded, record.file
    assert sent is not None
    assert isinstance(file, FileRef)
    log.info(
        "in Azure and %s NFS: blob %s, %d bytes, %.1f s, %s, CRC64 %s, Azure's request id %s",
        "kept on" if completed.kept else "deleted from",
        printable(file.blob),
        record.version.size,
        at - record.first_attempt_at,
        f"{record.attempts} attempt" + ("s" if record.attempts > 1 else ""),
        sent.crc64,
        sent.request_id or "unknown (an earlier process had sent it)",
        extra=about(file.session, file.name, "complete"),
    )
