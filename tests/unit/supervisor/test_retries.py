"""When a file is tried again: pauses that grow, what ends them sooner, and what does not."""

import asyncio

import pytest

from nfsw.actors.envelope import Reply
from nfsw.actors.files import File
from nfsw.actors.messages import (
    AzureAnswers,
    Claimed,
    Completed,
    Evicted,
    Failed,
    Outage,
    ScanFailed,
    Staged,
    StagedCopyBad,
    StagingProgress,
    UploadFailed,
    UploadFile,
)
from nfsw.supervisor.supervisor import MOST_DELIVERIES
from nfsw.supervisor.tracked_file import Stage
from tests.support.faketime import clock
from tests.unit.supervisor.company import HANG_S
from tests.unit.supervisor.works import SCANNED, UPLOADED, Works, arrival, claimed, version

A, CLAIMED_A = arrival("a"), claimed("a")
NFS = Failed("NFS: EIO", Outage.NFS)
DISK = Failed("EROFS", Outage.STAGING)
NO_ANSWER = UploadFailed("no answer", Outage.AZURE)
NO_RIGHT = UploadFailed("HTTP 403", refused=True)
FOR_GOOD = UploadFailed("HTTP 409 BlobImmutableDueToPolicy", refused=True, for_good=True)
#: The pause after a file's first failure is at most this long, in seconds.
FIRST_PAUSE_S = 2.0


def pause(works: Works, file: File = CLAIMED_A) -> float:
    """Seconds from now on until the next attempt."""
    record = works.record(file)
    assert record.stage is Stage.WAITING
    assert record.not_before is not None
    return record.not_before - clock().now()


async def pauses(works: Works, actor: str, reply: Reply, times: int) -> list[float]:
    """What the file "a" waits each time when its attempts end like this; the last pause is not over."""
    waited: list[float] = []
    for _ in range(times):
        if waited:
            await asyncio.sleep(waited[-1] + 0.01)
        await works.replies(actor, "a", reply)
        waited.append(pause(works))
    return waited


def uploads(works: Works) -> list[UploadFile]:
    """What the Uploader was given since it was asked last."""
    return [job for job in works["uploader"].hears() if isinstance(job, UploadFile)]


# --- Pauses ---


@pytest.mark.parametrize("file", [A, CLAIMED_A])
async def test_a_file_in_trouble_waits_and_is_tried_again_by_itself(file: File) -> None:
    async with Works() as works:
        job = await works.takes(file)
        await works.replies("claimer", "a", NFS)
        record = works.record(file)
        assert (record.stage, record.error) == (Stage.WAITING, "NFS: EIO")
        assert works.totals.failed == 1
        assert (works["claimer"].hears(), works.reports_again()) == ([], [])

        await asyncio.sleep(FIRST_PAUSE_S)

        assert works["claimer"].hears() == [job]


async def test_the_pauses_of_a_file_grow_up_to_five_minutes_and_begin_anew_after_a_success() -> None:
    async with Works() as works:
        await works.takes(CLAIMED_A)
        waited = await pauses(works, "claimer", NFS, 15)
        assert waited[0] <= FIRST_PAUSE_S
        assert all(150 <= one <= 300 for one in waited[-5:])
        assert sum(waited[:5]) < sum(waited[5:10])
        await asyncio.sleep(waited[-1] + 0.01)
        await works.ends("a")

        await works.sees(CLAIMED_A)
        await works.replies("claimer", "a", NFS)
        assert pause(works) <= FIRST_PAUSE_S


async def test_the_pauses_between_uploads_grow_with_jitter_up_to_five_minutes_and_go_on_for_ever() -> None:
    async with Works() as works:
        await works.uploads("a")
        waited = await pauses(works, "uploader", NO_ANSWER, 20)
        for number, one in enumerate(waited):
            bound = min(2.0**number, 300.0)
            assert bound / 2 <= one <= bound + 0.001
        assert len(set(waited)) == 20
        assert works.record(CLAIMED_A).attempts == 20


async def test_the_service_may_ask_for_a_longer_pause() -> None:
    async with Works() as works:
        await works.uploads("a")
        await works.replies("uploader", "a", UploadFailed("HTTP 429", retry_after_s=77.0))
        assert pause(works) == pytest.approx(77.0, abs=0.01)


async def test_an_answer_that_asks_for_weeks_gets_the_longest_pause() -> None:
    async with Works() as works:
        await works.uploads("a")
        await works.replies("uploader", "a", UploadFailed("HTTP 503", Outage.AZURE, retry_after_s=4_000_000.0))
        assert pause(works) == pytest.approx(300.0, abs=0.01)


async def test_a_refusal_that_only_people_can_lift_is_followed_by_pauses_of_up_to_an_hour() -> None:
    """Each try takes the body along, since no other request is known to be refused for the same reason."""
    async with Works() as works:
        await works.uploads("a")
        waited = await pauses(works, "uploader", FOR_GOOD, 10)
        assert 30 <= waited[0] <= 60
        assert 1800 <= waited[-1] <= 3600


async def test_after_a_missing_right_the_service_is_asked_soon_and_without_a_body() -> None:
    """It costs nothing to ask for a right."""
    async with Works() as works:
        await works.uploads("a")
        works["uploader"].hears()
        waited = await pauses(works, "uploader", NO_RIGHT, 12)
        assert max(waited) <= 300
        assert [job.refused for job in uploads(works)] == [True] * 11
        await asyncio.sleep(300)
        await works.replies("uploader", "a", NO_ANSWER)
        works["uploader"].hears()
        await asyncio.sleep(300)
        assert [job.refused for job in uploads(works)] == [False]


async def test_another_kind_of_failure_has_its_own_first_pause() -> None:
    async with Works() as works:
        await works.uploads("a")
        waited = await pauses(works, "uploader", NO_ANSWER, 10)
        await asyncio.sleep(waited[-1] + 0.01)
        await works.replies("uploader", "a", UploadFailed("HTTP 412"))
        assert pause(works) <= 1.0


async def test_a_disk_that_spoils_every_copy_is_written_to_ever_more_rarely() -> None:
    async with Works() as works:
        await works.takes(CLAIMED_A)
        await works.replies("claimer", "a", Staged())
        await works.replies("uploader", "a", StagedCopyBad("a byte has changed"))
        waited: list[float] = []
        for _ in range(10):
            await works.replies("claimer", "a", Staged())
            await works.replies("uploader", "a", StagedCopyBad("a byte has changed"))
            await works.replies("collector", "a", Evicted())
            waited.append(pause(works))
            await asyncio.sleep(waited[-1] + 0.01)
        assert waited[0] <= FIRST_PAUSE_S
        assert waited[-1] >= 150
        assert works.totals.failed == 1


# --- What is shown and counted ---


async def test_a_file_that_fails_again_and_again_counts_as_failed_once_and_its_error_stays_in_sight() -> None:
    async with Works() as works:
        await works.takes(CLAIMED_A)
        waited = await pauses(works, "claimer", NFS, 4)
        await asyncio.sleep(waited[-1] + 0.01)
        assert works.stage(CLAIMED_A) is Stage.STAGING
        assert works.record(CLAIMED_A).error == "NFS: EIO"
        assert works.totals.failed == 1
        await works.replies("claimer", "a", Staged())
        assert works.record(CLAIMED_A).error is None


async def test_an_upload_that_fails_often_counts_as_failed_once_and_its_error_is_over_once_it_is_sent() -> None:
    async with Works() as works:
        await works.uploads("a")
        waited = await pauses(works, "uploader", NO_ANSWER, 9)
        assert works.totals.failed == 1
        await asyncio.sleep(waited[-1] + 0.01)
        record = works.record(CLAIMED_A)
        assert (record.error, record.attempts, record.not_before) == ("no answer", 10, None)
        await works.replies("uploader", "a", UPLOADED)
        assert record.error is None


async def test_an_error_at_the_claim_is_over_when_the_file_is_claimed() -> None:
    async with Works() as works:
        await works.takes(A)
        await works.replies("claimer", "a", NFS)
        await asyncio.sleep(FIRST_PAUSE_S)
        assert works.record(A).error == "NFS: EIO"
        await works.news("claimer", "a", Claimed(CLAIMED_A, version(100)))
        assert works.record(CLAIMED_A).error is None


async def test_an_attempt_that_fails_while_the_file_is_staged_is_followed_by_another_after_its_pause() -> None:
    """Staging a large file may take hours."""
    async with Works() as works:
        await works.stages("a")
        await works.replies("uploader", "a", NO_ANSWER)
        works["uploader"].hears()
        await works.news("claimer", "a", StagingProgress(60))
        assert uploads(works) == [], "the pause is not over"
        await asyncio.sleep(1)
        await works.news("claimer", "a", StagingProgress(70))
        [again] = uploads(works)
        assert (again.attempt, again.look_first, again.staged) == (2, True, False)


async def test_an_attempt_that_failed_while_the_file_was_staged_keeps_its_pause_when_all_is_staged() -> None:
    async with Works() as works:
        await works.stages("a")
        await works.replies("uploader", "a", UploadFailed("HTTP 429", retry_after_s=60.0))
        works["uploader"].hears()
        await asyncio.sleep(20)
        await works.replies("claimer", "a", Staged())
        assert pause(works) == pytest.approx(40, abs=0.01)
        await asyncio.sleep(41)
        [again] = uploads(works)
        assert (again.attempt, again.staged) == (2, True)


async def test_the_attempts_for_a_file_are_events_of_one_span() -> None:
    """The first one fails while it is staged."""
    async with Works() as works:
        await works.stages("a")
        await works.replies("uploader", "a", UploadFailed("HTTP 429", retry_after_s=60.0))
        await works.replies("claimer", "a", Staged())
        await asyncio.sleep(61)
        await works.replies("uploader", "a", NO_ANSWER)
        await asyncio.sleep(2)
        await works.replies("uploader", "a", UPLOADED)
        await works.replies("collector", "a", Completed())
        [upload] = works.spans("upload")
        assert [event.name for event in upload.events] == ["attempt", "attempt failed"] * 2 + ["attempt"]
        assert upload.status.is_ok or upload.status.is_unset


async def test_a_step_that_failed_is_a_span_that_says_why_and_the_next_one_another() -> None:
    async with Works() as works:
        await works.takes(CLAIMED_A)
        await works.replies("claimer", "a", NFS)
        await asyncio.sleep(FIRST_PAUSE_S)
        await works.ends("a")
        assert [span.status.description for span in works.spans("stage")] == ["NFS: EIO", None]
        [file] = works.spans("file")
        assert dict(file.attributes or {})["outcome"] == "completed"


# --- What ends a pause ---


async def have_waited_long(works: Works, files: dict[File, Failed]) -> None:
    """Each for its own reason, and by now for long."""
    for file in files:
        await works.takes(file)
    for number in range(10):
        if number:
            await asyncio.sleep(310)
        for file, reply in files.items():
            await works.replies("claimer", file.name, reply)
    works.hears_nothing_new()
    assert all(pause(works, file) > 100 for file in files)


async def test_what_nfs_held_up_goes_on_when_it_can_be_looked_at_again() -> None:
    async with Works() as works:
        await have_waited_long(works, {CLAIMED_A: NFS})
        await works.says("scanner", ScanFailed("ESTALE"))
        assert works.to_stage() == []
        await works.says("scanner", SCANNED)
        assert works.to_stage() == ["a"]


async def test_what_nfs_held_up_goes_on_when_a_new_scanner_has_scanned() -> None:
    """The old one may have been killed because it hung."""
    async with Works() as works:
        await have_waited_long(works, {CLAIMED_A: NFS})
        await works.dies("scanner")
        await works.says("scanner", SCANNED)
        assert works.to_stage() == ["a"]


async def test_a_scan_like_any_other_shortens_no_pause() -> None:
    async with Works() as works:
        await works.says("scanner", SCANNED)
        await have_waited_long(works, {CLAIMED_A: NFS})
        await works.says("scanner", SCANNED)
        assert works.to_stage() == []


async def test_a_success_ends_the_pauses_of_what_the_same_outage_held_up_and_of_no_others() -> None:
    async with Works() as works:
        await have_waited_long(works, {arrival("same"): NFS, arrival("other"): DISK})
        await works.takes(A)
        await works.replies("claimer", "a", NFS)
        await asyncio.sleep(FIRST_PAUSE_S)
        works.hears_nothing_new()
        await works.news("claimer", "a", Claimed(CLAIMED_A, version(100)))
        assert works.to_stage() == ["same"]
        assert works.stage(arrival("other")) is Stage.WAITING


async def test_a_file_with_which_its_actor_hung_again_and_again_goes_on_when_nfs_answers() -> None:
    """It may be the server that hung, and not the file."""
    async with Works() as works:
        await works.takes(CLAIMED_A)
        for _ in range(MOST_DELIVERIES):
            works["claimer"].enters("read a")
            await asyncio.sleep(HANG_S + 1.1)
            await works.says_started("claimer")
        assert works.record(CLAIMED_A).error == "claimer died 3 times with this in hand"
        assert works.stage(CLAIMED_A) is Stage.WAITING
        works.hears_nothing_new()
        await works.says("scanner", ScanFailed("ESTALE"), SCANNED)
        assert works.to_stage() == ["a"]


async def test_a_file_that_kills_its_actor_does_not_come_back_sooner_for_any_news() -> None:
    async with Works() as works:
        await works.takes(CLAIMED_A)
        await works.is_killed_by_its_job("claimer")
        works.hears_nothing_new()
        await works.says("scanner", ScanFailed("ESTALE"), SCANNED)
        await works.says("uploader", AzureAnswers())
        assert works.to_stage() == []
        assert pause(works) > 50
        await asyncio.sleep(pause(works) + 0.01)
        assert works.to_stage() == ["a"]


async def test_after_an_outage_of_azure_all_files_go_on_at_once() -> None:
    """They need not sit out their pauses, which are minutes by then."""
    async with Works(workers=4, queue=20) as works:
        names = [str(number) for number in range(6)]
        for name in names:
            await works.uploads(name)
        for _ in range(12):
            for name in names:
                await works.replies("uploader", name, NO_ANSWER)
            await asyncio.sleep(301)
        for name in names:
            await works.replies("uploader", name, NO_ANSWER)
        works["uploader"].hears()
        await works.says("uploader", AzureAnswers())
        assert {job.file.name for job in uploads(works)} == set(names)


async def test_after_an_outage_of_azure_a_file_that_is_still_staged_goes_on_too() -> None:
    async with Works() as works:
        await works.stages("a", 1000)
        for number in range(10):
            await works.replies("uploader", "a", NO_ANSWER)
            await asyncio.sleep(301)
            await works.news("claimer", "a", StagingProgress(600 + number))
        await works.replies("uploader", "a", NO_ANSWER)
        works["uploader"].hears()
        await works.says("uploader", AzureAnswers())
        await works.news("claimer", "a", StagingProgress(700))
        assert len(uploads(works)) == 1


async def test_one_file_that_fails_while_the_service_answers_others_sits_out_its_pauses() -> None:
    async with Works() as works:
        await works.uploads("a")
        await pauses(works, "uploader", UploadFailed("HTTP 412"), 10)
        works["uploader"].hears()
        await works.says("uploader", AzureAnswers())
        await works.moves("b")
        assert pause(works) > 100


async def test_a_file_that_cannot_be_completed_is_completed_later_and_not_sent_again() -> None:
    async with Works() as works:
        await works.completes("a")
        works.hears_nothing_new()
        await works.replies("collector", "a", Failed("NFS: EROFS", Outage.NFS))
        await asyncio.sleep(FIRST_PAUSE_S)
        assert works.stage(CLAIMED_A) is Stage.COMPLETING
        assert (works["claimer"].hears(), uploads(works)) == ([], [])
        await works.replies("collector", "a", Completed())
        assert works.totals.completed == 1
