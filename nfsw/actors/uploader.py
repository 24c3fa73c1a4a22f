"""The Uploader sends staged files to Azure, APP_WORKERS at a time. A child process, asyncio.

A process of its own because TLS and the body of a block hold an event loop for longer than a probe should wait (the
process-topology ADR has the figures). A job is one attempt for one file: when the next one comes is decided in the main process.
"""

import asyncio
import logging
import math
import random
import time
from dataclasses import dataclass, field

from nfsw.actors.actor import Tell
from nfsw.actors.azure_errors import ContainerMissing, Refused, StoreTrouble
from nfsw.actors.azure_store import Store
from nfsw.actors.config import UploaderConfig
from nfsw.actors.envelope import Message, Reply
from nfsw.actors.files import FileRef
from nfsw.actors.logs import about
from nfsw.actors.messages import (
    AzureAnswers,
    ClockMeasured,
    ContainerReady,
    ContainerRefused,
    MoreStaged,
    Outage,
    SetUploads,
    StagedCopyBad,
    Uploaded,
    UploadFailed,
    UploadFile,
    Withdrawn,
    WithdrawUpload,
)
from nfsw.actors.progress import Progress
from nfsw.actors.send_window import Place, SendWindow
from nfsw.actors.staged_copy import StagedCopyBroken
from nfsw.actors.throttle import Throttle
from nfsw.actors.tree import StagingTree
from nfsw.actors.upload import Attempt, UploadContext, UploadHistory
from nfsw.actors.upload_slots import UploadSlots

log = logging.getLogger("nfsw.uploader")

#: What is answered to whoever has no right, or shows none.
_RIGHTS = (401, 403)
#: After the service did not answer, it is asked this often, in seconds, so that files go on soon after it does again.
_PROBE_S = 5.0
#: A difference of our clock from Azure's, in seconds, that is worth a question or a word.
_CLOCK_OFF_S = 60.0


@dataclass(slots=True)
class _Running:
    """A job in hand."""

    staged: bool  # all of the file is
    more: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[Reply] | None" = None
    withdrawn: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)  # nothing of it is on its way any more


class Uploader:
    #: Seconds between two calls of `on_tick`.
    interval = 20.0

    def __init__(self, config: UploaderConfig, store: Store, rng: random.Random | None = None) -> None:
        self._store = store
        self._slots = UploadSlots(config.workers)
        self._rng = rng or random.Random()  # noqa: S311 - spreads retries, hides nothing
        self._throttle = Throttle(time.monotonic)
        self._context = UploadContext(
            store,
            StagingTree(config.staging_dir),
            self._throttle,
            SendWindow(time.monotonic),
            self._rng,
            config.single_put_size,
            config.concurrency,
        )
        self._tell: Tell  # of news that are about no job; given at the start
        self._jobs: dict[FileRef, _Running] = {}
        self._histories: dict[FileRef, UploadHistory] = {}  # of files whose attempts failed so far
        self._probing: asyncio.Task[None] | None = None
        self._outage = False  # the service did not answer, and that it does again is still to be told
        self._outage_ended_at = -math.inf  # when that was told last (seconds, monotonic)
        self._making_container = asyncio.Lock()

    async def on_start(self, tell: Tell) -> None:
        """Says whether the container is there; uploads are taken either way, since the trouble may pass."""
        self._store.clock.on_news = lambda azure, at: tell(ClockMeasured(azure, at))
        self._tell = tell
        try:
            await self._store.ensure_container()
        except StoreTrouble as trouble:
            tell(ContainerRefused(self._described(trouble)))
        else:
            tell(ContainerReady())

    async def on_tick(self) -> None:
        """Every `interval` seconds. While our clock seems to be off, Azure is asked for the time again: where no file is claimed for
        that reason, nothing else asks, and what was heard before this machine slept is of no use.
        """
        if abs(self._store.clock.ahead_s()) > _CLOCK_OFF_S:
            try:
                await self._store.probe()
            except StoreTrouble as trouble:
                log.debug("cannot ask Azure for the time: %s", trouble)

    async def on_message(self, message: Message, tell: Tell) -> Reply | None:
        """Returns when the message needs nothing more: for an `UploadFile`, when the attempt is over."""
        match message:
            case UploadFile(file):
                before = self._jobs.get(file)
                running = self._jobs[file] = _Running(message.staged)  # at once: what is told next of the file is about this one
                try:
                    await self._withdraw(before)
                    return Withdrawn() if running.withdrawn else await self._run(message, running, tell)
                finally:
                    running.over.set()
                    if self._jobs.get(file) is running:
                        del self._jobs[file]
            case MoreStaged(file, whole):
                if waiting := self._jobs.get(file):
                    waiting.staged = waiting.staged or whole
                    waiting.more.set()
            case WithdrawUpload(file):
                await self._withdraw(self._jobs.get(file))
                self._histories.pop(file, None)
            case SetUploads(bytes_per_s, paused):
                self._throttle.set(bytes_per_s, paused=paused)
        return None

    async def _run(self, job: UploadFile, running: _Running, tell: Tell) -> Reply:
        running.task = asyncio.create_task(self._attempt(job, running, tell), name=f"upload {job.file.blob}")
        try:
            return await running.task
        except asyncio.CancelledError:
            if running.withdrawn:
                return Withdrawn()
            raise

    async def _withdraw(self, running: _Running | None) -> None:
        """Returns once it is over."""
        if running is None:
            return
        if running.task and not running.withdrawn:
            running.task.cancel()
        running.withdrawn = True
        await running.over.wait()

    async def _attempt(self, job: UploadFile, running: _Running, tell: Tell) -> Reply:
        extra = about(job.file.session, job.file.name, "upload")
        history = self._histories.setdefault(job.file, UploadHistory(Progress()))
        begun = time.monotonic()
        with history.progress.told(tell):
            try:
                await self._send(job, running, history)
            except StagedCopyBroken as broken:
                log.error("will be staged again: %s", broken, extra=extra)
                reply: Reply = StagedCopyBad(str(broken))
            except StoreTrouble as failed:
                trouble = await self._container_again(failed) if isinstance(failed, ContainerMissing) else failed
                reply = self._failed(trouble, begun)
            else:
                log.debug("uploaded %d bytes", job.version.size, extra=extra)
                reply = Uploaded(history.overwrote, history.committed_at, history.crc64, history.request_id)
                del self._histories[job.file]
        return reply

    def _failed(self, trouble: StoreTrouble, begun: float) -> UploadFailed:
        """`begun`: when the attempt was (seconds, monotonic)."""
        unanswered = trouble.status is None or trouble.status >= 500
        if unanswered:
            self._outage = self._outage or begun < self._outage_ended_at  # it has hung for longer than the outage that it fails of
            self._probing = self._probing or asyncio.create_task(self._probe(), name="probe")
        return UploadFailed(
            self._described(trouble),
            Outage.AZURE if unanswered else None,
            refused=isinstance(trouble, Refused),
            for_good=isinstance(trouble, Refused) and trouble.status not in _RIGHTS,
            retry_after_s=trouble.retry_after or 0.0,
        )

    async def _send(self, job: UploadFile, running: _Running, history: UploadHistory) -> None:
        await self._throttle.opened()
        place = Place(job.attempt > 1, job.version.mtime_ns, job.file.name)
        async with self._slots.turn(place) as turn:

            async def more_staged() -> bool:
                if not running.staged:
                    await turn.step_aside(running.more.wait)
                    running.more.clear()
                return not running.staged

            if job.refused:
                await self._store.may_write(job.file.blob)
            await Attempt(self._context, job, history, place, more_staged).run()

    async def _container_again(self, missing: ContainerMissing) -> StoreTrouble:
        """Makes the container again, once for all files that miss it. Returns what their attempts failed of."""
        async with self._making_container:
            try:
                made = await self._store.ensure_container()
            except StoreTrouble as trouble:
                return StoreTrouble(
                    f"the container is not there, and cannot be made again: {trouble}",
                    status=trouble.status,
                    retry_after=trouble.retry_after,
                )
        if made:
            log.error(
                "the container was deleted with all that was in it; it has been made again: %s", missing, extra={"action": "container"}
            )
            return StoreTrouble(f"the container was deleted; it has been made again: {missing}", status=missing.status)
        return StoreTrouble(f"the container was not found, and is there now: {missing}", status=missing.status)

    def _described(self, trouble: StoreTrouble) -> str:
        """Azure refuses signatures and tokens for a clock that is off, and does not always say so."""
        ahead_s = self._store.clock.ahead_s()
        if trouble.status not in _RIGHTS or abs(ahead_s) <= _CLOCK_OFF_S:
            return str(trouble)
        return f"{trouble}; this machine's clock is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} Azure's"

    async def _probe(self) -> None:
        """Asks the service until it answers. If it did not before, says so then: files that it held up need not sit out their pauses."""
        try:
            answered = False
            while not answered:
                await asyncio.sleep(self._rng.uniform(_PROBE_S / 2, _PROBE_S))
                try:
                    await self._store.probe()
                    answered = True
                except StoreTrouble as trouble:
                    log.debug("still no answer: %s", trouble)
                    self._outage = True
            if self._outage:
                self._outage, self._outage_ended_at = False, time.monotonic()
                self._tell(AzureAnswers())
        finally:
            self._probing = None
