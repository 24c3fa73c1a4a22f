"""The router: the supervisor's message handler. What is said of files goes to the pipeline, what is said of sessions to the sessions.

Main process. Besides, it keeps what the service asks for and what the status shows of no file in particular.
"""

import asyncio
import logging
import time
from collections.abc import Sequence

from nfsw.actors.envelope import Envelope, Lost, Message, Reply
from nfsw.actors.messages import (
    ArrivalsCounted,
    AzureAnswers,
    ClockMeasured,
    ContainerReady,
    ContainerRefused,
    DiskMeasured,
    DiskName,
    DisplacedFile,
    FileGone,
    FileRefused,
    FilesKept,
    FileStable,
    HiddenFiles,
    LinksInTheWay,
    NamesTaken,
    OpenForWriting,
    Outage,
    RefusalLifted,
    ReportAgain,
    RestoreDisplaced,
    RuleFound,
    ScanFailed,
    ScanFinished,
    SetUploads,
    StagingFound,
    Unstaged,
    WaitingForMarker,
    WatchedSessions,
)
from nfsw.supervisor.actor_ref import ActorRef, Request
from nfsw.supervisor.forecast import ArrivalCount, DiskTrend
from nfsw.supervisor.pipeline import Pipeline
from nfsw.supervisor.sessions import Sessions

log = logging.getLogger("nfsw.router")


class Router:
    """`refs` are the supervisor's actors."""

    def __init__(self, refs: dict[str, ActorRef], pipeline: Pipeline, sessions: Sessions, arrivals: ArrivalCount) -> None:
        self.pipeline = pipeline
        self.uploads = SetUploads(None, paused=False)
        #: Set once the Uploader has said whether the container is there: None when it is, else why not.
        self.container: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        #: Why NFS could not be looked at the last time; None: it could.
        self.nfs_trouble: str | None = None
        #: Whether the file system tells that a file is open for writing; None: it has not been found out yet.
        self.stability: RuleFound | None = None
        self.open_for_writing = OpenForWriting(0)
        self.open_since = 0.0  # since when the oldest of them has been (seconds, monotonic)
        self.waiting_for_marker = WaitingForMarker(0)
        self.unmarked_since = 0.0  # since when the oldest of them has waited (seconds, monotonic)
        self.names_taken = NamesTaken(0)
        self.names_taken_since = 0.0  # since when the oldest of these files has waited (seconds, monotonic)
        self.hidden = 0  # files in `incoming` with a hidden name
        self.links = LinksInTheWay(())
        self.arrivals = arrivals
        self.disks = {name: DiskTrend() for name in DiskName}
        self._watched: str | None = None  # the session whose arrivals are looked at
        self._restoring: set[DisplacedFile] = set()  # the Claimer has been asked to
        #: Whether NFS may have been away since the last scan.
        self._maybe_away = False
        #: Whether files were claimed when that was looked at last.
        self._claiming = False
        self._refs = refs
        self._sessions = sessions

    # --- MessageHandler ---

    def greeting(self, actor: str) -> Sequence[Message]:
        match actor:
            case "scanner":
                self.pipeline.scanner_restarted()
                self.open_for_writing, self.names_taken = OpenForWriting(0), NamesTaken(0)
                self.hidden, self.links = 0, LinksInTheWay(())
                self.waiting_for_marker = WaitingForMarker(0)
                self._maybe_away = True  # it may have hung
                return [self._sessions.watch()]
            case "collector":
                self.pipeline.kept = FilesKept(0, 0)
                return [self._sessions.watch(), *([self.stability] if self.stability else [])]
            case "keeper":
                self._sessions.keeper_restarted()
                return []
            case "uploader":
                return [self.uploads]
            case _:
                return []

    async def on_message(self, actor: str, envelope: Envelope) -> None:
        """Raises TypeError for a message that nobody understands."""
        match envelope.message:
            case FileStable() as stable:
                await self.pipeline.on_stable(stable, envelope.told_at)
            case FileRefused() as refused:
                self.pipeline.on_refused(refused)
            case RefusalLifted(file):
                self.pipeline.on_refusal_lifted(file)
            case FileGone(file):
                self.pipeline.on_gone(file)
            case DisplacedFile() as displaced:
                self._restore(displaced)
            case ReportAgain() as given_back:  # by the sweep
                self._refs["scanner"].tell(given_back)
            case StagingFound(file, size):
                self.pipeline.found_staged(file, size)
            case Unstaged(file):
                self.pipeline.unstaged(file)
            case ScanFinished() as scan:
                self._on_scan(scan)
            case ScanFailed(error):
                self.nfs_trouble, self._maybe_away = error, True
            case RuleFound() as found:
                self.stability = found
                self._refs["collector"].tell(found)
            case OpenForWriting() as opened:
                if opened.since != self.open_for_writing.since:
                    self.open_since = _monotonic(opened.since)
                self.open_for_writing = opened
            case ArrivalsCounted() as counted:
                self.arrivals.note(counted)
            case DiskMeasured(disk, size, free):
                self.disks[disk].note(size, free, time.monotonic())
            case WaitingForMarker() as waiting:
                if waiting.since != self.waiting_for_marker.since:
                    self.unmarked_since = _monotonic(waiting.since)
                self.waiting_for_marker = waiting
            case NamesTaken() as taken:
                if taken.since != self.names_taken.since:
                    self.names_taken_since = _monotonic(taken.since)
                self.names_taken = taken
            case FilesKept() as kept:
                self.pipeline.kept = kept
            case HiddenFiles(count):
                self.hidden = count
            case LinksInTheWay() as links:
                self.links = links
            case AzureAnswers():
                self.pipeline.outage_over(Outage.AZURE)
            case ContainerReady():
                self._sessions.admission.container_answered()
                self.review_admission()
                self._sessions.on_admitted()
                self._settle_container(None)
            case ContainerRefused(reason):
                self._sessions.admission.container_refused(reason)
                self._settle_container(reason)
            case ClockMeasured(azure, at):
                self._sessions.admission.clock_measured(azure, at)
                self.review_admission()
            case other:
                raise TypeError(f"{actor} says {other!r}, which nobody understands")

    def _on_scan(self, scan: ScanFinished) -> None:
        self.nfs_trouble = None
        if self._maybe_away:
            self._maybe_away = False
            self.pipeline.outage_over(Outage.NFS)
        self._sessions.on_scan(scan)

    def _restore(self, displaced: DisplacedFile) -> None:
        """Each scan finds a displaced name again, until it is seen to."""
        if displaced in self._restoring:
            return

        def on_reply(reply: Reply, _: float) -> None:
            self._restoring.remove(displaced)
            if isinstance(reply, Lost):
                log.error("postponed: a displaced name is not restored: %s", reply.error, extra={"action": "dead-letter"})

        self._restoring.add(displaced)
        self._refs["claimer"].ask(Request(lambda: RestoreDisplaced(displaced), on_reply))

    # --- What the service asks ---

    def set_uploads(self, uploads: SetUploads) -> None:
        if uploads != self.uploads:
            self.uploads = uploads
            self._refs["uploader"].tell(uploads)

    def show(self, watch: WatchedSessions) -> None:
        """The sessions that are held have changed."""
        if watch.active != self._watched:
            self._watched = watch.active
            self.arrivals.forget()
        for actor in ("scanner", "collector"):
            self._refs[actor].tell(watch)
        self.pipeline.scheduler.wake()

    def review_admission(self) -> None:
        """Begins or ends to claim files when Azure's answer or a clock that was set says so."""
        refusal = self._sessions.admission.claim_refusal()
        if (refusal is None) == self._claiming:
            return
        self._claiming = refusal is None
        if refusal is None:
            log.info("files are claimed from now on: the Azure container has answered, and the clocks agree", extra={"action": "admit"})
        else:
            log.error("claiming is suspended: %s", refusal, extra={"action": "admit"})
            if active := self._sessions.active:
                self.pipeline.unclaim(active.name)
        self.show(self._sessions.watch())

    def _settle_container(self, reason: str | None) -> None:
        if not self.container.done():
            self.container.set_result(reason)


def _monotonic(since: float) -> float:
    """The moment on the other clock. `since`: seconds since the epoch, not in the future."""
    return time.monotonic() - max(0.0, time.time() - since)
