"""The pipeline: the supervisor's plot. What is said of files goes to the course, what is said of sessions to the desk. Main process.

Besides, it keeps what the service asks for and what the status shows of no file in particular.
"""

import asyncio
import logging
from collections.abc import Sequence

from nfsw.actors.envelope import Envelope, Message
from nfsw.actors.files import File
from nfsw.actors.logs import about
from nfsw.actors.messages import (
    AbandonFailed,
    AbandonFile,
    ClockMeasured,
    Complete,
    ContainerReady,
    ContainerRefused,
    Drain,
    FileAbandoned,
    FileClaimed,
    FileCompleted,
    FileRefused,
    HiddenFiles,
    Hold,
    HoldFailed,
    LinksInTheWay,
    Looked,
    LookFailed,
    NameAside,
    NotOneClaimedFile,
    OpenForWriting,
    PutBack,
    RefusalLifted,
    Release,
    RuleFound,
    SessionDenied,
    SessionHeld,
    SessionReleased,
    SessionUnusable,
    SetUploads,
    StopFailed,
    StopNoted,
    Take,
    Unstage,
    Upload,
    Watch,
)
from nfsw.actors.names import shown
from nfsw.supervisor.abandoning import Abandoning
from nfsw.supervisor.course import Course
from nfsw.supervisor.gate import Gate
from nfsw.supervisor.hands import Hands
from nfsw.supervisor.holdup import held_up, holdup
from nfsw.supervisor.ledger import Ledger
from nfsw.supervisor.ref import ActorRef
from nfsw.supervisor.session import Desk
from nfsw.supervisor.telemetry import Telemetry

log = logging.getLogger("nfsw.pipeline")


class Pipeline:
    """`refs` are the supervisor's actors."""

    def __init__(
        self, refs: dict[str, ActorRef], ledger: Ledger, desk: Desk, telemetry: Telemetry, workers: int, block_size: int | None
    ) -> None:
        self.ledger = ledger
        self.refused: dict[File, FileRefused] = {}
        self.uploads = SetUploads(None, paused=False)
        #: Set once the Uploader has said whether the container is there: None when it is, else why not.
        self.container: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        #: Why NFS could not be looked at the last time; None: it could.
        self.nfs_trouble: str | None = None
        #: Whether the file system tells that a file is open for writing; None: it has not been found out yet.
        self.stability: RuleFound | None = None
        self.open_for_writing = OpenForWriting(0)
        self.hidden = 0  # files in `incoming` with a hidden name
        self.links = LinksInTheWay(())
        #: Whether NFS may have been away since the last time it could.
        self._maybe_away = False
        #: Whether files were claimed when that was looked at last.
        self._claiming = False
        self._desk = desk
        self._telemetry = telemetry
        self._abandoning = Abandoning(lambda message: self._hands.post("keeper", message))
        self._hands = Hands(refs, ledger, telemetry)
        self._course = Course(self._hands, ledger, desk, telemetry, workers, block_size)

    @property
    def gate(self) -> Gate:
        return self._course.gate

    # --- Plot ---

    def greeting(self, actor: str) -> Sequence[Message]:
        match actor:
            case "scanner":
                self.refused.clear()
                self.open_for_writing, self.hidden, self.links = OpenForWriting(0), 0, LinksInTheWay(())
                self._maybe_away = True  # it may have hung
                return [self._desk.watch()]
            case "collector":
                return [self._desk.watch(), *([self.stability] if self.stability else [])]
            case "keeper":
                return self._desk.greeting()
            case "uploader":
                return [self.uploads]
            case _:
                return []

    async def on_message(self, actor: str, envelope: Envelope) -> None:
        match envelope.message:
            case FileRefused(file) as refused:
                self.refused[file] = refused
                self._telemetry.refused(file)
            case RefusalLifted(file):
                self.refused.pop(file, None)
            case NameAside() as aside:
                await self._hands.queue.put(Envelope(PutBack(aside)))
            case Looked() as looked:
                self.nfs_trouble = None
                if self._maybe_away:
                    self._maybe_away = False
                    self._hands.nfs_is_back()
                self._desk.on_looked(looked)
                self._hands.wake()
            case RuleFound() as found:
                self.stability = found
                self._hands.post("collector", found)
            case OpenForWriting() as opened:
                self.open_for_writing = opened
            case HiddenFiles(count):
                self.hidden = count
            case LinksInTheWay() as links:
                self.links = links
            case LookFailed(error):
                self.nfs_trouble, self._maybe_away = error, True
            case SessionHeld() as held:
                self._desk.on_held(held)
            case SessionDenied() as denied:
                self._desk.on_denied(denied)
            case HoldFailed() as failed:
                self._desk.on_hold_failed(failed)
            case SessionUnusable() as unusable:
                self._desk.on_unusable(unusable)
            case StopNoted() as noted:
                self._desk.on_stop_noted(noted)
            case StopFailed() as unnoted:
                self._desk.on_stop_failed(unnoted)
            case FileAbandoned(_, abandoned) as noted_so:
                self._hands.abandoned(abandoned)
                self._abandoning.on_abandoned(noted_so)
            case NotOneClaimedFile() as found:
                self._abandoning.on_not_one(found)
            case AbandonFailed() as not_abandoned:
                self._abandoning.on_failed(not_abandoned)
            case SessionReleased() as released:
                self._desk.on_released(released)
            case ContainerReady():
                self._desk.admission.container_answered()
                self.review_admission()
                self._desk.on_admitted()
                self._settle_container(None)
            case ContainerRefused(reason):
                self._desk.admission.container_refused(reason)
                self._settle_container(reason)
            case ClockMeasured(azure, at):
                self._desk.admission.clock_measured(azure, at)
                self.review_admission()
            case _:
                if isinstance(envelope.message, FileClaimed | FileCompleted):
                    self._desk.confirm()  # in a flood, the next look of the Scanner may be hours away
                await self._course.on_message(actor, envelope)

    def on_done(self, job: Message) -> None:
        match job:
            case Take(file):
                self._hands.after_take(file)
            case Unstage(file):
                self.gate.not_given_up(file)
        self._hands.wake()

    def redelivered(self, job: Message) -> Message | None:
        return self._course.again(job) if isinstance(job, Take | Upload | Complete) else job

    def on_dead_letter(self, job: Message, reason: str, again_after_s: float) -> None:
        match job:
            case Take(file) | Upload(file) | Complete(file):
                log.error("postponed: %s", reason, extra=about(file.session, file.name, "dead-letter"))
                self._hands.park(file, reason, again_after_s)
                return
            case Hold(session):
                self._desk.on_hold_failed(HoldFailed(session, reason))
            case Drain(session):
                self._desk.on_stop_failed(StopFailed(session, reason))
            case AbandonFile(request):
                self._abandoning.on_failed(AbandonFailed(request, reason))
            case Release(session):
                self._desk.on_released(SessionReleased(session))  # the lock has gone with the Keeper
            case Unstage(file):
                self.gate.not_given_up(file)
        log.error("postponed: %s: %r", reason, job, extra={"action": "dead-letter"})

    # --- What the service asks ---

    def set_uploads(self, uploads: SetUploads) -> None:
        if uploads != self.uploads:
            self.uploads = uploads
            self._hands.post("uploader", uploads)

    async def abandon(self, session: str, name: str, date: str | None, timeout_s: float) -> None:
        """Raises NoSuchFile, SeveralFiles, NfsSilent."""
        held = held_up(session, self.ledger, self.refused, self.open_for_writing.oldest)
        reasons = [reason for file, reason in held if name in (file.name, shown(file.name))]
        reason = reasons[0] if reasons else "by a call, before any error was seen"
        await self._abandoning.abandon(session, name, date, reason, timeout_s)

    def holdup(self, session: str) -> str | None:
        """What keeps a session that was stopped from ending; None: nothing that is known."""
        return holdup(session, self.ledger, self.refused, self.open_for_writing.oldest)

    def show(self, watch: Watch) -> None:
        """The sessions that are held have changed."""
        for actor in ("scanner", "collector"):
            self._hands.post(actor, watch)

    def unclaim(self, session: str) -> None:
        """No more of the session is to be claimed: what waits for its claim is left where it is."""
        self._course.unclaim(session)

    def review_admission(self) -> None:
        """Begins or ends to claim files when Azure's answer or a clock that was set says so."""
        refusal = self._desk.admission.claim_refusal()
        if (refusal is None) == self._claiming:
            return
        self._claiming = refusal is None
        if refusal is None:
            log.info("files are claimed from now on: the Azure container has answered, and the clocks agree", extra={"action": "admit"})
        else:
            log.error("claiming is suspended: %s", refusal, extra={"action": "admit"})
            if active := self._desk.active:
                self.unclaim(active.name)
        self.show(self._desk.watch())
        self._hands.wake()

    def _settle_container(self, reason: str | None) -> None:
        if not self.container.done():
            self.container.set_result(reason)
