"""An Uploader over a store in memory, with what it told and replied, and a staged copy for each file that a test names."""

import asyncio
import random
from collections.abc import Callable

from nfsw.actors.config import UploaderConfig
from nfsw.actors.envelope import Message, Reply
from nfsw.actors.files import FileRef
from nfsw.actors.messages import MoreStaged, Uploaded, UploadFailed, UploadFile
from nfsw.actors.tree import StagingTree
from nfsw.actors.uploader import Uploader
from tests.support.content import some_bytes
from tests.support.faketime import INSTANT_S, settled
from tests.support.memory_store import MemoryStore
from tests.support.share import DATE
from tests.support.staged import StagedCopy
from tests.support.told import Told, passed

BLOCK = 1000
#: A file of this size is sent in five blocks.
SIZE = 4 * BLOCK + 500
SINGLE = 2 * BLOCK
CONCURRENCY = 3
WORKERS = 2


class Sending:
    def __init__(self, staging: StagingTree) -> None:
        self.staging = staging
        self.store = MemoryStore()
        #: News, and with them the replies: the last one told of a job.
        self.told = Told()
        #: Names of the files that were uploaded, in order.
        self.uploaded: list[str] = []
        self.restart()

    def restart(self) -> None:
        """Another process of the Uploader: what it knew is gone, what the store holds is not."""
        config = UploaderConfig(self.staging.root, None, None, "c", SINGLE, CONCURRENCY, WORKERS)
        self.uploader = Uploader(config, self.store, random.Random(1))

    async def start(self) -> None:
        await self.uploader.on_start(self.told)

    async def die(self) -> None:
        """Its process is killed. What was on its way stops there."""
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await settled()
        self.restart()

    def staged(self, name: str = "a", size: int = SIZE, version: int = 1) -> StagedCopy:
        """Nothing of it lies there yet."""
        return StagedCopy(self.staging, FileRef(DATE, "s", name), some_bytes(version, size), BLOCK, version)

    def hear(self, message: Message) -> "asyncio.Task[Reply | None]":
        """As the host has it: a task for each message, and the reply told behind all news of it."""
        return asyncio.create_task(self._hear(message))

    async def _hear(self, message: Message) -> Reply | None:
        reply = await self.uploader.on_message(passed(message), self.told)
        if reply:
            self.told(reply)
        if isinstance(message, UploadFile) and isinstance(reply, Uploaded):
            self.uploaded.append(message.file.name)
        return reply

    def upload(
        self, staged: StagedCopy, attempt: int = 1, *, look_first: bool = False, refused: bool = False
    ) -> "asyncio.Task[Reply | None]":
        """One attempt."""
        return self.hear(UploadFile(staged.file, staged.fingerprint, attempt, look_first=look_first, refused=refused))

    def grew(self, staged: StagedCopy) -> None:
        self._heard = self.hear(MoreStaged(staged.file))

    def finished(self, staged: StagedCopy) -> None:
        self._heard = self.hear(MoreStaged(staged.file, whole=True))

    async def sent(self, staged: StagedCopy, *, look_first: bool = False) -> Uploaded:
        """Sends it, attempt after attempt as the pipeline asks for them, and returns the last reply."""
        attempt, reply = 1, await self.upload(staged, look_first=look_first)
        while isinstance(reply, UploadFailed):
            attempt += 1
            reply = await self.upload(staged, attempt, look_first=True, refused=reply.refused)
        assert isinstance(reply, Uploaded), reply
        assert self.content(staged) == staged.content
        return reply

    def content(self, staged: StagedCopy) -> bytes | None:
        kept = self.store.blobs.get(staged.file.blob)
        return kept.content if kept else None

    async def until(self, condition: Callable[[], object]) -> None:
        """No real time passes: what does not happen within an hour does not happen."""
        step = INSTANT_S
        async with asyncio.timeout(3600):
            while not condition():  # noqa: ASYNC110 - nothing tells of it, and the time is not real
                await asyncio.sleep(step := min(2 * step, 0.5))
