"""The service as the API sees it: supervisor, pipeline and sessions behind one face. Main process."""

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime

from msgspec.structs import replace
from uuid_utils import uuid7

from nfsw.actors import logs
from nfsw.actors.envelope import Lost, Reply
from nfsw.actors.messages import AbandonFile, Failed, FileAbandoned, NotOneClaimedFile
from nfsw.actors.names import printable
from nfsw.schedule import UploadSchedule
from nfsw.supervisor.actor_ref import Request
from nfsw.supervisor.holdup import held_up, holdup
from nfsw.supervisor.overview import Overview
from nfsw.supervisor.router import Router
from nfsw.supervisor.service import NfsSilent, NoSuchFile, SessionConflict, SeveralFiles
from nfsw.supervisor.sessions import Sessions
from nfsw.supervisor.status import FileHistory, Limits, Status
from nfsw.supervisor.supervisor import Supervisor
from nfsw.supervisor.telemetry import Telemetry
from nfsw.supervisor.throughput import STEP_S, Throughput, ThroughputHistory

#: How often the schedule of the upload limit is read, in seconds.
_SCHEDULE_S = 5.0
#: How often this pod's clock is compared with Azure's, in seconds.
_CLOCK_S = 5.0


class TransferService:
    """Implements `service.Service`."""

    def __init__(
        self, supervisor: Supervisor, router: Router, sessions: Sessions, telemetry: Telemetry, schedule: UploadSchedule, patience_s: float
    ) -> None:
        """`patience_s`: how long `start` and `stop` wait for NFS, in seconds."""
        self._supervisor = supervisor
        self._router = router
        self._pipeline = router.pipeline
        self._sessions = sessions
        self._totals = telemetry.totals
        self._finished = telemetry.finished
        self._throughput = Throughput()
        self._overview = Overview(supervisor, router, sessions, telemetry, self._throughput)
        self._timetable = schedule
        self._patience_s = patience_s
        self._limited_by_call = False

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._supervisor.run(), name="supervisor")
            group.create_task(self._follow_schedule(), name="schedule")
            group.create_task(self._follow_clock(), name="clock")
            group.create_task(self._look_around(), name="overview")

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
        return self._overview.status()

    @property
    def overview(self) -> Overview:
        return self._overview

    def history(self, after: int) -> FileHistory:
        return self._finished.history(after)

    def throughput(self) -> ThroughputHistory:
        return self._throughput.history()

    def _unready(self) -> Iterator[str]:
        if reason := self._supervisor.unhealthy_reason() or self._supervisor.unready():
            yield reason
        if reason := self._sessions.admission.claim_refusal():
            yield reason

    async def _look_around(self) -> None:
        """The rate and the health are those of all the time, not of when somebody asks."""
        while True:
            self._throughput.note(self._totals.bytes_sent, time.monotonic())
            self._overview.look()
            await asyncio.sleep(STEP_S)

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
