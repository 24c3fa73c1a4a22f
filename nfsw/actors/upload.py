"""One attempt to get one file into one blob: block by block, resumed, verified. Uploader process, one event loop.

The manifest says what to send, and grows while the file is staged; the service says what it holds already. So an attempt
sends the difference and nothing else, whatever ended the attempt before it.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count

from nfsw.actors.azure_errors import BytesRefused, ContainerMissing, ForeignBlocks, StoreTrouble
from nfsw.actors.azure_store import Store, StoredBlob, Written, crc64_note, source_note
from nfsw.actors.azure_transport import STALL_S
from nfsw.actors.backoff import pause_s
from nfsw.actors.block_ids import BlockIds
from nfsw.actors.conditional_write import write_in_place_of
from nfsw.actors.logs import about
from nfsw.actors.manifest import BadManifest, Block, BlockManifest, Checksums, ManifestReader
from nfsw.actors.messages import UploadFile
from nfsw.actors.progress import Progress
from nfsw.actors.send_window import Leaving, Place, SendWindow
from nfsw.actors.staged_copy import StagedCopy, StagedCopyBroken
from nfsw.actors.throttle import Throttle
from nfsw.actors.tree import StagingTree

log = logging.getLogger("nfsw.uploader")

#: Requests for one block before the attempt fails, and the bounds of the pauses in between, in seconds.
_TRIES = 4
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 60.0


@dataclass(slots=True)
class UploadHistory:
    """What the attempts for one file have done so far; kept from one to the next."""

    progress: Progress
    overwrote: bool = False  # a blob with other content was there
    crc64: str = ""  # of the file, as the blob's metadata has it
    request_id: str | None = None  # Azure's, of the request that made the blob; None: an earlier life had made it
    committed_at: float = 0.0  # when the latest attempt had nothing left to do but to read back (seconds, CLOCK_MONOTONIC)


@dataclass(slots=True)
class UploadContext:
    """What all attempts share."""

    store: Store
    staging: StagingTree
    throttle: Throttle
    window: SendWindow
    rng: random.Random
    single_put_size: int  # bytes; a file of at most that many goes up in one request
    concurrency: int  # blocks in flight for one file
    md5_missed: bool = False  # a Content-MD5 did not come back, and that was said


class Attempt:
    def __init__(
        self,
        context: UploadContext,
        upload: UploadFile,
        history: UploadHistory,
        place: Place,
        more_staged: Callable[[], Awaitable[bool]],
    ) -> None:
        """`place`: where the file stands in the line. `more_staged`: returns when more may be staged; False when all of the file is."""
        self._context = context
        self._store = context.store
        self._throttle = context.throttle
        self._place = place
        self._file = upload.file
        self._fingerprint = upload.version
        self._look_first = upload.look_first
        self._history = history
        self._progress = history.progress
        self._more_staged = more_staged
        self._lines = ManifestReader(context.staging.manifest(upload.file))
        self._ids = BlockIds()
        self._with_md5 = False  # the service takes no CRC64
        self._proven = False  # by the answer to the request that made the blob

    async def run(self) -> None:
        """Returns once the blob is committed and proven. Raises StoreTrouble, StagedCopyBroken."""
        self._progress.begin()
        self._copy = StagedCopy(self._context.staging.copy(self._file))
        try:
            self._with_md5 = not await self._store.takes_crc64()
            if self._fingerprint.size > min(self._context.single_put_size, self._throttle.at_once()) or not await self._put():
                await self._send_blocks()
            self._history.committed_at, self._history.crc64 = time.monotonic(), crc64_note(self._whole())
            if not self._proven:
                await self._verify()
        finally:
            self._copy.close()

    async def _put(self) -> bool:
        """The whole file in one request. False: it was begun in blocks, when the limit of a request was another."""
        async for _ in self._blocks():
            pass  # all of them are in one request
        checksums = self._whole()
        whole = Block(0, 0, self._fingerprint.size, checksums.crc64)
        there = await self._store.look(self._file.blob) if self._look_first else None
        if self._is_ours(there):
            self._progress.begin(held=whole.length)
            return True
        md5 = self._copy.md5(whole) if self._with_md5 else None
        async with self._leaving(whole) as leaving, self._in_time(None) as deadline:
            with self._progress.request(whole) as body:

                async def put(*, replace: StoredBlob | None) -> Written:
                    pieces = partial(self._pieces, whole, leaving, deadline)
                    data = pieces if whole.length > self._throttle.piece() else await anext(pieces(), b"")  # one piece needs no stream
                    return await self._store.put(
                        self._file.blob, data, checksums, self._fingerprint, replace=replace, md5=md5, follow=body.follow
                    )

                try:
                    await self._write(put, there)
                    leaving.sent(whole.length)
                except ForeignBlocks:
                    return False
                except StoreTrouble as trouble:
                    if isinstance(trouble, BytesRefused):
                        self._copy.check(whole)
                    raise self._copy.broken or trouble from trouble
        return True

    async def _send_blocks(self) -> None:
        blob = self._file.blob
        there = await self._store.look(blob)
        if there and there.source == source_note(self._fingerprint):
            # Most likely ours, committed just before a crash. Its CRC64 will tell, as soon as ours is known.
            async for _ in self._blocks():
                pass
            if self._is_ours(there):
                return
        try:
            await self._send_missing()
        except ForeignBlocks as foreign:
            log.warning("clearing blocks that somebody else left under this name: %s", foreign, extra=self._about())
            await self._store.clear_blocks(blob)
            await self._send_missing()
        async with self._in_time(0):
            ids = [self._ids.of(block) for block in self._manifest().blocks]
            await self._write(partial(self._store.commit, blob, ids, self._whole(), self._fingerprint), there)

    async def _write(self, request: Callable[..., Awaitable[Written]], there: StoredBlob | None) -> None:
        """`request`: makes the blob."""

        async def write(*, replace: StoredBlob | None) -> None:
            written = await request(replace=replace)
            self._history.request_id, self._proven = written.request_id, written.proven

        await write_in_place_of(there, write, self._store, self._file.blob, is_ours=self._is_ours, overwrites=self._say_overwrite)

    async def _send_missing(self) -> None:
        """Sends each block as soon as it is staged, but for those that the service holds already."""
        held = await self._store.blocks(self._file.blob) or {}
        self._progress.begin()
        self._fit_ids(held)
        in_flight = asyncio.Semaphore(self._context.concurrency)
        try:
            async with asyncio.TaskGroup() as group:
                async for block in self._blocks():
                    if held.get(self._ids.of(block)) == block.length and self._ids.name_content:
                        self._progress.holds(block.length)
                        continue
                    await in_flight.acquire()
                    sending = group.create_task(self._send(block), name=f"block {block.index} of {self._file.blob}")
                    sending.add_done_callback(lambda _: in_flight.release())
        except* (StagedCopyBroken, StoreTrouble) as failed:
            raise _gravest(failed) from None

    def _fit_ids(self, held: Mapping[str, int]) -> None:
        """Raises ForeignBlocks when no ids of ours go together with those that the service holds."""
        if not self._ids.fit(held):
            raise ForeignBlocks("their ids are too short for ours to go beside them")
        if self._ids.length:
            log.info("somebody else has left blocks under this name; the commit will drop them", extra=self._about())

    async def _send(self, block: Block) -> None:
        for number in count(1):
            pause = pause_s(number, _FIRST_PAUSE_S, _LONGEST_PAUSE_S, self._context.rng)
            try:
                md5 = self._copy.md5(block) if self._with_md5 else None
                async with self._leaving(block) as leaving:
                    with self._progress.request(block) as body:
                        async with self._in_time(None) as deadline:
                            pieces = self._pieces(block, leaving, deadline)
                            await self._store.stage(self._file.blob, self._ids.of(block), block, pieces, md5, follow=body.follow)
            except BytesRefused:
                self._copy.check(block)
                if number == _TRIES:
                    raise
                wait = pause
            except StoreTrouble as trouble:
                if self._copy.broken:
                    raise self._copy.broken from trouble
                if not trouble.passing or number == _TRIES:
                    raise
                wait = max(pause, trouble.retry_after or 0)
            else:
                await self._copy.give_back(block)
                return
            await asyncio.sleep(min(wait, _LONGEST_PAUSE_S))

    @asynccontextmanager
    async def _leaving(self, block: Block) -> AsyncIterator[Leaving]:
        """The block may be sent: it is its file's turn."""
        leaving = await self._context.window.enter(self._place, block.length, self._fingerprint.size - block.offset)
        try:
            yield leaving
        finally:
            leaving.done()

    async def _pieces(self, block: Block, leaving: Leaving, deadline: asyncio.Timeout) -> AsyncIterator[bytes]:
        """The block's bytes. Each piece moves the deadline; time that the throttle takes does not count."""
        clock = asyncio.get_running_loop().time
        offset, end = block.offset, block.offset + block.length
        while offset < end:
            size = min(self._throttle.piece(), end - offset)
            deadline.reschedule(None)
            await self._throttle.take(size)
            data = self._copy.read_some(size, offset)
            deadline.reschedule(clock() + STALL_S)
            yield data
            leaving.sent(len(data))
            offset += len(data)
        deadline.reschedule(clock() + STALL_S)

    async def _blocks(self) -> AsyncIterator[Block]:
        """The file's blocks from the first on, each as soon as it is staged; ends when the whole file is."""
        passed, more = 0, True
        while True:
            try:
                manifest = self._lines.read_on(self._fingerprint)
            except (BadManifest, OSError) as error:
                raise StagedCopyBroken(f"no manifest of the staged copy: {error}") from error
            if manifest:
                for block in manifest.blocks[passed:]:
                    yield block
                passed = len(manifest.blocks)
                if manifest.whole:
                    return
            if not more:
                raise StagedCopyBroken("the manifest of the staged copy has lost its end")
            more = await self._more_staged()

    async def _verify(self) -> None:
        """Only what is read back from the service counts, where its answer did not prove the blob."""
        async with self._in_time(0):
            there = await self._store.look(self._file.blob)
        if there is None or not self._is_ours(there):
            raise StoreTrouble(f"the blob as read back is not the file as read from NFS: {there}")
        if self._whole().md5 and there.md5 is None and not self._context.md5_missed:
            self._context.md5_missed = True
            log.warning("Content-MD5 was sent and does not come back: something on the way takes it out; CRC64 and size agree")

    def _is_ours(self, there: StoredBlob | None) -> bool:
        """A Content-MD5 that is not there says nothing: a proxy may take it out. One that is there has to be right."""
        if there is None:
            return False
        whole = self._whole()
        noted = (there.size, there.crc64, there.source) == (self._fingerprint.size, crc64_note(whole), source_note(self._fingerprint))
        return noted and (there.md5 == whole.md5 or None in (there.md5, whole.md5))

    def _manifest(self) -> BlockManifest:
        assert self._lines.manifest is not None
        return self._lines.manifest

    def _whole(self) -> Checksums:
        """Once all is staged."""
        whole = self._manifest().whole
        assert whole is not None
        return whole

    def _say_overwrite(self) -> None:
        if not self._history.overwrote:
            log.warning("a blob of this name is there and is overwritten: the last writer wins", extra=self._about())
        self._history.overwrote = True

    @asynccontextmanager
    async def _in_time(self, extra: float | None) -> AsyncIterator[asyncio.Timeout]:
        """A request that stalls is trouble of the way to the service. `extra`: seconds on top; None: the deadline is moved from inside."""
        try:
            async with asyncio.timeout(STALL_S + (extra or 0)) as deadline:
                yield deadline
        except TimeoutError as error:
            raise StoreTrouble(f"no answer: nothing moved for {STALL_S:.0f} s") from error

    def _about(self) -> dict[str, str]:
        return about(self._file.session, self._file.name, "upload")


def _gravest(failed: ExceptionGroup[StagedCopyBroken | StoreTrouble]) -> Exception:
    """One reason for an attempt that several blocks failed: what needs the most doing about."""
    errors = _flat(failed)
    for kind in (StagedCopyBroken, ContainerMissing, ForeignBlocks, StoreTrouble):
        for error in errors:
            if isinstance(error, kind):
                return error
    return errors[0]


def _flat(failed: ExceptionGroup[StagedCopyBroken | StoreTrouble]) -> list[StagedCopyBroken | StoreTrouble]:
    flat: list[StagedCopyBroken | StoreTrouble] = []
    for error in failed.exceptions:
        flat.extend(_flat(error) if isinstance(error, ExceptionGroup) else [error])
    return flat
