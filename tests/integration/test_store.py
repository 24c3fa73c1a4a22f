"""The blob container: the real one, in Azurite, and the one in memory that unit tests use answer alike."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from nfsw.actors.azure_errors import BlobThere, BytesRefused, ContainerMissing, ForeignBlocks, StoreTrouble
from nfsw.actors.azure_store import Store
from nfsw.actors.block_ids import BlockIds
from nfsw.actors.crc64 import crc64
from nfsw.actors.manifest import Checksums
from tests.support.store_ground import (
    BLOB,
    BLOCK,
    CONTENT,
    FINGERPRINT,
    Ground,
    blocks_of,
    body,
    checksums,
    ids_of,
    in_azurite,
    in_memory,
    is_made_of,
    stage,
)


@pytest.fixture(params=["azurite", "memory"])
async def ground(request: pytest.FixtureRequest) -> AsyncIterator[Ground]:
    if request.param == "memory":
        yield await in_memory()
        return
    async with in_azurite(request.getfixturevalue("azurite")) as ground:
        yield ground


@pytest.fixture
def store(ground: Ground) -> Store:
    return ground.store


@pytest.mark.parametrize("there", ["nothing", "blocks", "a blob"])
async def test_whether_a_blob_may_be_written_is_asked_without_writing_one(ground: Ground, store: Store, there: str) -> None:
    if there != "nothing":
        await stage(store, CONTENT, blocks_of(CONTENT))
    if there == "a blob":
        ground.elsewhere.put_elsewhere(BLOB, b"there")
    before = ground.content(BLOB), await store.blocks(BLOB)
    await store.may_write(BLOB)
    assert (ground.content(BLOB), await store.blocks(BLOB)) == before


async def test_a_container_that_is_there_is_as_good_as_a_new_one(store: Store) -> None:
    await store.ensure_container()
    await store.probe()


@pytest.mark.parametrize("ask", ["look", "blocks", "put", "stage", "commit", "probe"])
async def test_a_container_that_was_deleted_is_missed_by_every_request_until_it_is_made_again(
    ground: Ground, store: Store, ask: str
) -> None:
    """A blob is not taken for missing when all of them are."""
    blocks = blocks_of(CONTENT)
    requests: dict[str, Callable[[], Awaitable[object]]] = {
        "look": lambda: store.look(BLOB),
        "blocks": lambda: store.blocks(BLOB),
        "put": lambda: store.put(BLOB, CONTENT, checksums(CONTENT), FINGERPRINT, replace=None),
        "stage": lambda: stage(store, CONTENT, blocks),
        "commit": lambda: store.commit(BLOB, [], checksums(b""), FINGERPRINT, replace=None),
        "probe": store.probe,
    }
    ground.elsewhere.delete_container()
    with pytest.raises(ContainerMissing):
        await requests[ask]()
    assert await store.ensure_container()
    await requests[ask]()
    assert not await store.ensure_container()


async def test_nothing_is_known_of_a_name_that_nobody_used(store: Store) -> None:
    assert await store.look(BLOB) is None
    assert await store.blocks(BLOB) is None


@pytest.mark.parametrize("in_blocks", [False, True], ids=["put", "in blocks"])
async def test_the_files_md5_is_stored_where_it_is_asked_for(store: Store, *, in_blocks: bool) -> None:
    whole = Checksums(crc64(CONTENT), hashlib.md5(CONTENT).digest())
    if in_blocks:
        await stage(store, CONTENT, blocks_of(CONTENT))
        await store.commit(BLOB, ids_of(blocks_of(CONTENT)), whole, FINGERPRINT, replace=None)
    else:
        await store.put(BLOB, CONTENT, whole, FINGERPRINT, replace=None)
    there = await store.look(BLOB)
    assert there is not None
    assert there.md5 == whole.md5


async def test_a_blob_in_blocks_has_no_md5_otherwise(store: Store) -> None:
    await stage(store, CONTENT, blocks_of(CONTENT))
    await store.commit(BLOB, ids_of(blocks_of(CONTENT)), checksums(CONTENT), FINGERPRINT, replace=None)
    there = await store.look(BLOB)
    assert there is not None
    assert there.md5 is None


async def test_a_service_that_takes_no_crc64_checks_an_md5(store: Store) -> None:
    """Azurite up to 3.36 is one; the others check whichever they are sent."""
    (block,) = blocks_of(CONTENT[:BLOCK])
    right, wrong = hashlib.md5(CONTENT[:BLOCK]).digest(), hashlib.md5(b"").digest()
    for refused in (
        store.stage(BLOB, block.id, block, body(CONTENT[:BLOCK]), wrong),
        store.put(BLOB, CONTENT[:BLOCK], checksums(CONTENT[:BLOCK]), FINGERPRINT, replace=None, md5=wrong),
    ):
        with pytest.raises(BytesRefused):
            await refused
    await store.put(BLOB, CONTENT[:BLOCK], checksums(CONTENT[:BLOCK]), FINGERPRINT, replace=None, md5=right)
    await store.stage(BLOB, block.id, block, body(CONTENT[:BLOCK]), right)
    await store.commit(BLOB, ids_of([block]), checksums(CONTENT[:BLOCK]), FINGERPRINT, replace=await store.look(BLOB))
    assert is_made_of(CONTENT[:BLOCK], await store.look(BLOB))


@pytest.mark.parametrize("content", [b"", b"x", CONTENT], ids=["empty", "one byte", "some"])
async def test_what_is_put_is_there_with_its_hash_and_its_source(ground: Ground, store: Store, content: bytes) -> None:
    await store.put(BLOB, content, checksums(content), FINGERPRINT, replace=None)
    assert is_made_of(content, await store.look(BLOB))
    assert ground.content(BLOB) == content


async def test_a_put_never_replaces_unasked(ground: Ground, store: Store) -> None:
    ground.elsewhere.put_elsewhere(BLOB, b"there before")
    with pytest.raises(BlobThere):
        await store.put(BLOB, CONTENT, checksums(CONTENT), FINGERPRINT, replace=None)
    assert ground.content(BLOB) == b"there before"
    await store.put(BLOB, CONTENT, checksums(CONTENT), FINGERPRINT, replace=await store.look(BLOB))
    assert ground.content(BLOB) == CONTENT


async def test_a_put_where_blocks_lie_is_refused_though_nobody_sees_a_blob(ground: Ground, store: Store) -> None:
    """As Azurite has it. So nothing may wait for a blob to show."""
    await stage(store, CONTENT, blocks_of(CONTENT))
    with pytest.raises(BlobThere):
        await store.put(BLOB, CONTENT, checksums(CONTENT), FINGERPRINT, replace=None)
    assert await store.look(BLOB) is None
    assert ground.content(BLOB) is None


async def test_a_write_replaces_the_blob_that_it_was_told_of_and_no_other(ground: Ground, store: Store) -> None:
    """It may arrive late: by then the name is another version's."""
    ground.elsewhere.put_elsewhere(BLOB, b"as it was looked at")
    looked_at = await store.look(BLOB)
    await stage(store, CONTENT, blocks_of(CONTENT))
    ground.elsewhere.put_elsewhere(BLOB, b"newer")
    with pytest.raises(BlobThere):
        await store.put(BLOB, CONTENT, checksums(CONTENT), FINGERPRINT, replace=looked_at)
    with pytest.raises(BlobThere):
        await store.commit(BLOB, [], checksums(b""), FINGERPRINT, replace=looked_at)
    assert ground.content(BLOB) == b"newer"


async def test_a_blob_that_has_gone_since_it_was_looked_at_is_not_replaced(ground: Ground, store: Store) -> None:
    ground.elsewhere.put_elsewhere(BLOB, b"as it was looked at")
    looked_at = await store.look(BLOB)
    ground.delete(BLOB)
    with pytest.raises(BlobThere):
        await store.put(BLOB, CONTENT, checksums(CONTENT), FINGERPRINT, replace=looked_at)
    assert ground.content(BLOB) is None


async def test_bytes_that_are_not_those_of_the_hash_are_refused(ground: Ground, store: Store) -> None:
    with pytest.raises(BytesRefused):
        await store.put(BLOB, CONTENT, checksums(b"other"), FINGERPRINT, replace=None)
    (first, *_) = blocks_of(CONTENT)
    with pytest.raises(BytesRefused):
        await store.stage(BLOB, first.id, first, body(b"0123456789"))
    assert ground.content(BLOB) is None
    assert not await store.blocks(BLOB)


async def test_blocks_become_a_blob_when_they_are_committed_and_not_before(ground: Ground, store: Store) -> None:
    blocks = blocks_of(CONTENT)
    await stage(store, CONTENT, reversed(blocks))
    assert await store.blocks(BLOB) == {block.id: BLOCK for block in blocks}
    assert await store.look(BLOB) is None
    await store.commit(BLOB, ids_of(blocks), checksums(CONTENT), FINGERPRINT, replace=None)
    assert is_made_of(CONTENT, await store.look(BLOB))
    assert ground.content(BLOB) == CONTENT
    assert await store.blocks(BLOB) == {}


async def test_blocks_of_equal_content_are_all_there(ground: Ground, store: Store) -> None:
    content = b"the same10" * 3
    await stage(store, content, blocks_of(content))
    await store.commit(BLOB, ids_of(blocks_of(content)), checksums(content), FINGERPRINT, replace=None)
    assert ground.content(BLOB) == content


async def test_a_partial_upload_is_gone_on_with(ground: Ground, store: Store) -> None:
    blocks = blocks_of(CONTENT)
    await stage(store, CONTENT, blocks[:2])
    held = await store.blocks(BLOB)
    assert held == {blocks[0].id: BLOCK, blocks[1].id: BLOCK}
    await stage(store, CONTENT, [block for block in blocks if block.id not in held])
    await store.commit(BLOB, ids_of(blocks), checksums(CONTENT), FINGERPRINT, replace=None)
    assert ground.content(BLOB) == CONTENT


async def test_a_block_that_is_sent_twice_is_there_once(store: Store) -> None:
    (first, *_) = blocks_of(CONTENT)
    await stage(store, CONTENT, [first, first])
    assert await store.blocks(BLOB) == {first.id: BLOCK}


async def test_a_commit_never_replaces_unasked(ground: Ground, store: Store) -> None:
    blocks = blocks_of(CONTENT)
    await stage(store, CONTENT, blocks)
    ground.elsewhere.stage_elsewhere(BLOB, "0" * 37, b"another program's")
    ground.elsewhere.commit_elsewhere(BLOB, ["0" * 37])
    await stage(store, CONTENT, blocks)
    with pytest.raises(BlobThere):
        await store.commit(BLOB, ids_of(blocks), checksums(CONTENT), FINGERPRINT, replace=None)
    assert ground.content(BLOB) == b"another program's"
    await store.commit(BLOB, ids_of(blocks), checksums(CONTENT), FINGERPRINT, replace=await store.look(BLOB))
    assert ground.content(BLOB) == CONTENT


async def test_an_empty_block_list_is_an_empty_blob(ground: Ground, store: Store) -> None:
    await store.commit(BLOB, [], checksums(b""), FINGERPRINT, replace=None)
    assert ground.content(BLOB) == b""


async def test_a_block_that_the_service_does_not_hold_cannot_be_committed(store: Store) -> None:
    blocks = blocks_of(CONTENT)
    await stage(store, CONTENT, blocks[:2])
    with pytest.raises(ForeignBlocks):
        await store.commit(BLOB, ids_of(blocks), checksums(CONTENT), FINGERPRINT, replace=None)


async def test_a_block_beside_ids_of_another_length_is_refused(ground: Ground, store: Store) -> None:
    ground.elsewhere.stage_elsewhere(BLOB, "short", b"foreign")
    with pytest.raises(ForeignBlocks):
        await stage(store, CONTENT, blocks_of(CONTENT))
    assert await store.blocks(BLOB) == {"short": 7}


@pytest.mark.parametrize("length", [5, 8, 12, 36, 48, 64])
async def test_ours_go_beside_foreign_blocks_under_ids_of_their_length_and_the_commit_drops_theirs(
    ground: Ground, store: Store, length: int
) -> None:
    ground.elsewhere.stage_elsewhere(BLOB, "y" * length, b"foreign")
    ids, blocks = BlockIds(), blocks_of(CONTENT)
    assert ids.fit(await store.blocks(BLOB) or {})
    for block in blocks:
        await store.stage(BLOB, ids.of(block), block, body(CONTENT[block.offset : block.offset + block.length]))
    assert await store.look(BLOB) is None
    await store.commit(BLOB, [ids.of(block) for block in blocks], checksums(CONTENT), FINGERPRINT, replace=None)
    assert ground.content(BLOB) == CONTENT
    assert not await store.blocks(BLOB)


async def test_cleared_of_foreign_blocks_a_name_takes_ours(ground: Ground, store: Store) -> None:
    ground.elsewhere.stage_elsewhere(BLOB, "short", b"foreign")
    await store.clear_blocks(BLOB)
    assert not await store.blocks(BLOB)
    assert await store.look(BLOB) is None, "no empty blob is left"
    await stage(store, CONTENT, blocks_of(CONTENT))


async def test_to_clear_blocks_leaves_a_blob_of_blocks_as_it_is(ground: Ground, store: Store) -> None:
    blocks = blocks_of(CONTENT)
    await stage(store, CONTENT, blocks)
    await store.commit(BLOB, ids_of(blocks), checksums(CONTENT), FINGERPRINT, replace=None)
    before = await store.look(BLOB)
    ground.elsewhere.stage_elsewhere(BLOB, "x" * 37, b"foreign")
    await store.clear_blocks(BLOB)
    assert await store.blocks(BLOB) == {}
    assert (await store.look(BLOB), ground.content(BLOB)) == (before, CONTENT)


async def test_to_clear_blocks_leaves_a_blob_that_was_put_whole_as_it_is(ground: Ground, store: Store) -> None:
    """It has no block list; to commit an empty one would empty it."""
    await store.put(BLOB, CONTENT, checksums(CONTENT), FINGERPRINT, replace=None)
    ground.elsewhere.stage_elsewhere(BLOB, "short", b"foreign")
    await store.clear_blocks(BLOB)
    assert await store.blocks(BLOB) == {}
    assert is_made_of(CONTENT, await store.look(BLOB))
    assert ground.content(BLOB) == CONTENT


async def test_to_clear_blocks_does_not_take_a_newer_block_for_a_committed_one_of_its_id(ground: Ground, store: Store) -> None:
    for content in (b"committed", b"not committed"):
        ground.elsewhere.stage_elsewhere(BLOB, "one id", content)
        if content == b"committed":
            ground.elsewhere.commit_elsewhere(BLOB, ["one id"])
    await store.clear_blocks(BLOB)
    assert ground.content(BLOB) == b"committed"
    assert await store.blocks(BLOB) == {}


async def test_to_clear_a_name_that_nobody_used_is_nothing_to_do(ground: Ground, store: Store) -> None:
    await store.clear_blocks(BLOB)
    assert ground.content(BLOB) is None


@pytest.mark.parametrize("md5", [False, True])
async def test_a_body_in_pieces_is_one_request(ground: Ground, store: Store, md5: bool) -> None:
    version = FINGERPRINT._replace(size=len(CONTENT))
    whole = checksums(CONTENT)
    hashed = hashlib.md5(CONTENT).digest() if md5 else None
    await store.put(BLOB, lambda: body(CONTENT), whole, version, replace=None, md5=hashed)
    assert ground.content(BLOB) == CONTENT


async def test_a_body_in_pieces_that_ends_early_makes_no_blob(store: Store) -> None:
    version = FINGERPRINT._replace(size=len(CONTENT))
    with pytest.raises(StoreTrouble):
        await store.put(BLOB, lambda: body(CONTENT[:-1]), checksums(CONTENT), version, replace=None)
    assert await store.look(BLOB) is None
