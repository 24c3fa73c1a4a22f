"""The service as the API sees it: supervisor, pipeline and sessions behind one face. Main process."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec.structs import replace
from uuid_utils import uuid7

from nfsw.actors import logs
from nfsw.actors.envelope import Lost, Reply
from nfsw.actors.files import FileRef
from nfsw.actors.messages import AbandonFile, Failed, FileAbandoned, NotOneClaimedFile
from nfsw.actors.names import printable
from nfsw.schedule import UploadSchedule
from nfsw.supervisor.actor_ref import ActorRef, Request
from nfsw.supervisor.counters import Counters
from nfsw.supervisor.holdup import held_up, holdup
from nfsw.supervisor.router import Router
from nfsw.supervisor.service import NfsSilent, NoSuchFile, SessionConflict, SeveralFiles
from nfsw.supervisor.session import Holding
from nfsw.supervisor.sessions import Sessions
from nfsw.supervisor.status import (
    ActorStatus,
    ByteCounts,
    FileCounts,
    FileState,
    InFlight,
    Limits,
    RefusedFile,
    Stability,
    Status,
)
from nfsw.supervisor.supervisor import Supervisor
from nfsw.supervisor.tracked_file import Stage, TrackedFile

#: Files in flight, and refused ones, that the status lists; the counts have them all.
MOST_LISTED = 1000
#: How often the schedule of the upload limit is read, in seconds.
_SCHEDULE_S = 5.0
#: How often this pod's clock is compared with Azure's, in seconds.
_CLOCK_S = 5.0


class TransferService:
    """Implements `service.Service`."""

    def __init__(
        self, supervisor: Supervisor, router: Router, sessions: Sessions, totals: Counters, schedule: UploadSchedule, patience_s: float
    ) -> None:
        """`patience_s`: how long `start` and `stop` wait for NFS, in seconds."""
        self._supervisor = supervisor
        self._router = router
        self._pipeline = router.pipeline
        self._sessions = sessions
        self._totals = totals
        self._timetable = schedule
        self._patience_s = patience_s
        self._limited_by_call = False

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._supervisor.run(), name="supervisor")
            group.create_task(self._follow_schedule(), name="schedule")
            group.create_task(self._follow_clock(), name="clock")

    async def container_checked(self) -> str | None:
        """Returns once the Uploader has asked for the container: why it cannot be used, or None."""
        return await asyncio.shield(self._router.container)

    async def start(self, session: str | None) -> Status:
        await self._sessions.start(session or f"00-session-{uuid7()}", self._patience_s)
        return self.status()

    async def stop(self) -> Status:
        stopping = self._sessions.stop()
        self._pipeline.unclaim(stopping.session)
        await stopping.settled(self._patience_s)
        return self.status()

    async def abandon(self, session: str, file: str, date: str | None) -> Status:
        if not self._sessions.holds(session):
            raise SessionConflict(f"this pod does not hold session {session}")
        held = held_up(session, self._pipeline.files, self._router.open_for_writing.oldest)
        reasons = [reason for one, reason in held if file in (one.name, printable(one.name))]
        job = AbandonFile(session, file, date, reasons[0] if reasons else "by a call, before any error was seen")
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def on_reply(reply: Reply, _: float) -> None:
            if isinstance(reply, FileAbandoned):
                self._pipeline.abandoned(reply.file)
            if not answer.done():
                answer.set_result(reply)

        self._supervisor.refs["keeper"].ask(Request(lambda: job, on_reply, traceparent=logs.traceparent.get()))
        try:
            async with asyncio.timeout(self._patience_s):
                reply = await answer
        except TimeoutError:
            raise NfsSilent(f"NFS has not answered for {self._patience_s:.0f} s; the file is abandoned as soon as it does") from None
        match reply:
            case NotOneClaimedFile(()):
                raise NoSuchFile("the session has no claimed file of this name")
            case NotOneClaimedFile(dates):
                raise SeveralFiles(f"files of this name were claimed on {', '.join(dates)}; `date` has to say which one is meant")
            case Failed(error) | Lost(error):
                raise NfsSilent(f"the file is not abandoned: {error}")
        return self.status()

    def holdup(self, session: str) -> str | None:
        """What keeps a session that was stopped from ending; None: nothing that is known."""
        return holdup(session, self._pipeline.files, self._router.open_for_writing.oldest)

    def unhealthy_reason(self) -> str | None:
        return self._supervisor.unhealthy_reason()

    def unready(self) -> str | None:
        return "; ".join(self._unready()) or None

    def limits(self) -> Limits:
        return Limits(self._router.uploads.bytes_per_s)

    async def limit_uploads(self, bytes_per_s: int | None) -> Limits:
        self._limited_by_call = True
        self._router.set_uploads(replace(self._router.uploads, bytes_per_s=bytes_per_s))
        return self.limits()

    async def pause_uploads(self) -> Status:
        self._router.set_uploads(replace(self._router.uploads, paused=True))
        return self.status()

    async def resume_uploads(self) -> Status:
        self._router.set_uploads(replace(self._router.uploads, paused=False))
        return self.status()

    def status(self) -> Status:
        now = time.monotonic()
        files, budget, totals = self._pipeline.files, self._pipeline.budget, self._totals
        in_flight = [(record, state) for record in files if (state := _state(record))]
        counted = Counter(state for _, state in in_flight)
        refused = [record for record in files if record.refused]
        return Status(
            session=self._sessions.status(),
            files=FileCounts(
                open_for_writing=self._router.open_for_writing.count,
                queued=files.count(Stage.QUEUED),
                staging=counted[FileState.STAGING],
                uploading=counted[FileState.UPLOADING],
                completed=totals.completed,
                failed=totals.failed,
                refused=len(refused),
                hidden=self._router.hidden,
            ),
            bytes=ByteCounts(totals.bytes_completed, budget.used, budget.limit, totals.bytes_sent, totals.bytes_resent),
            in_flight=tuple(_in_flight(record, state, now) for record, state in _listed(in_flight)),
            refused=tuple(
                RefusedFile(printable(record.file.name), record.file.session, record.refused or "") for record in refused[:MOST_LISTED]
            ),
            actors=tuple(_actor(ref) for ref in self._supervisor.refs.values()),
            uploads="paused" if self._router.uploads.paused else "running",
            stability=Stability(found.rule, found.reason) if (found := self._router.stability) else None,
            waiting_for=tuple(self._waiting_for()),
        )

    def _waiting_for(self) -> Iterator[str]:
        yield from self._unready()
        if self._router.uploads.paused:
            yield "uploads are paused"
        if self._router.nfs_trouble:
            yield f"NFS: {self._router.nfs_trouble}"
        for path in self._router.links.paths:
            yield f"{path} is a symbolic link, which is not followed: nothing is taken from there"
        opened = self._router.open_for_writing
        if opened.oldest:
            oldest = f"{opened.oldest.session}/{printable(opened.oldest.name)}"
            since = datetime.fromtimestamp(opened.since, UTC)
            files = "1 file" if opened.count == 1 else f"{opened.count} files"
            yield f"the writers of {files} that are still open, the oldest since {since:%Y-%m-%dT%H:%M:%SZ}: {oldest}"
        active = self._sessions.active
        if active and active.holding is Holding.DRAINING and (reason := self.holdup(active.name)):
            yield f"the end of session {active.name}: {reason}"
        if self._pipeline.scheduler.short_of_room:
            yield "room in staging"
        if waiting := sum(record.not_before is not None for record in self._pipeline.files):
            yield f"the next attempt of {waiting} {'file' if waiting == 1 else 'files'} that failed"

    def _unready(self) -> Iterator[str]:
        if reason := self._supervisor.unhealthy_reason() or self._supervisor.unready():
            yield reason
        if reason := self._sessions.admission.claim_refusal():
            yield reason

    async def _follow_clock(self) -> None:
        """Our clock may be set at any time, and nobody tells."""
        while True:
            self._router.review_admission()
            await asyncio.sleep(_CLOCK_S)

    async def _follow_schedule(self) -> None:
        """Whoever sets a limit by a call has the last word."""
        while not self._limited_by_call:
            limit = self._timetable.limit(datetime.now().astimezone())
            self._router.set_uploads(replace(self._router.uploads, bytes_per_s=limit))
            await asyncio.sleep(_SCHEDULE_S)


def _state(record: TrackedFile) -> FileState | None:
    """As the status shows it; None: not in flight."""
    match record.stage:
        case Stage.STAGING:
            return FileState.STAGING
        case Stage.UPLOADING | Stage.COMPLETING:
            return FileState.UPLOADING
        case Stage.WAITING:
            return FileState.UPLOADING if record.attempts else FileState.STAGING
        case Stage.UNSEEN | Stage.QUEUED:
            return None


def _listed(in_flight: list[tuple[TrackedFile, FileState]]) -> list[tuple[TrackedFile, FileState]]:
    """If there are too many, those that wait for their next attempt are left out first."""
    if len(in_flight) > MOST_LISTED:
        in_flight = sorted(in_flight, key=lambda one: one[0].not_before is not None)
    return in_flight[:MOST_LISTED]


def _in_flight(record: TrackedFile, state: FileState, now: float) -> InFlight:
    size, done, file = record.version.size, record.done, record.file
    rate = record.meter.rate(now) if record.meter else 0.0
    return InFlight(
        file=printable(file.name),
        session=file.session,
        date=file.date if isinstance(file, FileRef) else f"{datetime.now(UTC):%Y%m%d}",  # which its claim is about to give it
        state=state,
        size=size,
        done=done,
        rate=rate,
        eta_s=(size - done) / rate if rate > 0 else None,
        attempts=record.attempts,
        error=record.error,
        retry_in_s=max(0.0, record.not_before - now) if record.not_before is not None else None,
    )


def _actor(ref: ActorRef) -> ActorStatus:
    call = ref.child.board.oldest() if ref.child else None
    return ActorStatus(
        ref.name,
        ref.state,
        ref.child.pid if ref.child else None,
        ref.restarts,
        call.seconds if call else 0.0,
        call.what if call else None,
    )
