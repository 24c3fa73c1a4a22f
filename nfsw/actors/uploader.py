"""The Uploader sends staged files to Azure, APP_WORKERS at a time, each again and again until it is there. A child process, asyncio.

A process of its own because TLS and the body of a block hold an event loop for longer than a probe should wait (the
process-topology ADR has the figures). A file that fails steps aside and waits; the others go on.
"""

import asyncio
import logging
import random
import time
from contextlib import closing
from dataclasses import dataclass, field, replace

from nfsw.actors.actor import Tell
from nfsw.actors.azure_errors import ContainerMissing, Refused, StoreTrouble
from nfsw.actors.azure_store import Store
from nfsw.actors.backoff import pauses
from nfsw.actors.config import UploaderConfig
from nfsw.actors.envelope import Message
from nfsw.actors.files import FileRef
from nfsw.actors.logs import about
from nfsw.actors.messages import (
    Abandon,
    ClockMeasured,
    ContainerReady,
    ContainerRefused,
    FileStaged,
    FileUploaded,
    SetUploads,
    StagedCopyBad,
    StagingGrew,
    Upload,
    UploadBegun,
    UploadFailed,
)
from nfsw.actors.progress import Progress
from nfsw.actors.send_window import Place, SendWindow
from nfsw.actors.slots import Slots
from nfsw.actors.staged_copy import StagedCopyBroken
from nfsw.actors.throttle import Throttle
from nfsw.actors.tree import StagingTree
from nfsw.actors.upload import Account, Attempt, Uplink

log = logging.getLogger("nfsw.uploader")

#: The pauses between two attempts for one file, in seconds, whatever an answer asks for: a wrong one would park the file for weeks.
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 300.0
#: The same after a request that the service refuses for good, but for rights, which it is asked for without a body: what is not
#: sent for nothing is the uplink's.
_FIRST_REFUSED_S = 60.0
_LONGEST_REFUSED_S = 3600.0
#: What is answered to whoever has no right, or shows none.
_RIGHTS = (401, 403)
#: While files wait because the service did not answer, it is asked this often, in seconds, so that they go on soon after it does again.
_PROBE_S = 5.0
#: A difference of our clock from Azure's, in seconds, that is worth a question or a word.
_CLOCK_OFF_S = 60.0


class _Pauses:
    """Between the attempts for one file."""

    def __init__(self, chance: random.Random) -> None:
        self._usual = pauses(_FIRST_PAUSE_S, _LONGEST_PAUSE_S, chance)
        self._refused = pauses(_FIRST_REFUSED_S, _LONGEST_REFUSED_S, chance)

    def after(self, trouble: StoreTrouble) -> float:
        """In seconds."""
        if isinstance(trouble, Refused) and trouble.status not in _RIGHTS:
            return next(self._refused)
        return min(max(next(self._usual), trouble.retry_after or 0), _LONGEST_PAUSE_S)


@dataclass(slots=True)
class Job:
    """One file, from `Upload` until it is in Azure or abandoned."""

    upload: Upload
    staged: bool  # all of the file is
    more: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None
    moot: bool = False  # abandoned, or another has taken its place
    over: asyncio.Event = field(default_factory=asyncio.Event)  # nothing of it is on its way any more


class Uploader:
    #: Seconds between two calls of `on_tick`.
    interval = 20.0

    def __init__(self, config: UploaderConfig, store: Store, chance: random.Random | None = None) -> None:
        self._store = store
        self._slots = Slots(config.workers)
        self._chance = chance or random.Random()  # noqa: S311 - spreads retries, hides nothing
        self._throttle = Throttle(time.monotonic)
        self._uplink = Uplink(
            store,
            StagingTree(config.staging_dir),
            self._throttle,
            SendWindow(time.monotonic),
            self._chance,
            config.single_put_size,
            config.concurrency,
        )
        self._jobs: dict[FileRef, Job] = {}
        self._answers = asyncio.Event()  # set when the service answers after it did not, and replaced then
        self._unanswered = 0  # files that wait because it did not
        self._down = False  # by the latest probe, which may be older than the latest failure
        self._probing: asyncio.Task[None] | None = None
        self._making_container = asyncio.Lock()

    async def on_start(self, tell: Tell) -> None:
        """Says whether the container is there; uploads are taken either way, since the trouble may pass."""
        self._store.clock.on_news = lambda azure, at: tell(ClockMeasured(azure, at))
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

    async def on_message(self, message: Message, tell: Tell) -> None:
        """Returns when the message needs nothing more: for an `Upload`, when the file is in Azure or abandoned."""
        match message:
            case Upload(file):
                before = self._jobs.get(file)
                job = self._jobs[file] = Job(message, message.staged)  # at once: what is told next of the file is about this one
                try:
                    await self._end(before)
                    if not job.moot:
                        await self._run(job, tell)
                finally:
                    job.over.set()
                    if self._jobs.get(file) is job:
                        del self._jobs[file]
            case StagingGrew(file) | FileStaged(file):
                if waiting := self._jobs.get(file):
                    waiting.staged = waiting.staged or isinstance(message, FileStaged)
                    waiting.more.set()
            case Abandon(file):
                await self._end(self._jobs.get(file))
            case SetUploads(bytes_per_s, paused):
                self._throttle.set(bytes_per_s, paused=paused)

    async def _run(self, job: Job, tell: Tell) -> None:
        job.task = asyncio.create_task(self._keep_trying(job, tell), name=f"upload {job.upload.file.blob}")
        await asyncio.wait([job.task])
        if not job.task.cancelled() and (error := job.task.exception()):
            raise error

    async def _end(self, job: Job | None) -> None:
        """Returns once it is over."""
        if job is None:
            return
        if job.task and not job.moot:
            job.task.cancel()
        job.moot = True
        await job.over.wait()

    async def _keep_trying(self, job: Job, tell: Tell) -> None:
        with closing(Progress(job.upload.file, tell)) as progress:
            await self._try_until_sent(job, Account(progress), tell)

    async def _try_until_sent(self, job: Job, account: Account, tell: Tell) -> None:
        file, fingerprint = job.upload.file, job.upload.fingerprint
        extra = about(file.session, file.name, "upload")
        begun = time.monotonic()
        waits = _Pauses(self._chance)
        number, refused = 0, False
        while True:
            number += 1
            tell(UploadBegun(file, number))
            try:
                await self._attempt(job, account, again=number > 1, refused=refused)
            except StagedCopyBroken as broken:
                log.error("will be staged again: %s", broken, extra=extra)
                account.progress.tell()
                tell(StagedCopyBad(file, str(broken)))
                return
            except StoreTrouble as failed:
                trouble = await self._container_again(failed) if isinstance(failed, ContainerMissing) else failed
                refused = isinstance(trouble, Refused)
                pause, reason = waits.after(trouble), self._described(trouble)
                log.warning("attempt %d failed, next one in %.1f s: %s", number, pause, reason, extra=extra)
                account.progress.tell()
                tell(UploadFailed(file, number, reason, pause))
                await self._wait(pause, trouble)
            else:
                seconds = time.monotonic() - begun
                log.debug("uploaded %d bytes in %.1f s", fingerprint.size, seconds, extra=extra)
                account.progress.tell()
                tell(
                    FileUploaded(
                        file, fingerprint, seconds, account.overwrote, account.committed_at, number, account.crc64, account.request_id
                    )
                )
                return

    async def _attempt(self, job: Job, account: Account, *, again: bool, refused: bool) -> None:
        """`again`: it is not the first one. `refused`: so was the one before."""
        await self._throttle.opened()
        file = job.upload.file
        place = Place(again, job.upload.fingerprint.mtime_ns, file.name)
        async with self._slots.turn(place) as turn:

            async def more_staged() -> bool:
                if not job.staged:
                    await turn.step_aside(job.more.wait)
                    job.more.clear()
                return not job.staged

            if refused:
                await self._store.may_write(file.blob)
            upload = replace(job.upload, look_first=job.upload.look_first or again)
            await Attempt(self._uplink, upload, account, place, more_staged).run()

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

    async def _wait(self, pause: float, trouble: StoreTrouble) -> None:
        """`pause` seconds, or less when the service did not answer and does again."""
        if trouble.status is not None and trouble.status < 500:
            await asyncio.sleep(pause)
            return
        answers = self._answers
        self._unanswered += 1
        if self._probing is None:
            self._probing = asyncio.create_task(self._probe(), name="probe")
        try:
            async with asyncio.timeout(pause):
                await answers.wait()
        except TimeoutError:
            return
        finally:
            self._unanswered -= 1

    async def _probe(self) -> None:
        """Wakes all who wait for the service once it answers after it did not: they need not sit out their pauses."""
        try:
            while self._unanswered:
                await asyncio.sleep(self._chance.uniform(_PROBE_S / 2, _PROBE_S))
                try:
                    await self._store.probe()
                except StoreTrouble as trouble:
                    log.debug("still no answer: %s", trouble)
                    self._down = True
                else:
                    if self._down:
                        self._answers.set()
                        self._answers = asyncio.Event()
                    self._down = False
        finally:
            self._probing = None
