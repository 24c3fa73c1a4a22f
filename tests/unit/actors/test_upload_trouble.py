"""One file on its way, and what goes wrong with it: of the service, of the line, of the staged copy."""

import asyncio
import os

import pytest

from nfsw.actors.azure_errors import BlobThere
from nfsw.actors.azure_store import crc64_note, source_note
from nfsw.actors.messages import StagedCopyBad, Uploaded, UploadFailed, UploadFile
from nfsw.actors.tree import StagingTree
from tests.support.faketime import settled
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
    store.states_checksum = False
    staged = sending.staged(size=size).whole()
    crc64, source = crc64_note(staged.checksums), source_note(staged.fingerprint)
    match spoilt:
        case "other bytes":
            store.spoil(Kept(b"not it", crc64, None, source))
        case "no hash":
            store.spoil(Kept(staged.content, None, None, source))
        case _:
            store.spoil(Kept(staged.content, crc64, None, None))
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
    assert isinstance(await sending.upload(staged), StagedCopyBad)
    assert sending.content(staged) == (b"older" if there else None)


async def test_a_block_that_was_given_back_and_that_azure_has_lost_is_never_committed_and_the_file_is_staged_again(
    sending: Sending, store: MemoryStore
) -> None:
    """The container was made again, say. What was given back reads as zeros."""
    staged = sending.staged().whole()
    with staged.copy.open("r+b") as copy:
        copy.write(bytes(BLOCK))
    assert isinstance(await sending.upload(staged), StagedCopyBad)
    assert sending.content(staged) is None
    assert store.blobs == {}


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
@pytest.mark.parametrize("what", ["no copy", "no manifest", "short copy", "another version", "junk manifest", "a folder"])
async def test_a_staged_copy_that_is_not_what_it_should_be_is_told_as_such(sending: Sending, size: int, what: str) -> None:
    staged = sending.staged(size=size).whole()
    match what:
        case "no copy":
            staged.copy.unlink()
        case "no manifest":
            staged.lines.unlink()
        case "short copy":
            os.truncate(staged.copy, size - 1)
        case "another version":
            sending.staged(size=size, version=2).whole()
        case "junk manifest":
            staged.lines.write_bytes(b"\xff\n")
        case _:
            staged.copy.unlink()
            staged.copy.mkdir()  # it opens, and every read of it fails
    await sending.upload(staged)
    (bad,) = sending.told.of(StagedCopyBad)
    assert bad.reason
    assert not sending.told.of(Uploaded)


async def test_a_copy_that_is_wiped_while_it_is_sent_is_told(sending: Sending, store: MemoryStore) -> None:
    staged = sending.staged().begun().grown(2)
    upload = sending.upload(staged)
    await sending.until(lambda: len(store.sent) == 2)
    staged.lines.unlink()
    sending.grew(staged)
    await upload
    assert sending.told.of(StagedCopyBad)


@pytest.mark.parametrize("size", [BLOCK, SIZE])
@pytest.mark.parametrize("left", [0, 1])
async def test_a_manifest_that_is_emptied_is_told_and_not_waited_for(sending: Sending, size: int, left: int) -> None:
    """Nothing else will ever be written to it."""
    staged = sending.staged(size=size).begun().grown(1)
    upload = sending.upload(staged)
    sending.grew(staged)
    await settled()
    os.truncate(staged.lines, left)
    sending.finished(staged)
    await upload
    assert sending.told.of(StagedCopyBad)


@pytest.mark.parametrize("size", [BLOCK, SIZE])
@pytest.mark.parametrize("again", [False, True], ids=["told while it waits", "told when it is delivered again"])
async def test_a_staged_file_whose_manifest_has_no_end_is_told_and_not_waited_for(sending: Sending, size: int, again: bool) -> None:
    staged = sending.staged(size=size).begun().grown(size // BLOCK)
    if again:
        upload = sending.hear(UploadFile(staged.file, staged.fingerprint, staged=True))
    else:
        upload = sending.upload(staged)
        await settled()
        sending.finished(staged)
    await upload
    (bad,) = sending.told.of(StagedCopyBad)
    assert "lost its end" in bad.reason


@pytest.mark.parametrize("trouble", [no_answer(), answered(500), answered(503), answered(429), answered(408)], ids=str)
async def test_a_block_that_fails_now_and_then_ends_no_attempt(sending: Sending, store: MemoryStore, trouble: Exception) -> None:
    staged = sending.staged().whole()
    store.fail("stage", trouble, None, trouble, None, trouble)  # type: ignore[arg-type]
    await sending.sent(staged)
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
    failed = await sending.upload(staged)
    assert isinstance(failed, UploadFailed)
    assert "403" in failed.error
    assert len(store.sent) < CONCURRENCY + 1, "its siblings were not sent on"
    assert store.in_flight == 0


@pytest.mark.parametrize("size", [BLOCK, SIZE])
async def test_a_peer_that_takes_nothing_ends_the_request(sending: Sending, store: MemoryStore, size: int) -> None:
    loop = asyncio.get_running_loop()
    staged = sending.staged(size=size).whole()
    store.open.clear()
    begun = loop.time()
    failed = await sending.upload(staged)
    assert isinstance(failed, UploadFailed)
    assert "no answer: nothing moved" in failed.error
    assert loop.time() - begun < 400, "four tries of a minute each, in turn with other blocks: a peer that takes nothing gets two at a time"
    store.open.set()
    await sending.sent(staged)
