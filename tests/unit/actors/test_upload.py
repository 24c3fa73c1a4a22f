"""One file on its way: only what is missing is sent, while it is staged, and only what is read back counts."""

import hashlib
import os

import pytest

from nfsw.actors.azure_errors import ForeignBlocks
from nfsw.actors.azure_store import crc64_note, source_note
from nfsw.actors.files import FileRef
from nfsw.actors.messages import SetUploads, StagedCopyBad, Uploaded, UploadFailed, UploadProgress
from nfsw.actors.tree import StagingTree
from tests.support.faketime import settled
from tests.support.memory_store import REQUEST_ID, Kept, MemoryStore, answered
from tests.support.sending import BLOCK, CONCURRENCY, SINGLE, SIZE, Sending
from tests.support.share import DATE
from tests.support.staged import StagedCopy


@pytest.fixture
async def sending(staging: StagingTree) -> Sending:
    return Sending(staging)


@pytest.fixture
async def store(sending: Sending) -> MemoryStore:
    return sending.store


@pytest.mark.parametrize("size", [0, 1, BLOCK, SINGLE])
async def test_a_small_file_is_one_request_whose_answer_proves_it(sending: Sending, store: MemoryStore, size: int) -> None:
    staged = sending.staged(size=size).whole()
    uploaded = await sending.sent(staged)
    assert store.calls == ["put"]
    assert uploaded == Uploaded(False, uploaded.committed_at, crc64_note(staged.checksums), REQUEST_ID)


@pytest.mark.parametrize("size", [0, 1, BLOCK, SINGLE])
async def test_a_small_file_that_was_sent_by_an_earlier_process_is_not_sent_again(sending: Sending, store: MemoryStore, size: int) -> None:
    staged = sending.staged(size=size).whole()
    await sending.sent(staged)
    store.sent.clear()
    store.calls.clear()
    sending.told.clear()
    sending.restart()
    uploaded = await sending.sent(staged, look_first=True)
    assert store.calls == ["look", "look"]
    assert store.sent == []
    assert not uploaded.overwrote
    assert sum(grew.sent for grew in sending.told.of(UploadProgress)) == 0


async def test_a_file_of_more_than_a_piece_is_one_request_whose_body_is_read_piece_by_piece(sending: Sending, store: MemoryStore) -> None:
    """It does not lie in memory, it moves in the status, and it waits for its turn like a block."""
    await sending.hear(SetUploads(SINGLE * 2, paused=False))  # a quarter of a second of that is a piece
    staged = sending.staged(size=SINGLE).whole()
    await sending.sent(staged)
    assert store.calls == ["put"]
    assert store.most_pieces == 2


@pytest.mark.parametrize("length", [0, 500, SINGLE - 1])
async def test_a_copy_that_ends_while_it_is_sent_in_one_request_is_staged_again(sending: Sending, length: int) -> None:
    await sending.hear(SetUploads(SINGLE * 2, paused=False))
    staged = sending.staged(size=SINGLE).whole()
    os.truncate(staged.copy, length)
    await sending.upload(staged)
    assert "is too short" in str(sending.told.of(StagedCopyBad)[0])


async def test_a_small_file_is_read_back_where_the_answer_proves_nothing(sending: Sending, store: MemoryStore) -> None:
    """An emulator, or a proxy that takes headers out."""
    store.states_checksum = False
    await sending.sent(sending.staged(size=BLOCK).whole())
    assert store.calls == ["put", "look"]


@pytest.mark.parametrize("there", [None, b"older"], ids=["nothing", "an older version"])
async def test_a_small_file_that_was_found_claimed_is_sent_where_another_version_or_nothing_is(
    sending: Sending, store: MemoryStore, there: bytes | None
) -> None:
    staged = sending.staged(size=BLOCK).whole()
    if there:
        store.put_elsewhere(staged.file.blob, there)
    uploaded = await sending.sent(staged, look_first=True)
    assert store.calls == ["look", "put"]
    assert uploaded.overwrote == (there is not None)


async def test_a_small_file_whose_answer_was_lost_is_looked_at_before_its_next_attempt(sending: Sending, store: MemoryStore) -> None:
    staged = sending.staged(size=BLOCK).whole()
    store.lose_answer("put")
    uploaded = await sending.sent(staged)
    assert store.sent == [staged.file.blob]
    assert not uploaded.overwrote


@pytest.mark.parametrize("size", [SINGLE + 1, SIZE, 10 * BLOCK])
async def test_a_larger_file_goes_in_blocks(sending: Sending, store: MemoryStore, size: int) -> None:
    staged = sending.staged(size=size).whole()
    await sending.sent(staged)
    assert sorted(store.sent) == sorted(staged.ids)
    kept = store.blobs[staged.file.blob]
    assert (kept.crc64, kept.md5, kept.source) == (crc64_note(staged.checksums), None, source_note(staged.fingerprint))


@pytest.mark.parametrize("size", [BLOCK, SIZE])
async def test_the_reply_for_a_sent_file_has_its_checksum_and_the_request_that_made_the_blob(
    sending: Sending, store: MemoryStore, size: int
) -> None:
    staged = sending.staged(size=size).whole()
    store.fail("put" if size == BLOCK else "commit", answered(503))
    uploaded = await sending.sent(staged)
    assert (uploaded.crc64, uploaded.request_id) == (crc64_note(staged.checksums), REQUEST_ID)
    sending.told.clear()
    sending.restart()
    found = await sending.sent(staged, look_first=True)
    assert (found.crc64, found.request_id) == (crc64_note(staged.checksums), None)


async def test_no_more_blocks_are_on_their_way_than_allowed(sending: Sending, store: MemoryStore) -> None:
    await sending.sent(sending.staged(size=20 * BLOCK).whole())
    assert store.most_in_flight == CONCURRENCY


async def test_what_is_told_adds_up(sending: Sending) -> None:
    staged = sending.staged().whole()
    await sending.sent(staged)
    grew = sending.told.of(UploadProgress)
    assert sum(message.sent for message in grew) == SIZE
    assert sum(message.resent for message in grew) == 0
    assert sum(message.blocks for message in grew) == 5
    assert [message.held for message in grew] == sorted(message.held for message in grew)
    assert (grew[-1].held, grew[-1].left) == (SIZE, SIZE)


async def test_blocks_are_sent_while_the_file_is_staged(sending: Sending, store: MemoryStore) -> None:
    staged = sending.staged().begun()
    upload = sending.upload(staged)
    for blocks in range(1, 6):
        staged.grown(1)
        sending.grew(staged)
        await sending.until(lambda blocks=blocks: len(store.sent) == blocks)  # type: ignore[misc]
        assert store.sent == staged.ids
    assert "commit" not in store.calls
    staged.finished()
    sending.finished(staged)
    await upload
    assert sending.content(staged) == staged.content


async def test_growth_that_is_told_before_the_uploader_waits_for_it_is_not_missed(sending: Sending, store: MemoryStore) -> None:
    staged = sending.staged().begun()
    upload = sending.upload(staged)
    staged.grown(5).finished()
    for _ in range(3):
        sending.grew(staged)
    sending.finished(staged)
    await upload
    assert sending.content(staged) == staged.content


async def test_a_small_file_waits_until_it_is_whole(sending: Sending, store: MemoryStore) -> None:
    staged = sending.staged(size=SINGLE).begun().grown(1)
    upload = sending.upload(staged)
    sending.grew(staged)
    await settled()
    assert store.calls == []
    staged.grown(1).finished()
    sending.finished(staged)
    await upload
    assert store.calls == ["put"]


@pytest.mark.parametrize("blocks", range(6))
async def test_after_a_kill_only_what_the_service_does_not_hold_is_sent(sending: Sending, store: MemoryStore, blocks: int) -> None:
    staged = sending.staged().whole()
    for block_id, at in list(zip(staged.ids, range(0, SIZE, BLOCK), strict=True))[:blocks]:
        store.stage_elsewhere(staged.file.blob, block_id, staged.content[at : at + BLOCK])
    await sending.sent(staged)
    assert sorted(store.sent) == sorted(staged.ids[blocks:])
    assert sending.told.of(UploadProgress)[-1].held == SIZE


async def test_killed_in_the_middle_it_sends_no_block_again(sending: Sending, store: MemoryStore) -> None:
    staged = sending.staged(size=20 * BLOCK).whole()
    upload = sending.upload(staged)
    await sending.until(lambda: len(store.sent) >= 7)
    await sending.die()
    assert upload.cancelled()
    await sending.sent(staged)
    assert sorted(store.sent) == sorted(staged.ids)


async def test_a_file_that_was_begun_in_blocks_is_finished_in_blocks_also_when_it_would_go_in_one_request(
    sending: Sending, store: MemoryStore
) -> None:
    """Between two starts of the service the limit of a single request may be raised."""
    staged = sending.staged(size=2 * BLOCK).whole()
    store.stage_elsewhere(staged.file.blob, staged.ids[0], staged.content[:BLOCK])
    await sending.sent(staged)
    assert store.calls == ["put", "look", "look", "blocks", "stage", "commit", "look"]
    assert store.sent == [staged.file.blob, staged.ids[1]]


async def test_beside_blocks_of_another_size_that_were_sent_before_the_staged_copy_was_lost_ours_are_sent_and_committed(
    sending: Sending, store: MemoryStore
) -> None:
    staged = sending.staged().whole()
    older = StagedCopy(sending.staging, FileRef(DATE, "s", "older"), staged.content, BLOCK // 2).whole()
    for number, block_id in enumerate(older.ids[:5]):
        store.stage_elsewhere(staged.file.blob, block_id, staged.content[number * BLOCK // 2 : (number + 1) * BLOCK // 2])
    await sending.sent(staged)
    assert sorted(store.sent) == sorted(staged.ids)
    assert "clear_blocks" not in store.calls


async def test_a_block_of_the_right_id_and_another_length_is_not_taken_for_ours(sending: Sending, store: MemoryStore) -> None:
    staged = sending.staged().whole()
    store.stage_elsewhere(staged.file.blob, staged.ids[1], b"cut short")
    await sending.sent(staged)
    assert sorted(store.sent) == sorted(staged.ids)


async def test_a_failed_attempt_is_gone_on_with_and_what_is_resent_is_told(sending: Sending, store: MemoryStore) -> None:
    staged = sending.staged().whole()
    store.lose_answer("stage")  # the first block is there, and nobody knows
    store.fail("commit", answered(500))
    await sending.sent(staged)
    grew = sending.told.of(UploadProgress)
    assert sum(message.sent for message in grew) == SIZE + BLOCK
    assert sum(message.resent for message in grew) == BLOCK
    assert sorted(store.sent) == sorted([*staged.ids, store.sent[0]])


async def test_a_blob_that_was_committed_before_the_kill_is_not_sent_again(sending: Sending, store: MemoryStore) -> None:
    staged = sending.staged().whole()
    await sending.sent(staged)
    store.sent.clear()
    sending.told.clear()
    sending.restart()
    uploaded = await sending.sent(staged)
    assert store.sent == []
    assert not uploaded.overwrote


async def test_a_commit_whose_answer_is_lost_is_not_sent_again(sending: Sending, store: MemoryStore) -> None:
    staged = sending.staged().whole()
    store.lose_answer("commit")
    uploaded = await sending.sent(staged)
    assert sorted(store.sent) == sorted(staged.ids)
    assert not uploaded.overwrote


@pytest.mark.parametrize("size", [BLOCK, SIZE])
async def test_a_blob_of_other_content_is_overwritten_and_that_is_said(
    sending: Sending, store: MemoryStore, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    staged = sending.staged(size=size).whole()
    store.put_elsewhere(staged.file.blob, b"older")
    assert (await sending.sent(staged)).overwrote
    assert caplog.text.count("is overwritten: the last writer wins") == 1


@pytest.mark.parametrize("size", [BLOCK, SIZE])
async def test_a_blob_that_appears_in_the_last_moment_is_overwritten_too(
    sending: Sending, store: MemoryStore, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    staged = sending.staged(size=size).begun()
    upload = sending.upload(staged)
    await settled()
    store.put_elsewhere(staged.file.blob, b"older")
    staged.grown(-(-size // BLOCK)).finished()
    sending.finished(staged)
    await upload
    assert sending.content(staged) == staged.content
    assert "is overwritten" in caplog.text


async def test_an_older_version_of_our_own_is_overwritten(sending: Sending, store: MemoryStore) -> None:
    await sending.sent(sending.staged(version=1).whole())
    sending.told.clear()
    assert (await sending.sent(sending.staged(version=2).whole())).overwrote


@pytest.mark.parametrize("foreign", [["short"], ["y" * 36], ["y" * 64, "z" * 64]], ids=["short", "shorter", "longer"])
async def test_beside_blocks_of_another_program_ours_get_ids_that_fit_and_the_commit_drops_theirs(
    sending: Sending, store: MemoryStore, foreign: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """To clear the name would make an empty blob for an instant."""
    caplog.set_level("INFO")
    staged = sending.staged().whole()
    for block_id in foreign:
        store.stage_elsewhere(staged.file.blob, block_id, b"theirs")
    await sending.sent(staged)
    assert "clear_blocks" not in store.calls
    assert len(store.sent) == 5
    assert {len(block_id) for block_id in store.sent} == {len(foreign[0])}
    assert caplog.text.count("somebody else has left blocks") == 1
    assert not store.uncommitted.get(staged.file.blob)


@pytest.mark.parametrize(("foreign", "resent"), [("y" * 64, 0), ("y" * 36, 3)], ids=["longer ids name the content", "shorter ones do not"])
async def test_what_was_sent_beside_blocks_of_another_program_is_gone_on_with_where_its_ids_name_the_content(
    sending: Sending, store: MemoryStore, foreign: str, resent: int
) -> None:
    staged = sending.staged().begun().grown(3)
    store.stage_elsewhere(staged.file.blob, foreign, b"theirs")
    upload = sending.upload(staged)
    await sending.until(lambda: len(store.sent) == 3)
    await sending.die()
    assert upload.cancelled()
    staged.grown(2).finished()
    await sending.sent(staged)
    assert len(store.sent) == 5 + resent


@pytest.mark.parametrize("why", ["ids that are too short", "too many blocks"])
async def test_blocks_of_another_program_that_leave_no_room_are_cleared_once_and_ours_sent(
    sending: Sending, store: MemoryStore, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    staged = sending.staged().whole()
    if why == "too many blocks":
        store.fail("stage", ForeignBlocks("HTTP 409 BlockCountExceedsLimit", status=409))
    else:
        store.stage_elsewhere(staged.file.blob, "abcd", b"theirs")
    await sending.sent(staged)
    assert store.calls.count("clear_blocks") == 1
    assert not sending.told.of(UploadFailed), "within one attempt"
    assert caplog.text.count("clearing blocks") == 1


@pytest.mark.parametrize("size", [BLOCK, SIZE])
async def test_the_files_md5_goes_with_it_where_it_was_computed(sending: Sending, store: MemoryStore, size: int) -> None:
    staged = sending.staged(size=size)
    staged.content_md5 = True
    await sending.sent(staged.whole())
    assert store.blobs[staged.file.blob].md5 == hashlib.md5(staged.content).digest()


@pytest.mark.parametrize("size", [BLOCK, SIZE])
async def test_an_md5_that_does_not_come_back_is_missed_once_and_makes_nothing_sent_again(
    sending: Sending, store: MemoryStore, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    """There are proxies that take it out of the answer to a HEAD."""
    store.tells_md5 = False
    for name in "abc":
        staged = sending.staged(name, size=size)
        staged.content_md5 = True
        await sending.sent(staged.whole())
    assert len(store.sent) == 3 * (1 if size == BLOCK else 5)
    assert caplog.text.count("Content-MD5 was sent and does not come back") == 1


@pytest.mark.parametrize("size", [BLOCK, SIZE])
async def test_a_blob_with_another_md5_is_written_again(sending: Sending, store: MemoryStore, size: int) -> None:
    """Bodies are checked by their CRC64 alone, so the header may have suffered."""
    staged = sending.staged(size=size)
    staged.content_md5 = True
    staged.whole()
    right = (staged.content, crc64_note(staged.checksums), source_note(staged.fingerprint))
    store.spoil(Kept(right[0], right[1], b"x" * 16, right[2]))
    await sending.sent(staged)
    assert store.blobs[staged.file.blob].md5 == hashlib.md5(staged.content).digest()


@pytest.mark.parametrize("size", [BLOCK, SIZE])
async def test_a_service_that_takes_no_crc64_is_sent_an_md5(sending: Sending, store: MemoryStore, size: int) -> None:
    store.knows_crc64 = False
    staged = sending.staged(size=size).whole()
    await sending.sent(staged)
    assert len(store.sent) == len(set(store.sent)), "nothing is sent in vain first"
    assert store.blobs[staged.file.blob].crc64 == crc64_note(staged.checksums)


@pytest.mark.parametrize("size", [BLOCK, SIZE])
async def test_a_flipped_byte_is_not_sent_under_an_md5_of_its_own(sending: Sending, store: MemoryStore, size: int) -> None:
    """The MD5 is computed from the copy, which has to be what was read from NFS."""
    store.knows_crc64 = False
    staged = sending.staged(size=size).whole()
    staged.flip(size // 2)
    await sending.upload(staged)
    assert sending.told.of(StagedCopyBad)
    assert sending.content(staged) is None


async def test_a_blob_of_an_older_release_that_has_no_crc64_is_sent_again(sending: Sending, store: MemoryStore) -> None:
    """Nothing proves that it is the file: it was committed, and its Collector never came to delete the source."""
    staged = sending.staged().whole()
    md5 = hashlib.md5(staged.content).digest()
    store.blobs[staged.file.blob] = Kept(staged.content, None, md5, source_note(staged.fingerprint))
    await sending.sent(staged)
    assert store.blobs[staged.file.blob].crc64 == crc64_note(staged.checksums)


async def test_blocks_of_an_older_release_are_in_no_way(sending: Sending, store: MemoryStore, caplog: pytest.LogCaptureFixture) -> None:
    """Its ids were a number of five digits and an MD5, as long as ours: they are left out, and dropped by the commit."""
    staged = sending.staged().whole()
    store.stage_elsewhere(staged.file.blob, f"00000{hashlib.md5(staged.content[:BLOCK]).hexdigest()}", staged.content[:BLOCK])
    await sending.sent(staged)
    assert "clear_blocks" not in store.calls
    assert not caplog.messages
    assert not store.uncommitted.get(staged.file.blob)
