"""One file on its way, and what goes wrong with it: of the service, of the line, of the staged copy."""

import asyncio
import hashlib
import os

import pytest

from nfsw.actors.azure_errors import BlobThere
from nfsw.actors.azure_store import source_note
from nfsw.actors.messages import FileUploaded, StagedCopyBad, UploadBegun, UploadFailed
from nfsw.actors.tree import StagingTree
from tests.support.memory_store import Kept, MemoryStore, answered, no_answer
from tests.support.sending import BLOCK, CONCURRENCY, SIZE, Sending


@pytest.fixture
async def sending(staging: StagingTree) -> Sending:
    return Sending(staging)


@pytest.fixture
async def store(sending: Sending) -> MemoryStore:
    return sending.store


@pytest.mark.parametrize("size", [BLOCK, SIZE])
@pytest.mark.parametrize("spoilt", ["other bytes", "no hash", "not ours"])
async def test_what_is_read_back_and_is_not_what_was_sent_is_sent_again(
    sending: Sending, store: MemoryStore, size: int, spoilt: str
) -> None:
    staged = sending.staged(size=size).whole()
    md5, source = hashlib.md5(staged.content).digest(), source_note(staged.fingerprint)
    match spoilt:
        case "other bytes":
            store.spoil(Kept(b"not it", md5, source))
        case "no hash":
            store.spoil(Kept(staged.content, None, source))
        case _:
            store.spoil(Kept(staged.content, md5, None))
    await sending.sent(staged)
    assert "is not the file as read from NFS" in sending.told.of(UploadFailed)[0].error
    assert store.blobs[staged.file.blob].source == source


@pytest.mark.parametrize("size", [BLOCK, SIZE])
@pytest.mark.parametrize("there", [False, True], ids=["", "beside an older blob"])
async def test_a_flipped_byte_is_never_committed_and_the_file_is_staged_again(
    sending: Sending, store: MemoryStore, size: int, there: bool
) -> None:
    staged = sending.staged(size=size).whole()
    if there:
        store.put_elsewhere(staged.file.blob, b"older")
        store.fail("put", *[BlobThere("HTTP 409", status=409), None] * 5)  # said before the bytes are looked at
    staged.flip(size // 2)
    await sending.upload(staged)
    assert [type(message) for message in sending.told][-1] is StagedCopyBad
    assert sending.content(staged) == (b"older" if there else None)


async def test_bytes_that_are_damaged_on_their_way_are_sent_again(sending: Sending, store: MemoryStore) -> None:
    """The service refuses them, and the copy is what it should be."""
    staged = sending.staged().whole()
    store.damage(2)
    await sending.sent(staged)
    assert not sending.told.of(StagedCopyBad)
    staged = sending.staged("b", BLOCK).whole()
    store.damage(1)
    await sending.sent(staged)
    assert not sending.told.of(StagedCopyBad)


@pytest.mark.parametrize("size", [BLOCK, SIZE])
@pytest.mark.parametrize("what", ["no copy", "no proof", "short copy", "another version", "junk proof", "a folder"])
async def test_a_staged_copy_that_is_not_what_it_should_be_is_told_as_such(sending: Sending, size: int, what: str) -> None:
    staged = sending.staged(size=size).whole()
    match what:
        case "no copy":
            staged.copy.unlink()
        case "no proof":
            staged.proof.unlink()
        case "short copy":
            os.truncate(staged.copy, size - 1)
        case "another version":
            sending.staged(size=size, version=2).whole()
        case "junk proof":
            staged.proof.write_bytes(b"\xff\n")
        case _:
            staged.copy.unlink()
            staged.copy.mkdir()  # it opens, and every read of it fails
    await sending.upload(staged)
    (bad,) = sending.told.of(StagedCopyBad)
    assert bad.reason
    assert not sending.told.of(FileUploaded)


async def test_a_copy_that_is_wiped_while_it_is_sent_is_told(sending: Sending, store: MemoryStore) -> None:
    staged = sending.staged().begun().grown(2)
    upload = sending.upload(staged)
    await sending.until(lambda: len(store.sent) == 2)
    staged.proof.unlink()
    sending.grew(staged)
    await upload
    assert sending.told.of(StagedCopyBad)


@pytest.mark.parametrize("trouble", [no_answer(), answered(500), answered(503), answered(429), answered(408)], ids=str)
async def test_a_block_that_fails_now_and_then_ends_no_attempt(sending: Sending, store: MemoryStore, trouble: Exception) -> None:
    staged = sending.staged().whole()
    store.fail("stage", trouble, None, trouble, None, trouble)  # type: ignore[arg-type]
    await sending.sent(staged)
    assert len(sending.told.of(UploadBegun)) == 1
    assert not sending.told.of(UploadFailed)


async def test_a_block_waits_for_as_long_as_the_service_asks(sending: Sending, store: MemoryStore) -> None:
    loop = asyncio.get_running_loop()
    staged = sending.staged().whole()
    store.fail("stage", answered(503, retry_after=30.0))
    begun = loop.time()
    await sending.sent(staged)
    assert 30 <= loop.time() - begun < 32


async def test_a_request_that_is_refused_for_good_ends_the_attempt_at_once(sending: Sending, store: MemoryStore) -> None:
    staged = sending.staged(size=20 * BLOCK).whole()
    store.fail("stage", answered(403, "AuthorizationFailure"))
    upload = sending.upload(staged)
    await sending.until(lambda: sending.told.of(UploadFailed))
    assert "403" in sending.told.of(UploadFailed)[0].error
    assert len(store.sent) < CONCURRENCY + 1, "its siblings were not sent on"
    assert store.in_flight == 0
    await upload


@pytest.mark.parametrize("size", [BLOCK, SIZE])
async def test_a_peer_that_takes_nothing_ends_the_request(sending: Sending, store: MemoryStore, size: int) -> None:
    loop = asyncio.get_running_loop()
    staged = sending.staged(size=size).whole()
    store.open.clear()
    upload = sending.upload(staged)
    begun = loop.time()
    await sending.until(lambda: sending.told.of(UploadFailed))
    assert "no answer: nothing moved" in sending.told.of(UploadFailed)[0].error
    assert loop.time() - begun < 300
    store.open.set()
    await upload
    assert sending.content(staged) == staged.content
