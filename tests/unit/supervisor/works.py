"""The whole inside of the main process, with its five actors played by the test. Nothing is left out but the processes."""

import asyncio
import time
from typing import Self

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from nfsw.actors.envelope import Job, Message, Reply
from nfsw.actors.files import Arrival, File, FileRef, Fingerprint
from nfsw.actors.messages import (
    AbandonFile,
    AcquireLock,
    Claimed,
    ClockMeasured,
    Completed,
    CompleteFile,
    ContainerReady,
    EvictStaged,
    FileStable,
    MarkStopped,
    NotOneClaimedFile,
    ReleaseLock,
    ReportAgain,
    ScanFinished,
    SessionFound,
    SessionHeld,
    SessionReleased,
    Staged,
    StageFile,
    StagingProgress,
    StopNoted,
    Uploaded,
    UploadFile,
)
from nfsw.schedule import UploadSchedule
from nfsw.supervisor.actor_ref import ActorRef, ChildSpec
from nfsw.supervisor.assembly import Limits, assemble
from nfsw.supervisor.supervisor import MOST_DELIVERIES
from nfsw.supervisor.telemetry import Telemetry
from nfsw.supervisor.tracked_file import Stage, TrackedFile
from tests.support.faketime import settled
from tests.support.memory_child import Processes
from tests.unit.supervisor.company import ESCALATE_S, HANG_S, Company

WORKERS = 2
QUEUE = 3
LIMIT = 1_000_000
#: Larger than any file here: a manifest takes 320 bytes.
BLOCK = 1_000_000_000
MANIFEST = 320
DATE = "20260131"
CRASH = 70
#: As a scan of the only session says it, while there is something of it.
SCANNED = ScanFinished((SessionFound("s", DATE, 0, files=True),))
UPLOADED = Uploaded(overwrote=False)


def arrival(name: str) -> Arrival:
    return Arrival("s", name)


def claimed(name: str) -> FileRef:
    return FileRef(DATE, "s", name)


def version(size: int, mtime_ns: int = 1, ctime_ns: int = 1) -> Fingerprint:
    return Fingerprint(size, mtime_ns, 7, ctime_ns)


def azure_is(ahead_s: float) -> ClockMeasured:
    """What the Uploader says when Azure's clock is ahead of this process's by so many seconds."""
    return ClockMeasured(time.time() + ahead_s, time.monotonic())


class Works(Company):
    """`async with` it: session "s" is active, and every actor runs. Files are of session "s".

    `answered`: whether the Azure container has; if not, no session is held.
    """

    def __init__(
        self,
        *,
        answered: bool = True,
        limit: int = LIMIT,
        workers: int = WORKERS,
        queue: int = QUEUE,
        schedule: UploadSchedule = UploadSchedule.OFF,
    ) -> None:
        capacities = {"uploader": None, "keeper": 1, "scanner": None, "claimer": workers, "collector": workers}
        processes = {name: Processes() for name in capacities}
        refs = [ActorRef(ChildSpec(name, processes[name].start, capacity)) for name, capacity in capacities.items()]
        self._answered = answered
        self.lost: list[str] = []
        self._spans = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.telemetry = Telemetry(provider.get_tracer("test"), NoOpMeterProvider().get_meter("test"))
        self.totals = self.telemetry.totals
        self.main = assemble(refs, self.telemetry, Limits(workers, queue, limit, BLOCK, HANG_S, ESCALATE_S), schedule, self.lost.append)
        self.files, self.budget, self.sessions = self.main.files, self.main.budget, self.main.sessions
        self.service = self.main.service
        super().__init__(self.main.supervisor, processes)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        for name in self.refs:
            self[name].starts()
        if not self._answered:
            await settled()
            self.hears_nothing_new()
            return self
        self["uploader"].says(ContainerReady())
        await self.service.container_checked()
        await self.says("scanner", ScanFinished((SessionFound("s", DATE, 0, files=False),)))
        await self.keeps()
        assert self.sessions.claims("s")
        self.hears_nothing_new()
        return self

    async def keeps(self) -> None:
        """The Keeper does all that it is asked."""
        for job in self["keeper"].in_hand:
            match job:
                case AcquireLock(_, _, started_at):
                    self["keeper"].replies(job, SessionHeld(started_at or 1000.0, draining=False, recorded=True))
                case MarkStopped():
                    self["keeper"].replies(job, StopNoted())
                case ReleaseLock():
                    self["keeper"].replies(job, SessionReleased())
                case AbandonFile():
                    self["keeper"].replies(job, NotOneClaimedFile(()))
            await settled()
        self["keeper"].hears()

    async def stops(self) -> None:
        """The session is stopped by a call, and the Keeper has noted it."""
        stopping = asyncio.create_task(self.service.stop())
        await settled()
        await self.keeps()
        await stopping

    def hears_nothing_new(self) -> None:
        """Forgets what was said so far."""
        for name in self.refs:
            self[name].hears()

    async def says(self, actor: str, *messages: Message) -> None:
        """The actor says it, and all that follows from it at once has happened."""
        self[actor].says(*messages)
        await settled()

    async def news(self, actor: str, file: str, *messages: Message) -> None:
        """The same of its job for the file of that name."""
        self[actor].news(self.job(actor, file), *messages)
        await settled()

    async def replies(self, actor: str, file: str, reply: Reply) -> None:
        """The actor is done with its job for the file of that name."""
        self[actor].replies(self.job(actor, file), reply)
        await settled()

    def job(self, actor: str, file: str) -> StageFile | UploadFile | CompleteFile | EvictStaged:
        """The latest one that the actor has in hand for the file of that name."""
        return [job for job in self[actor].in_hand if _is_for(job, file)][-1]  # type: ignore[return-value]

    async def dies(self, actor: str) -> None:
        """It crashes; the next process has been told what there is to be told, and takes messages."""
        self[actor].exits(CRASH)
        await settled()
        await self.says_started(actor)

    async def says_started(self, actor: str) -> None:
        self[actor].starts()
        await settled()

    async def is_killed_by_its_job(self, actor: str) -> None:
        """Again and again, until the job counts as lost."""
        for _ in range(MOST_DELIVERIES):
            await self.dies(actor)

    def record(self, file: File) -> TrackedFile:
        record = self.files.get(file)
        assert record is not None, f"nothing is known of {file}"
        return record

    def stage(self, file: File) -> Stage:
        return self.record(file).stage

    @property
    def under_way(self) -> set[File]:
        """Files that are queued, with an actor, or wait for their next attempt."""
        return {record.file for record in self.files if record.stage is not Stage.UNSEEN}

    def spans(self, name: str) -> list[ReadableSpan]:
        """Those of that name that have ended."""
        return [span for span in self._spans.get_finished_spans() if span.name == name]

    def reports_again(self) -> list[File]:
        """What the Scanner was told to report again since it was asked last."""
        return [message.file for message in self["scanner"].hears() if isinstance(message, ReportAgain)]

    def to_stage(self) -> list[str]:
        """Names of the files that the Claimer was given since it was asked last."""
        return [job.file.name for job in self["claimer"].hears() if isinstance(job, StageFile)]

    # The story of a file, step by step. Each returns when it has happened.

    async def sees(self, file: File, size: int = 100) -> None:
        """The Scanner finds it stable."""
        await self.says("scanner", FileStable(file, version(size)))

    async def takes(self, file: File, size: int = 100) -> StageFile:
        """It is seen, and the Claimer has it in hand."""
        await self.sees(file, size)
        return self.has_taken(file)

    def has_taken(self, file: File) -> StageFile:
        [job] = [job for job in self["claimer"].hears() if isinstance(job, StageFile) and job.file == file]
        return job

    async def stages(self, name: str, size: int = 100) -> None:
        """It is claimed, and its first blocks are being sent."""
        await self.takes(arrival(name), size)
        await self.news("claimer", name, Claimed(claimed(name), version(size)), StagingProgress(size // 2))

    async def uploads(self, name: str, size: int = 100) -> None:
        """It is staged, and only the Uploader has it in hand."""
        await self.stages(name, size)
        await self.replies("claimer", name, Staged())
        assert self.stage(claimed(name)) is Stage.UPLOADING

    async def completes(self, name: str, size: int = 100) -> None:
        """It is in Azure, and only the Collector has it in hand."""
        await self.uploads(name, size)
        await self.replies("uploader", name, UPLOADED)
        assert self.stage(claimed(name)) is Stage.COMPLETING

    async def moves(self, name: str, size: int = 100) -> None:
        """The whole story."""
        await self.completes(name, size)
        await self.replies("collector", name, Completed())

    async def ends_upload(self, name: str) -> None:
        """What the Uploader has in hand is sent and completed."""
        await self.replies("uploader", name, UPLOADED)
        await self.replies("collector", name, Completed())

    async def ends(self, name: str) -> None:
        """What the Claimer has in hand is staged, sent and completed, without a hitch."""
        await self.replies("claimer", name, Staged())
        await self.ends_upload(name)


def _is_for(job: Job, name: str) -> bool:
    return isinstance(job, StageFile | UploadFile | CompleteFile | EvictStaged) and job.file.name == name
