"""The blob container in memory, as honest as the real one: the same tests hold both to the same answers.

It keeps blocks apart from blobs, checks what is sent against its CRC64 (or MD5), minds that all block ids of a name have one length, and
does to a request what a test asks for: fails it, loses its answer, lets it wait. `sent` tells what came, and what was kept.
"""

import asyncio
import hashlib
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from uuid import uuid4

from nfsw.actors.azure_clock import AzureClock
from nfsw.actors.azure_errors import BlobThere, BytesRefused, ContainerMissing, ForeignBlocks, Refused, StoreTrouble
from nfsw.actors.azure_store import Follow, Store, StoredBlob, Written, crc64_note, source_note
from nfsw.actors.files import Fingerprint
from nfsw.actors.manifest import Block, Checksums
from tests.support.plain_crc64 import plain_crc64

#: What the service calls every request.
REQUEST_ID = "00000000-1111-2222-3333-444444444444"
#: Seconds that a request takes.
ROUND_TRIP_S = 0.01
#: And after which the client gives up waiting for an answer.
NO_ANSWER_S = 60.0


def no_answer() -> StoreTrouble:
    return StoreTrouble("no answer: connection reset")


def answered(status: int, code: str = "", retry_after: float | None = None) -> StoreTrouble:
    kind = StoreTrouble if status >= 500 or status in (408, 429) else Refused
    return kind(f"HTTP {status} {code}", status=status, retry_after=retry_after)


@dataclass(slots=True)
class Kept:
    """A committed blob."""

    content: bytes
    crc64: str | None
    md5: bytes | None
    source: str | None
    blocks: dict[str, bytes] = field(default_factory=dict)  # none when it was put whole
    etag: str = field(default_factory=lambda: uuid4().hex)


@dataclass(slots=True)
class Plan:
    """What happens to the next requests of one kind."""

    before: deque[StoreTrouble | None] = field(default_factory=deque)  # they fail
    after: deque[StoreTrouble | None] = field(default_factory=deque)  # they are done, and their answer is lost


class MemoryStore(Store):
    def __init__(self) -> None:
        self.clock = AzureClock()
        self.ahead_s: float | None = None  # of our clock; None: its answers have no date
        self.container = False
        self.deleted = False  # the container, while it was in use
        self.blobs: dict[str, Kept] = {}
        self.uncommitted: dict[str, dict[str, bytes]] = defaultdict(dict)
        self.calls: list[str] = []
        self.sent: list[str] = []  # ids of blocks, names of blobs: those whose bytes came whole
        self.down: StoreTrouble | None = None  # every request fails
        self.knows_crc64 = True
        self.tells_md5 = True  # else something on the way takes it out of what is told of a blob
        self.states_checksum = True  # of a blob that was put whole, in its answer
        self.answering = True  # else a request ends without an answer, after as long as the client waits for one
        self.open = asyncio.Event()  # requests that carry bytes wait for it
        self.open.set()
        self.in_flight = 0
        self.most_in_flight = 0
        self.most_pieces = 0  # of which a body consisted
        self._damaged = 0
        self._spoilt: Kept | None = None
        self._plans: dict[str, Plan] = defaultdict(Plan)

    # What a test makes happen.

    def fail(self, call: str, *troubles: StoreTrouble | None) -> None:
        """The next requests of this kind; None: that one succeeds."""
        self._plans[call].before.extend(troubles)

    def lose_answer(self, call: str) -> None:
        self._plans[call].after.append(no_answer())

    def damage(self, requests: int) -> None:
        """The bytes of the next requests arrive with one of them changed."""
        self._damaged = requests

    def spoil(self, blob: Kept) -> None:
        """This is what there is after the next blob was made, whatever was sent."""
        self._spoilt = blob

    # What another program does.

    def put_elsewhere(self, blob: str, content: bytes) -> None:
        self.blobs[blob] = Kept(content, None, hashlib.md5(content, usedforsecurity=False).digest(), None)

    def stage_elsewhere(self, blob: str, block_id: str, content: bytes) -> None:
        self.uncommitted[blob][block_id] = content

    def delete_container(self) -> None:
        self.container, self.deleted = False, True
        self.blobs.clear()
        self.uncommitted.clear()

    def commit_elsewhere(self, blob: str, block_ids: Sequence[str]) -> None:
        blocks = {block_id: self.uncommitted[blob][block_id] for block_id in block_ids}
        self.blobs[blob] = Kept(b"".join(blocks.values()), None, None, None, blocks)
        self.uncommitted.pop(blob)

    # What the service does.

    async def close(self) -> None:
        pass

    async def ensure_container(self) -> bool:
        await self._request("ensure_container")
        made, self.container, self.deleted = not self.container, True, False
        return made

    async def probe(self) -> None:
        await self._request("probe")

    async def may_write(self, blob: str) -> None:
        await self._request("may_write")

    async def look(self, blob: str) -> StoredBlob | None:
        await self._request("look")
        kept = self.blobs.get(blob)
        if kept is None:
            return None
        return StoredBlob(len(kept.content), kept.crc64, kept.md5 if self.tells_md5 else None, kept.source, kept.etag)

    async def blocks(self, blob: str) -> dict[str, int] | None:
        await self._request("blocks")
        if blob not in self.blobs and not self.uncommitted[blob]:
            return None
        return {block_id: len(content) for block_id, content in self.uncommitted[blob].items()}

    async def takes_crc64(self) -> bool:
        return self.knows_crc64

    async def put(
        self,
        blob: str,
        body: bytes | Callable[[], AsyncIterator[bytes]],
        whole: Checksums,
        fingerprint: Fingerprint,
        *,
        replace: StoredBlob | None,
        md5: bytes | None = None,
        follow: Follow = lambda _: None,
    ) -> Written:
        data = b""
        follow(lambda: len(data))
        async with self._carried("put"):
            data = body if isinstance(body, bytes) else await self._received(body())
            if not isinstance(body, bytes) and len(data) != fingerprint.size:
                raise no_answer()
            self._check(data, whole.crc64, md5 or whole.md5)
        self.sent.append(blob)
        if replace is None and self.uncommitted.get(blob):
            raise BlobThere("blocks lie there", status=409)  # Azurite takes them for a blob where a whole one is to be put
        self._mind(blob, replace=replace)
        self._keep(blob, Kept(data, crc64_note(whole), whole.md5, source_note(fingerprint)))
        self.uncommitted.pop(blob, None)
        self._lose_answer("put")
        return Written(REQUEST_ID, proven=self.states_checksum and not whole.md5)

    async def stage(
        self,
        blob: str,
        block_id: str,
        block: Block,
        body: AsyncIterator[bytes],
        md5: bytes | None = None,
        *,
        follow: Follow = lambda _: None,
    ) -> None:
        data = b""
        follow(lambda: len(data))
        async with self._carried("stage"):
            data = await self._received(body)
        if len(data) != block.length:
            raise no_answer()
        self._check(data, block.crc64, md5)
        if any(len(other) != len(block_id) for other in self.uncommitted[blob]):
            raise ForeignBlocks("HTTP 400 InvalidBlobOrBlock", status=400)
        self.sent.append(block_id)
        self.uncommitted[blob][block_id] = data
        self._lose_answer("stage")

    async def commit(
        self, blob: str, block_ids: Sequence[str], whole: Checksums, fingerprint: Fingerprint, *, replace: StoredBlob | None
    ) -> Written:
        await self._request("commit")
        self._mind(blob, replace=replace)
        there = (self.blobs[blob].blocks if blob in self.blobs else {}) | self.uncommitted[blob]
        if any(block_id not in there for block_id in block_ids):
            raise ForeignBlocks("HTTP 400 InvalidBlockList", status=400)
        chosen = {block_id: there[block_id] for block_id in block_ids}
        content = b"".join(chosen[block_id] for block_id in block_ids)
        self._keep(blob, Kept(content, crc64_note(whole), whole.md5, source_note(fingerprint), chosen))
        self.uncommitted.pop(blob)
        self._lose_answer("commit")
        return Written(REQUEST_ID, proven=False)

    async def clear_blocks(self, blob: str) -> None:
        await self._request("clear_blocks")
        self.uncommitted.pop(blob, None)

    async def _received(self, body: AsyncIterator[bytes]) -> bytes:
        try:
            pieces = [piece async for piece in body]
        except Exception as error:
            raise no_answer() from error  # as the SDK has it: whatever the body raises looks like trouble of the connection
        self.most_pieces = max(self.most_pieces, len(pieces))
        return b"".join(pieces)

    @asynccontextmanager
    async def _carried(self, call: str) -> AsyncIterator[None]:
        """A request with a body."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self._request(call)
            await self.open.wait()
            yield
        finally:
            self.in_flight -= 1

    async def _request(self, call: str) -> None:
        self.calls.append(call)
        if not self.answering:
            await asyncio.sleep(NO_ANSWER_S)
            raise no_answer()
        await asyncio.sleep(ROUND_TRIP_S)
        if self.ahead_s is not None and (self.down is None or self.down.status):
            self.clock.hear(formatdate(time.time() - self.ahead_s, usegmt=True))
        if self.down:
            raise self.down
        if self.deleted and call != "ensure_container":
            raise ContainerMissing("HTTP 404 ContainerNotFound", status=404)
        plan = self._plans[call].before
        if plan and (trouble := plan.popleft()):
            raise trouble

    def _keep(self, blob: str, kept: Kept) -> None:
        self.blobs[blob], self._spoilt = self._spoilt or kept, None

    def _check(self, data: bytes, crc64: int, md5: bytes | None) -> None:
        if self._damaged:
            self._damaged -= 1
            data = bytes([data[0] ^ 1]) + data[1:]
        if md5 is None:
            if not self.knows_crc64:
                raise StoreTrouble("HTTP 500 FeatureNotSupported", status=500)
            if plain_crc64(data) != crc64:
                raise BytesRefused("HTTP 400 Crc64Mismatch", status=400)
        elif hashlib.md5(data, usedforsecurity=False).digest() != md5:
            raise BytesRefused("HTTP 400 Md5Mismatch", status=400)

    def _lose_answer(self, call: str) -> None:
        plan = self._plans[call].after
        if plan and (trouble := plan.popleft()):
            raise trouble

    def _mind(self, blob: str, *, replace: StoredBlob | None) -> None:
        kept = self.blobs.get(blob)
        if kept and not replace:
            raise BlobThere("HTTP 409 BlobAlreadyExists", status=409)
        if replace and (not kept or kept.etag != replace.etag):
            raise BlobThere("HTTP 412 ConditionNotMet", status=412)
