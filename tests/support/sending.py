"""An Uploader over a store in memory, with what it told and a staged copy for each file that a test names."""

import asyncio
import random
from collections.abc import Callable

from nfsw.actors.config import UploaderConfig
from nfsw.actors.envelope import Message
from nfsw.actors.files import FileRef
from nfsw.actors.messages import FileStaged, FileUploaded, StagingGrew, Upload
from nfsw.actors.tree import StagingTree
from nfsw.actors.uploader import Uploader
from tests.support.content import some_bytes
from tests.support.faketime import INSTANT_S, settled
from tests.support.memory_store import MemoryStore
from tests.support.share import DATE
from tests.support.staged import StagedCopy
from tests.support.told import Told

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
        self.told = Told()
        self.live()

    def live(self) -> None:
        """Another life of the Uploader: what it knew is gone, what the store holds is not."""
        config = UploaderConfig(self.staging.root, None, None, "c", SINGLE, CONCURRENCY, WORKERS)
        self.uploader = Uploader(config, self.store, random.Random(1))

    async def die(self) -> None:
        """Its process is killed. What was on its way stops there."""
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await settled()
        self.live()

    def staged(self, name: str = "a", size: int = SIZE, version: int = 1) -> StagedCopy:
        """Nothing of it lies there yet."""
        return StagedCopy(self.staging, FileRef(DATE, "s", name), some_bytes(version, size), BLOCK, version)

    def hear(self, message: Message) -> "asyncio.Task[None]":
        """As the host has it: a task for each message."""
        return asyncio.create_task(self.uploader.on_message(message, self.told))

    def upload(self, staged: StagedCopy, *, look_first: bool = False) -> "asyncio.Task[None]":
        return self.hear(Upload(staged.file, staged.fingerprint, look_first=look_first))

    def grew(self, staged: StagedCopy) -> None:
        self._heard = self.hear(StagingGrew(staged.file, 0))

    def finished(self, staged: StagedCopy) -> None:
        self._heard = self.hear(FileStaged(staged.file))

    async def sent(self, staged: StagedCopy, *, look_first: bool = False) -> FileUploaded:
        """Sends it, and returns what was told at the end."""
        await self.upload(staged, look_first=look_first)
        assert self.content(staged) == staged.content
        (uploaded,) = [message for message in self.told.of(FileUploaded) if message.file == staged.file]
        return uploaded

    def content(self, staged: StagedCopy) -> bytes | None:
        kept = self.store.blobs.get(staged.file.blob)
        return kept.content if kept else None

    async def until(self, condition: Callable[[], object]) -> None:
        """No real time passes: what does not happen within an hour does not happen."""
        step = INSTANT_S
        async with asyncio.timeout(3600):
            while not condition():  # noqa: ASYNC110 - nothing tells of it, and the time is not real
                await asyncio.sleep(step := min(2 * step, 0.5))
