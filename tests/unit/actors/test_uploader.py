"""The Uploader among several files: who may send, who waits, for how long, and who is let go."""

import asyncio
import re
import time

import pytest

from nfsw.actors.azure_errors import ContainerMissing
from nfsw.actors.messages import (
    Abandon,
    ClockMeasured,
    ContainerReady,
    ContainerRefused,
    FileUploaded,
    SetUploads,
    StagedCopyBad,
    UploadBegun,
    UploadFailed,
    UploadGrew,
)
from nfsw.actors.tree import StagingTree
from tests.support.faketime import settled
from tests.support.memory_store import MemoryStore, answered, no_answer
from tests.support.sending import BLOCK, CONCURRENCY, SIZE, WORKERS, Sending

#: The longest pause between two attempts, in seconds.
CAP_S = 300.0


@pytest.fixture
async def sending(staging: StagingTree) -> Sending:
    return Sending(staging)


@pytest.fixture
async def store(sending: Sending) -> MemoryStore:
    return sending.store


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_at_its_start_it_makes_sure_of_the_container(sending: Sending, store: MemoryStore) -> None:
    await sending.uploader.on_start(sending.told)
    assert sending.told == [ContainerReady()]
    assert store.container


async def test_what_time_it_is_for_azure_is_told_before_anything_may_be_claimed(sending: Sending, store: MemoryStore) -> None:
    store.ahead_s = 86_400.0
    await sending.uploader.on_start(sending.told)
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
    await sending.uploader.on_start(sending.told)
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
    await sending.uploader.on_start(sending.told)
    store.down = no_answer()
    await sending.uploader.on_tick()


async def test_a_refusal_while_the_clock_is_off_says_so(sending: Sending, store: MemoryStore) -> None:
    store.ahead_s, store.down = 3600.0, answered(403, "AuthenticationFailed")
    await sending.uploader.on_start(sending.told)
    (refused,) = sending.told.of(ContainerRefused)
    assert re.fullmatch(r"HTTP 403 AuthenticationFailed; this machine's clock is 3[56]\d\d s ahead of Azure's", refused.reason)


async def test_a_container_that_cannot_be_had_is_told_with_the_reason(sending: Sending, store: MemoryStore) -> None:
    store.down = answered(403, "AuthenticationFailed")
    await sending.uploader.on_start(sending.told)
    assert sending.told == [ContainerRefused("HTTP 403 AuthenticationFailed")]


@pytest.mark.parametrize("size", [BLOCK, SIZE])
async def test_a_container_that_is_deleted_is_made_again_once_and_that_is_said(
    sending: Sending, store: MemoryStore, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    await sending.uploader.on_start(sending.told)
    store.delete_container()
    files = [sending.staged(str(number), size).whole() for number in range(3 * WORKERS)]
    await asyncio.gather(*(sending.upload(staged) for staged in files))
    assert all(sending.content(staged) == staged.content for staged in files)
    assert [record.levelname for record in caplog.records if record.getMessage().startswith("the container was deleted")] == ["ERROR"]
    assert "the container was deleted; it has been made again" in sending.told.of(UploadFailed)[0].error
    assert {failed.attempt for failed in sending.told.of(UploadFailed)} == {1}


async def test_a_container_that_is_deleted_with_the_blocks_of_a_file_is_made_again_and_the_file_sent_again(
    sending: Sending, store: MemoryStore
) -> None:
    staged = sending.staged().begun().grown(2)
    upload = sending.upload(staged)
    await sending.until(lambda: len(store.sent) == 2)
    store.delete_container()
    staged.grown(3).finished()
    sending.finished(staged)
    await upload
    assert sending.content(staged) == staged.content
    assert sorted(store.sent) == sorted([*staged.ids[:2], *staged.ids])


async def test_a_container_that_was_made_just_now_and_is_not_found_yet_is_asked_for_again_soon(
    sending: Sending, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    await sending.uploader.on_start(sending.told)
    store.fail("put", *[ContainerMissing("HTTP 404 ContainerNotFound", status=404)] * 2)
    begun = now()
    await sending.sent(sending.staged(size=BLOCK).whole())
    assert now() - begun < 5
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
    assert {message.file for message in sending.told.of(FileUploaded)[:WORKERS]} == {staged.file for staged in files[:WORKERS]}


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


async def test_a_file_that_waits_for_its_next_attempt_holds_no_slot(sending: Sending, store: MemoryStore) -> None:
    failing = [sending.staged(f"failing {number}").whole() for number in range(3 * WORKERS)]
    store.fail("look", *[answered(403)] * len(failing))
    uploads = [sending.upload(staged) for staged in failing]
    await sending.until(lambda: len(sending.told.of(UploadFailed)) == len(failing))
    begun = now()
    await sending.sent(sending.staged("well").whole())
    assert now() - begun < 0.4, "less than the shortest pause"
    await asyncio.gather(*uploads)


async def test_a_file_that_failed_waits_behind_fresh_ones(sending: Sending, store: MemoryStore) -> None:
    failed = sending.staged("failed").whole()
    store.fail("look", answered(403))
    upload = sending.upload(failed)
    await sending.until(lambda: sending.told.of(UploadFailed))
    store.open.clear()  # all slots are taken for a while
    fresh = [sending.staged(str(number)).whole() for number in range(2 * WORKERS)]
    uploads = [sending.upload(staged) for staged in fresh]
    await asyncio.sleep(30)
    store.open.set()
    await asyncio.gather(upload, *uploads)
    assert sending.told.of(FileUploaded)[-1].file == failed.file


async def test_the_pauses_grow_with_jitter_up_to_five_minutes_and_go_on_for_ever(sending: Sending, store: MemoryStore) -> None:
    attempts = 20
    store.fail("look", *[answered(403)] * attempts)
    await sending.sent(sending.staged().whole())
    pauses = [message.retry_in_s for message in sending.told.of(UploadFailed)]
    assert len(pauses) == attempts
    for number, pause in enumerate(pauses):
        bound = min(2.0**number, CAP_S)
        assert bound / 2 <= pause <= bound
    assert len(set(pauses)) == attempts
    assert [message.attempt for message in sending.told.of(UploadBegun)] == list(range(1, attempts + 2))


async def test_a_pause_is_kept(sending: Sending, store: MemoryStore) -> None:
    store.fail("look", *[answered(403)] * 8)
    begun = now()
    await sending.sent(sending.staged().whole())
    pauses = sum(message.retry_in_s for message in sending.told.of(UploadFailed))
    assert now() - begun == pytest.approx(pauses, abs=1)


@pytest.mark.parametrize("size", [BLOCK, SIZE])
async def test_after_a_refusal_the_service_is_asked_without_a_body_until_it_allows_it(
    sending: Sending, store: MemoryStore, size: int
) -> None:
    request = "put" if size == BLOCK else "stage"
    store.fail(request, answered(403, "AuthorizationPermissionMismatch"))
    store.fail("may_write", *[answered(403, "AuthorizationPermissionMismatch")] * 12)
    upload = sending.upload(sending.staged(size=size).whole())
    await sending.until(lambda: sending.told.of(UploadFailed))
    bodies = store.calls.count(request)
    await sending.until(lambda: store.calls.count("may_write") == 12)
    assert store.calls.count(request) == bodies
    await upload
    assert store.calls.count("may_write") == 13
    assert max(failed.retry_in_s for failed in sending.told.of(UploadFailed)) <= CAP_S, "it costs nothing to ask for a right"


async def test_a_refusal_that_only_people_can_lift_is_followed_by_pauses_of_up_to_an_hour(sending: Sending, store: MemoryStore) -> None:
    """Each try takes the body along, since no other request is known to be refused for the same reason."""
    store.fail("put", *[answered(409, "BlobImmutableDueToPolicy")] * 10)
    await sending.sent(sending.staged(size=BLOCK).whole())
    failed = sending.told.of(UploadFailed)
    assert {message.error for message in failed} == {"HTTP 409 BlobImmutableDueToPolicy"}
    pauses = [message.retry_in_s for message in failed]
    assert 30 <= pauses[0] <= 60
    assert 1800 <= pauses[-1] <= 3600


async def test_the_service_may_ask_for_a_longer_pause(sending: Sending, store: MemoryStore) -> None:
    store.fail("look", answered(429, retry_after=77.0))
    begun = now()
    await sending.sent(sending.staged().whole())
    assert sending.told.of(UploadFailed)[0].retry_in_s == 77.0
    assert 77 <= now() - begun < 78


async def test_an_answer_that_asks_for_weeks_gets_the_longest_pause(sending: Sending, store: MemoryStore) -> None:
    store.fail("look", answered(503, retry_after=4_000_000.0))
    begun = now()
    await sending.sent(sending.staged().whole())
    assert sending.told.of(UploadFailed)[0].retry_in_s == CAP_S
    assert now() - begun < CAP_S + 1


async def outage(sending: Sending, seconds: float, at_its_end: str = "answers") -> None:
    """Nothing answers, for so long that the pauses have grown."""
    sending.store.down = no_answer()
    await asyncio.sleep(seconds)
    sending.store.down = None
    sending.store.answering = at_its_end == "answers"


async def test_after_an_outage_all_files_go_on_soon(sending: Sending) -> None:
    """They need not sit out their pauses, which are minutes by then."""
    files = [sending.staged(str(number)).whole() for number in range(6)]
    uploads = [sending.upload(staged) for staged in files]
    await outage(sending, 3600)
    ended = now()
    await asyncio.gather(*uploads)
    assert now() - ended < 10


async def test_an_attempt_that_hangs_to_the_end_of_an_outage_is_followed_by_one_soon(sending: Sending, store: MemoryStore) -> None:
    """When it fails, the service answers again, and nobody has seen it return."""
    upload = sending.upload(sending.staged().whole())
    await outage(sending, 3000, at_its_end="hangs")
    begun = len(sending.told.of(UploadBegun))
    await sending.until(lambda: len(sending.told.of(UploadBegun)) > begun)
    store.answering = True
    await sending.until(lambda: len(sending.told.of(UploadFailed)) > begun)
    assert sending.told.of(UploadFailed)[-1].retry_in_s > 100
    ended = now()
    await upload
    assert now() - ended < 10


async def test_one_file_that_fails_while_the_service_answers_is_not_tried_at_every_probe(sending: Sending, store: MemoryStore) -> None:
    store.fail("look", *[answered(500)] * 12)
    begun = now()
    await sending.sent(sending.staged().whole())
    pauses = sum(message.retry_in_s for message in sending.told.of(UploadFailed))
    assert now() - begun == pytest.approx(pauses, abs=1)


async def test_a_service_that_is_away_is_asked_now_and_then_and_not_more(sending: Sending, store: MemoryStore) -> None:
    uploads = [sending.upload(sending.staged(str(number)).whole()) for number in range(10)]
    await outage(sending, 1000)
    assert store.calls.count("probe") < 1000 / 2
    await asyncio.gather(*uploads)
    await asyncio.sleep(10)
    probes = store.calls.count("probe")
    await asyncio.sleep(1000)
    assert store.calls.count("probe") == probes, "nobody waits any more"


async def test_a_staged_copy_that_is_bad_ends_the_job_until_it_is_told_anew(sending: Sending) -> None:
    staged = sending.staged().whole()
    staged.flip(0)
    await sending.upload(staged)
    assert sending.told.of(StagedCopyBad)
    await sending.sent(sending.staged().whole())


async def test_an_abandoned_file_is_sent_no_further(sending: Sending, store: MemoryStore) -> None:
    staged = sending.staged(size=50 * BLOCK).whole()
    upload = sending.upload(staged)
    await sending.until(lambda: len(store.sent) >= 5)
    await sending.hear(Abandon(staged.file))
    assert upload.done()
    sent = len(store.sent)
    await asyncio.sleep(100)
    assert len(store.sent) == sent
    assert not sending.told.of(FileUploaded)
    assert store.in_flight == 0


async def test_abandoned_files_give_their_slots_back(sending: Sending, store: MemoryStore) -> None:
    store.open.clear()
    files = [sending.staged(str(number)).whole() for number in range(2 * WORKERS)]
    uploads = [sending.upload(staged) for staged in files]
    await settled()
    for staged in files:
        await sending.hear(Abandon(staged.file))
    await asyncio.gather(*uploads)
    store.open.set()
    await sending.sent(sending.staged("next").whole())


async def test_to_abandon_what_is_not_being_sent_is_nothing_to_do(sending: Sending) -> None:
    await sending.hear(Abandon(sending.staged().file))
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
    await second
    assert sorted(store.sent) == sorted(staged.ids)
    assert len(sending.told.of(FileUploaded)) == 1


@pytest.mark.parametrize("told", [1, 2, 3])
async def test_a_file_that_is_abandoned_while_it_is_begun_again_is_abandoned(sending: Sending, store: MemoryStore, told: int) -> None:
    """Ending what went before takes a moment, in which the next words are heard already."""
    staged = sending.staged(size=20 * BLOCK).whole()
    store.open.clear()
    heard = [sending.upload(staged)]
    await settled()
    heard += [sending.upload(staged) for _ in range(told)]
    heard += [sending.hear(Abandon(staged.file))]
    await settled()
    store.open.set()
    await asyncio.sleep(100)
    assert all(task.done() for task in heard)
    assert not sending.told.of(FileUploaded)
    assert store.in_flight == 0


async def test_a_file_that_is_abandoned_and_told_again_is_begun_when_nothing_of_it_is_on_its_way_any_more(
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
    heard.append(sending.hear(Abandon(staged.file)))
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
    assert len(sending.told.of(FileUploaded)) == 1


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
        told.append(sum(message.sent for message in sending.told.of(UploadGrew)))
    assert told[-1] == pytest.approx(100 * rate, rel=0.1)
    for uploading in uploads:
        uploading.cancel()
    await asyncio.gather(*uploads, return_exceptions=True)


async def test_an_error_that_nobody_foresaw_ends_the_process(sending: Sending, store: MemoryStore) -> None:
    """The host lets it crash; the supervisor starts another."""
    store.down = KeyError("k")  # type: ignore[assignment]
    with pytest.raises(KeyError):
        await sending.upload(sending.staged(size=SIZE).whole())
