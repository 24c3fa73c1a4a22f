"""A blob is written in place of the one that was looked at, and of no other."""

from collections.abc import Callable

import pytest

from nfsw.actors.azure_errors import StoreTrouble
from nfsw.actors.azure_store import StoredBlob
from nfsw.actors.conditional_write import write_in_place_of
from nfsw.actors.files import Fingerprint
from tests.support.memory_store import MemoryStore
from tests.support.store_ground import CONTENT, checksums

BLOB = "20260131/s/a"
OURS = Fingerprint(len(CONTENT), 1, 2, 3)


class Writing:
    """Puts `CONTENT`. What `happens` was told happens each time before it arrives."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.tried = 0
        self.overwrites = 0
        self._meanwhile: Callable[[], None] | None = None

    async def __call__(self, *, replace: StoredBlob | None) -> None:
        self.tried += 1
        if self._meanwhile:
            self._meanwhile()
        await self.store.put(BLOB, CONTENT, checksums(CONTENT), OURS, replace=replace)

    async def write(self) -> None:
        await write_in_place_of(
            await self.store.look(BLOB),
            self,
            self.store,
            BLOB,
            is_ours=lambda there: there is not None and there.size == len(CONTENT),
            overwrites=self._count,
        )

    def happens(self, meanwhile: Callable[[], None]) -> None:
        self._meanwhile = meanwhile

    def _count(self) -> None:
        self.overwrites += 1


async def test_where_nothing_is_it_is_written_and_nothing_said() -> None:
    writing = Writing()
    await writing.write()
    assert writing.store.blobs[BLOB].content == CONTENT
    assert (writing.tried, writing.overwrites) == (1, 0)


async def test_what_is_there_already_and_ours_is_left_alone() -> None:
    writing = Writing()
    writing.store.put_elsewhere(BLOB, CONTENT)
    await writing.write()
    assert writing.tried == 0


async def test_another_blob_is_overwritten_and_that_is_said_before() -> None:
    writing = Writing()
    writing.store.put_elsewhere(BLOB, b"older")
    writing.happens(lambda: _assert(writing.overwrites == 1))
    await writing.write()
    assert writing.store.blobs[BLOB].content == CONTENT


async def test_one_that_comes_in_between_is_looked_at_first() -> None:
    writing = Writing()
    writing.happens(lambda: writing.store.put_elsewhere(BLOB, b"quicker") if writing.tried == 1 else None)
    await writing.write()
    assert writing.store.blobs[BLOB].content == CONTENT
    assert (writing.tried, writing.overwrites) == (2, 1)


async def test_if_ours_comes_in_between_it_is_done() -> None:
    """The request was sent before, and its answer lost."""
    writing = Writing()
    writing.happens(lambda: writing.store.put_elsewhere(BLOB, CONTENT))
    await writing.write()
    assert (writing.tried, writing.overwrites) == (1, 0)


async def test_somebody_who_is_always_quicker_ends_the_attempt_and_not_the_service() -> None:
    writing = Writing()
    writing.happens(lambda: writing.store.put_elsewhere(BLOB, b"quicker %d" % writing.tried))
    with pytest.raises(StoreTrouble, match="again and again"):
        await writing.write()
    assert writing.store.blobs[BLOB].content != CONTENT


def _assert(truth: bool) -> None:
    assert truth
