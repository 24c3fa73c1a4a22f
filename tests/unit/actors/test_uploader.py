"""The Uploader among several files: who may send, what each attempt is answered with, and which file is withdrawn."""

import asyncio
import re
import time

import pytest

from nfsw.actors.azure_errors import ContainerMissing, StoreTrouble
from nfsw.actors.messages import (
    AzureAnswers,
    ClockMeasured,
    ContainerReady,
    ContainerRefused,
    Outage,
    SetUploads,
    StagedCopyBad,
    Uploaded,
    UploadFailed,
    UploadProgress,
    Withdrawn,
    WithdrawUpload,
)
from nfsw.actors.tree import StagingTree
from tests.support.faketime import settled
from tests.support.memory_store import Kept, MemoryStore, answered, no_answer
from tests.support.sending import BLOCK, CONCURRENCY, SIZE, WORKERS, Sending


@pytest.fixture
async def sending(staging: StagingTree) -> Sending:
    return Sending(staging)


@pytest.fixture
async def store(sending: Sending) -> MemoryStore:
    return sending.store


async def test_at_its_start_it_makes_sure_of_the_container(sending: Sending, store: MemoryStore) -> None:
    await sending.start()
    assert sending.told == [ContainerReady()]
    assert store.container


async def test_what_time_it_is_for_azure_is_told_before_anything_may_be_claimed(sending: Sending, store: MemoryStore) -> None:
    store.ahead_s = 86_400.0
    await sending.start()
    measured, ready = sending.told
    assert isinstance(measured, ClockMeasured)
    assert time.time() - measured.azure == pytest.approx(86_400, abs=2)
    assert time.monotonic() - measured.at == pytest.approx(0, abs=0.1)
    assert ready == ContainerReady()


async def test_while_the_clock_is_off_azure_is_asked_for_the_time_and_else_not(
    sending: Sending, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is claimed then, so no upload asks."""
    monkeypatch.setattr(time, "time", lambda: 1e9 + time.monotonic())
    store.ahead_s = 0.0
    await sending.start()
    await asyncio.sleep(10)
    await sending.uploader.on_tick()
    assert "probe" not in store.calls
    store.ahead_s = -3600.0
    await sending.sent(sending.staged().whole())
    await asyncio.sleep(10)
    store.ahead_s = 0.0
    await sending.uploader.on_tick()
    assert store.calls[-1] == "probe"
    errors = [time.time() - (told.azure + time.monotonic() - told.at) for told in sending.told.of(ClockMeasured)]
    assert errors == [pytest.approx(0, abs=2), pytest.approx(-3600, abs=2), pytest.approx(0, abs=2)]


async def test_an_azure_that_cannot_be_asked_for_the_time_is_no_trouble(sending: Sending, store: MemoryStore) -> None:
    store.ahead_s = 3600.0
    await sending.start()
    store.down = no_answer()
    await sending.uploader.on_tick()


async def test_a_refusal_while_the_clock_is_off_says_so(sending: Sending, store: MemoryStore) -> None:
    store.ahead_s, store.down = 3600.0, answered(403, "AuthenticationFailed")
    await sending.start()
    (refused,) = sending.told.of(ContainerRefused)
    assert re.fullmatch(r"HTTP 403 AuthenticationFailed; this machine's clock is 3[56]\d\d s ahead of Azure's", refused.reason)


async def test_a_container_that_cannot_be_had_is_told_with_the_reason(sending: Sending, store: MemoryStore) -> None:
    store.down = answered(403, "AuthenticationFailed")
    await sending.start()
    assert sending.told == [ContainerRefused("HTTP 403 AuthenticationFailed")]


@pytest.mark.parametrize("size", [BLOCK, SIZE])
async def test_a_container_that_is_deleted_is_made_again_once_and_that_is_said(
    sending: Sending, store: MemoryStore, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    await sending.start()
    store.delete_container()
    files = [sending.staged(str(number), size).whole() for number in range(3 * WORKERS)]
    await asyncio.gather(*(sending.sent(staged) for staged in files))
    assert [record.levelname for record in caplog.records if record.getMessage().startswith("the container was deleted")] == ["ERROR"]
    assert "the container was deleted; it has been made again" in sending.told.of(UploadFailed)[0].error


async def test_a_container_that_is_deleted_with_the_blocks_of_a_file_is_made_again_and_the_file_sent_again(
    sending: Sending, store: MemoryStore
) -> None:
    staged = sending.staged().begun().grown(2)
    upload = sending.upload(staged)
    await sending.until(lambda: len(store.sent) == 2)
    store.delete_container()
    staged.grown(3).finished()
    sending.finished(staged)
    assert isinstance(await upload, UploadFailed)
    await sending.sent(staged)
    assert sorted(store.sent) == sorted([*staged.ids[:2], *staged.ids])


async def test_a_container_that_was_made_just_now_and_is_not_found_yet_is_asked_for_again(
    sending: Sending, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    await sending.start()
    store.fail("put", *[ContainerMissing("HTTP 404 ContainerNotFound", status=404)] * 2)
    await sending.sent(sending.staged(size=BLOCK).whole())
    assert "deleted" not in caplog.text
    assert "the container was not found, and is there now" in sending.told.of(UploadFailed)[0].error


async def test_a_container_that_cannot_be_made_again_is_told_with_the_reason(sending: Sending, store: MemoryStore) -> None:
    store.delete_container()
    store.fail("ensure_container", *[answered(403, "AuthorizationFailure")] * 3)
    await sending.sent(sending.staged().whole())
    assert [failed.error for failed in sending.told.of(UploadFailed)][:3] == [
        "the container is not there, and cannot be made again: HTTP 403 AuthorizationFailure"
    ] * 3


async def test_files_are_sent_so_many_at_a_time(sending: Sending, store: MemoryStore) -> None:
    files = [sending.staged(str(number), 20 * BLOCK).whole() for number in range(5)]
    await asyncio.gather(*(sending.upload(staged) for staged in files))
    assert store.most_in_flight == WORKERS * CONCURRENCY
    assert all(sending.content(staged) == staged.content for staged in files)
    assert set(sending.uploaded[:WORKERS]) == {staged.file.name for staged in files[:WORKERS]}


async def test_a_file_that_waits_for_staging_holds_no_slot(sending: Sending) -> None:
    waiting = [sending.staged(f"waiting {number}").begun().grown(number) for number in range(3 * WORKERS)]
    uploads = [sending.upload(staged) for staged in waiting]
    await settled()
    await asyncio.sleep(1)
    await sending.sent(sending.staged("whole").whole())
    for number, staged in enumerate(waiting):
        staged.grown(5 - number).finished() if number < 5 else staged.finished()
        sending.finished(staged)
    await asyncio.gather(*uploads)
    assert all(sending.content(staged) == staged.content for staged in waiting)


async def test_a_failed_attempt_gives_its_slot_back(sending: Sending, store: MemoryStore) -> None:
    failing = [sending.staged(f"failing {number}").whole() for number in range(3 * WORKERS)]
    store.fail("look", *[answered(403)] * len(failing))
    replies = await asyncio.gather(*(sending.upload(staged) for staged in failing))
    assert {type(reply) for reply in replies} == {UploadFailed}
    await sending.sent(sending.staged("well").whole())


async def test_a_file_that_failed_waits_behind_fresh_ones(sending: Sending, store: MemoryStore) -> None:
    store.open.clear()  # all slots are taken for a while
    sent = [sending.upload(sending.staged(f"before {number}").whole()) for number in range(WORKERS)]
    await settled()
    sent.append(sending.upload(sending.staged("failed").whole(), attempt=2))
    await settled()
    sent += [sending.upload(sending.staged(str(number)).whole()) for number in range(WORKERS)]
    await asyncio.sleep(30)
    store.open.set()
    await asyncio.gather(*sent)
    assert sending.uploaded[-1] == "failed"


@pytest.mark.parametrize("size", [BLOCK, SIZE])
async def test_an_attempt_has_one_reply_behind_all_news_of_it_and_no_other_attempt_follows(
    sending: Sending, store: MemoryStore, size: int
) -> None:
    """When the next one comes is decided in the main process."""
    store.fail("put" if size == BLOCK else "commit", answered(500, "InternalError"))
    staged = sending.staged(size=size).whole()
    failed = await sending.upload(staged)
    assert failed == UploadFailed("HTTP 500 InternalError", Outage.AZURE)
    told, calls = sending.told.taken(), len(store.calls)
    assert {type(message) for message in told[:-1]} <= {UploadProgress}
    assert told[-1] == failed
    await asyncio.sleep(3600)
    assert store.calls[calls:] == ["probe"]
    assert sending.told == []
    await sending.upload(staged, attempt=2, look_first=True)
    assert isinstance(sending.told[-1], Uploaded)
    assert len(sending.told.of(Uploaded)) == 1


@pytest.mark.parametrize(
    ("trouble", "reply"),
    [
        (no_answer(), UploadFailed("no answer: connection reset", Outage.AZURE)),
        (answered(503, "ServerBusy", retry_after=77.0), UploadFailed("HTTP 503 ServerBusy", Outage.AZURE, retry_after_s=77.0)),
        (answered(429, "TooMany", retry_after=7.0), UploadFailed("HTTP 429 TooMany", retry_after_s=7.0)),
        (answered(409, "BlobImmutableDueToPolicy"), UploadFailed("HTTP 409 BlobImmutableDueToPolicy", refused=True, for_good=True)),
        (answered(403, "AuthorizationFailure"), UploadFailed("HTTP 403 AuthorizationFailure", refused=True)),
        (answered(401, "NoAuthenticationInformation"), UploadFailed("HTTP 401 NoAuthenticationInformation", refused=True)),
    ],
    ids=["no answer", "of Azure's own, with a word when to come again", "too many", "for good", "no right", "no credentials"],
)
async def test_a_failure_says_what_the_next_attempt_waits_for(
    sending: Sending, store: MemoryStore, trouble: StoreTrouble, reply: UploadFailed
) -> None:
    store.fail("look", trouble)
    assert await sending.upload(sending.staged().whole()) == reply


@pytest.mark.parametrize("size", [BLOCK, SIZE])
async def test_after_a_refusal_the_service_is_asked_without_a_body_whether_it_allows_it(
    sending: Sending, store: MemoryStore, size: int
) -> None:
    store.fail("may_write", answered(409, "BlobImmutableDueToPolicy"))
    staged = sending.staged(size=size).whole()
    refused = await sending.upload(staged, attempt=2, refused=True)
    assert refused == UploadFailed("HTTP 409 BlobImmutableDueToPolicy", refused=True, for_good=True)
    assert store.calls == ["may_write"]
    assert isinstance(await sending.upload(staged, attempt=3, refused=True), Uploaded)
    assert store.calls[1] == "may_write"


async def fails(sending: Sending, name: str = "a") -> UploadFailed:
    reply = await sending.upload(sending.staged(name).whole())
    assert isinstance(reply, UploadFailed)
    return reply


async def test_after_an_outage_it_says_soon_that_azure_answers_and_once(sending: Sending, store: MemoryStore) -> None:
    await sending.start()
    store.down = no_answer()
    for number in range(6):
        await fails(sending, str(number))
    await asyncio.sleep(3600)
    assert not sending.told.of(AzureAnswers)
    store.down = None
    await asyncio.sleep(10)
    assert len(sending.told.of(AzureAnswers)) == 1
    await asyncio.sleep(3600)
    assert len(sending.told.of(AzureAnswers)) == 1


async def test_after_a_failure_of_one_file_alone_it_says_nothing_of_the_kind(sending: Sending, store: MemoryStore) -> None:
    """The service answers whenever it is asked: the file would be tried at every probe, and not after its pauses."""
    await sending.start()
    for _ in range(12):
        store.fail("look", answered(500))
        await fails(sending)
        await asyncio.sleep(60)
    assert not sending.told.of(AzureAnswers)


@pytest.mark.parametrize("status", [403, 409, 429])
async def test_a_refusal_is_no_outage(sending: Sending, store: MemoryStore, status: int) -> None:
    store.fail("look", answered(status))
    await fails(sending)
    await asyncio.sleep(60)
    assert "probe" not in store.calls


async def test_an_attempt_that_hangs_to_the_end_of_an_outage_has_it_said_again(sending: Sending, store: MemoryStore) -> None:
    """When it fails, the service has been seen to answer already, and the file would sit out its pause."""
    await sending.start()
    store.down = no_answer()
    await fails(sending)
    await asyncio.sleep(10)
    store.down, store.answering = None, False
    hangs = sending.upload(sending.staged("hangs").whole())
    await settled()
    store.answering = True
    await sending.until(lambda: sending.told.of(AzureAnswers))
    assert not hangs.done()
    sending.told.clear()
    assert isinstance(await hangs, UploadFailed)
    await asyncio.sleep(10)
    assert [type(message) for message in sending.told] == [UploadFailed, AzureAnswers], "in this order"


async def test_a_service_that_is_away_is_asked_now_and_then_and_not_more(sending: Sending, store: MemoryStore) -> None:
    await sending.start()
    store.down = no_answer()
    for number in range(10):
        await fails(sending, str(number))
    await asyncio.sleep(1000)
    assert 1000 / 10 < store.calls.count("probe") < 1000 / 2
    store.down = None
    await asyncio.sleep(10)
    probes = store.calls.count("probe")
    await asyncio.sleep(1000)
    assert store.calls.count("probe") == probes, "it answers"


async def test_a_staged_copy_that_is_bad_ends_the_attempt_and_is_sent_once_it_is_staged_again(sending: Sending) -> None:
    staged = sending.staged().whole()
    staged.flip(0)
    assert isinstance(await sending.upload(staged), StagedCopyBad)
    await sending.sent(sending.staged().whole())


async def test_a_withdrawn_file_is_sent_no_further(sending: Sending, store: MemoryStore) -> None:
    staged = sending.staged(size=50 * BLOCK).whole()
    upload = sending.upload(staged)
    await sending.until(lambda: len(store.sent) >= 5)
    await sending.hear(WithdrawUpload(staged.file))
    assert upload.done()
    assert upload.result() == Withdrawn()
    sent = len(store.sent)
    await asyncio.sleep(100)
    assert len(store.sent) == sent
    assert not sending.told.of(Uploaded)
    assert store.in_flight == 0


@pytest.mark.parametrize(("withdrawn", "resent"), [(False, BLOCK), (True, 0)], ids=["another attempt", "withdrawn meanwhile"])
async def test_what_earlier_attempts_have_sent_is_remembered_until_the_file_is_withdrawn(
    sending: Sending, store: MemoryStore, withdrawn: bool, resent: int
) -> None:
    """What leaves again is counted as sent again; another version of the file is another matter."""
    staged = sending.staged(size=BLOCK).whole()
    store.spoil(Kept(b"not it", None, None, None))
    store.states_checksum = False
    assert isinstance(await sending.upload(staged), UploadFailed)
    if withdrawn:
        await sending.hear(WithdrawUpload(staged.file))
    store.blobs.clear()
    await sending.upload(staged, attempt=2, look_first=True)
    progress = sending.told.of(UploadProgress)
    assert (sum(news.sent for news in progress), sum(news.resent for news in progress)) == (2 * BLOCK, resent)


async def test_withdrawn_files_give_their_slots_back(sending: Sending, store: MemoryStore) -> None:
    store.open.clear()
    files = [sending.staged(str(number)).whole() for number in range(2 * WORKERS)]
    uploads = [sending.upload(staged) for staged in files]
    await settled()
    for staged in files:
        await sending.hear(WithdrawUpload(staged.file))
    await asyncio.gather(*uploads)
    store.open.set()
    await sending.sent(sending.staged("next").whole())


async def test_to_withdraw_what_is_not_being_sent_is_nothing_to_do(sending: Sending) -> None:
    await sending.hear(WithdrawUpload(sending.staged().file))
    assert sending.told == []


async def test_a_file_that_is_told_again_is_begun_again_and_once(sending: Sending, store: MemoryStore) -> None:
    """The Claimer has died and stages it again."""
    staged = sending.staged(size=20 * BLOCK).begun().grown(3)
    first = sending.upload(staged)
    await sending.until(lambda: len(store.sent) == 3)
    second = sending.upload(staged)
    await settled()
    assert first.done()
    staged.grown(17).finished()
    sending.finished(staged)
    assert isinstance(await second, Uploaded)
    assert first.result() == Withdrawn()
    assert sorted(store.sent) == sorted(staged.ids)
    assert len(sending.told.of(Uploaded)) == 1


@pytest.mark.parametrize("told", [1, 2, 3])
async def test_a_file_that_is_withdrawn_while_it_is_begun_again_is_withdrawn(sending: Sending, store: MemoryStore, told: int) -> None:
    """Ending what went before takes a moment, in which the next words are heard already."""
    staged = sending.staged(size=20 * BLOCK).whole()
    store.open.clear()
    heard = [sending.upload(staged)]
    await settled()
    heard += [sending.upload(staged) for _ in range(told)]
    heard += [sending.hear(WithdrawUpload(staged.file))]
    await settled()
    store.open.set()
    await asyncio.sleep(100)
    assert {task.result() for task in heard} == {Withdrawn(), None}
    assert not sending.told.of(Uploaded)
    assert store.in_flight == 0


async def test_a_file_that_is_withdrawn_and_told_again_is_begun_when_nothing_of_it_is_on_its_way_any_more(
    sending: Sending, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ending may take a while: an answer on its way to us is waited for."""
    ending = asyncio.Event()
    looks: list[str] = []

    async def slow_to_end(blob: str) -> None:
        looks.append(blob)
        try:
            await asyncio.Event().wait()
        finally:
            await ending.wait()

    monkeypatch.setattr(store, "look", slow_to_end)
    staged = sending.staged(size=20 * BLOCK).whole()
    heard = [sending.upload(staged)]
    await settled()
    heard.append(sending.hear(WithdrawUpload(staged.file)))
    await settled()
    heard.append(sending.upload(staged))
    await settled()
    assert looks == [staged.file.blob]
    monkeypatch.undo()
    ending.set()
    await asyncio.gather(*heard)
    assert sending.content(staged) == staged.content


@pytest.mark.parametrize("told", [2, 3, 4])
async def test_a_file_that_is_told_in_quick_succession_is_sent_once(sending: Sending, store: MemoryStore, told: int) -> None:
    staged = sending.staged(size=20 * BLOCK).begun().grown(3)
    heard = [sending.upload(staged)]
    await settled()
    heard += [sending.upload(staged) for _ in range(told)]
    await asyncio.sleep(1)
    staged.grown(17).finished()
    sending.finished(staged)
    await asyncio.wait_for(asyncio.gather(*heard), 100)
    assert len(sending.told.of(Uploaded)) == 1


async def test_a_pause_lets_nothing_through_and_loses_nothing(sending: Sending, store: MemoryStore) -> None:
    staged = sending.staged(size=50 * BLOCK).whole()
    upload = sending.upload(staged)
    await sending.until(lambda: len(store.sent) >= 5)
    before = len(store.sent)
    await sending.hear(SetUploads(None, paused=True))
    await asyncio.sleep(1)
    sent = len(store.sent)
    assert sent <= before + CONCURRENCY < 50
    small = sending.upload(sending.staged("small", BLOCK).whole())
    await asyncio.sleep(3600)
    assert len(store.sent) == sent
    await sending.hear(SetUploads(None, paused=False))
    await asyncio.gather(upload, small)
    assert len(store.sent) == 51, "no block twice"
    assert not sending.told.of(UploadFailed)


async def test_the_limit_holds_for_small_files_too(sending: Sending) -> None:
    """Each could go in one request, and one of them is seconds of the limit."""
    rate = 300
    await sending.hear(SetUploads(rate, paused=False))
    uploads = [sending.upload(sending.staged(str(number), 2 * BLOCK).whole()) for number in range(20)]
    told: list[int] = []
    for _ in range(10):
        await asyncio.sleep(10)
        told.append(sum(message.sent for message in sending.told.of(UploadProgress)))
    assert told[-1] == pytest.approx(100 * rate, rel=0.1)
    for uploading in uploads:
        uploading.cancel()
    await asyncio.gather(*uploads, return_exceptions=True)


async def test_an_error_that_nobody_foresaw_ends_the_process(sending: Sending, store: MemoryStore) -> None:
    """The host lets it crash; the supervisor starts another."""
    store.down = KeyError("k")  # type: ignore[assignment]
    with pytest.raises(KeyError):
        await sending.upload(sending.staged(size=SIZE).whole())
