"""The whole inside of the main process, with its five actors played by the test. Nothing is left out but the processes."""

import asyncio
import time
from typing import Self

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import TracerProvider

from nfsw.actors.envelope import Envelope, Message
from nfsw.actors.files import Arrival, File, FileRef, Fingerprint
from nfsw.actors.messages import (
    ClockMeasured,
    Complete,
    ContainerReady,
    Drain,
    FileClaimed,
    FileCompleted,
    FileStable,
    FileStaged,
    FileUploaded,
    Hold,
    LetGo,
    Looked,
    Release,
    SessionFound,
    SessionHeld,
    SessionReleased,
    StagingBegun,
    StagingGrew,
    StopNoted,
    Take,
    Unstaged,
    Upload,
    UploadBegun,
)
from nfsw.schedule import UploadSchedule
from nfsw.supervisor.admission import Admission
from nfsw.supervisor.ledger import Entry, Ledger, Stage
from nfsw.supervisor.moving import Moving
from nfsw.supervisor.pipeline import Pipeline
from nfsw.supervisor.session import Desk
from nfsw.supervisor.telemetry import Telemetry
from tests.support.faketime import settled
from tests.support.memory_child import Lives
from tests.unit.supervisor.company import HANG_S, Company, ref

WORKERS = 2
QUEUE = 3
LIMIT = 1_000_000
#: Larger than any file here: a manifest takes 320 bytes.
BLOCK = 1_000_000_000
MANIFEST = 320
DATE = "20260131"
CRASH = 70


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
        timetable: UploadSchedule = UploadSchedule.OFF,
    ) -> None:
        lives = {name: Lives() for name in ("uploader", "keeper", "scanner", "claimer", "collector")}
        refs = {
            "uploader": ref("uploader", lives["uploader"], None),
            "keeper": ref("keeper", lives["keeper"], 1, expendable=lambda: not self.desk.holds_any),
            "scanner": ref("scanner", lives["scanner"], None),
            "claimer": ref("claimer", lives["claimer"], workers, bound=queue),
            "collector": ref("collector", lives["collector"], workers),
        }
        self._answered = answered
        self.lost: list[str] = []
        self.ledger = Ledger(limit)
        self.desk = Desk(
            Admission(),
            ask=lambda message: refs["keeper"].mailbox.post(Envelope(message)),
            show=lambda watch: self.pipeline.show(watch),  # noqa: PLW0108 - the pipeline is made below, with the desk
            busy=self.ledger.of_session,
            holdup=lambda session: self.pipeline.holdup(session),  # noqa: PLW0108 - as above
            lost=self.lost.append,
        )
        tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
        self.telemetry = Telemetry(tracer, NoOpMeterProvider().get_meter("test"))
        self.pipeline = Pipeline(refs, self.ledger, self.desk, self.telemetry, workers, BLOCK)
        super().__init__(*refs.values(), plot=self.pipeline, lives=lives)
        self.service = Moving(self.supervisor, self.pipeline, self.desk, self.telemetry.totals, timetable, HANG_S)

    def latest_progress(self) -> float:
        return self.telemetry.progressed_at

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
        await self.says("scanner", Looked((SessionFound("s", DATE, 0, files=False),)))
        await self.keeps()
        assert self.desk.claims("s")
        self.hears_nothing_new()
        return self

    async def keeps(self) -> None:
        """The Keeper does all that it is asked."""
        for request in self["keeper"].hears():
            match request:
                case Hold(session, _, started_at):
                    self["keeper"].says(SessionHeld(session, started_at or 1000.0, draining=False, recorded=True))
                case Drain(session):
                    self["keeper"].says(StopNoted(session))
                case Release(session):
                    self["keeper"].says(SessionReleased(session))
            self["keeper"].is_done_with(request)
            await settled()

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

    async def dies(self, actor: str) -> None:
        """It crashes; the next life has been told what there is to be told, and takes messages."""
        self[actor].exits(CRASH)
        await settled()
        await self.says_started(actor)

    async def says_started(self, actor: str) -> None:
        self[actor].starts()
        await settled()

    async def done(self, actor: str, *jobs: Message) -> None:
        self[actor].is_done_with(*jobs)
        await settled()

    def entry(self, file: File) -> Entry:
        entry = self.ledger.get(file)
        assert entry is not None, f"{file} is in nobody's hands"
        return entry

    def stage(self, file: File) -> Stage:
        return self.entry(file).stage

    # The story of a file, step by step. Each returns when it has happened.

    async def sees(self, file: File, size: int = 100) -> None:
        """The Scanner finds it stable."""
        await self.says("scanner", FileStable(file, version(size)))

    async def takes(self, file: File, size: int = 100) -> Take:
        """It is seen, and the Claimer has it in hand."""
        await self.sees(file, size)
        return self.has_taken(file)

    def has_taken(self, file: File) -> Take:
        [take] = [job for job in self["claimer"].hears() if isinstance(job, Take) and job.file == file]
        return take

    async def stages(self, name: str, size: int = 100) -> Take:
        """It is claimed, and its first blocks are being sent."""
        take = await self.takes(arrival(name), size)
        await self.says("claimer", FileClaimed(arrival(name), claimed(name), version(size)))
        await self.says("claimer", StagingBegun(claimed(name), version(size)), StagingGrew(claimed(name), size // 2))
        await self.says("uploader", UploadBegun(claimed(name), 1))
        return take

    async def uploads(self, name: str, size: int = 100) -> Upload:
        """It is staged, and only the Uploader has it in hand."""
        take = await self.stages(name, size)
        await self.says("claimer", StagingGrew(claimed(name), size), FileStaged(claimed(name)))
        await self.done("claimer", take)
        upload = Upload(claimed(name), version(size))
        assert upload in self["uploader"].hears()
        return upload

    async def completes(self, name: str, size: int = 100) -> Complete:
        """It is in Azure, and only the Collector has it in hand."""
        upload = await self.uploads(name, size)
        await self.says("uploader", FileUploaded(claimed(name), version(size), seconds=1.0, overwrote=False))
        await self.done("uploader", upload)
        [complete] = self["collector"].hears()
        assert isinstance(complete, Complete)
        return complete

    async def moves(self, name: str, size: int = 100) -> None:
        """The whole story."""
        complete = await self.completes(name, size)
        await self.says("collector", Unstaged(claimed(name)), FileCompleted(claimed(name)))
        await self.done("collector", complete)

    def let_go(self) -> list[File]:
        """What the Scanner was told to report again since it was asked last."""
        return [message.file for message in self["scanner"].hears() if isinstance(message, LetGo)]
