"""The story of a file when something goes wrong: errors, deaths, late news. No file is lost, and none is in two hands."""

import asyncio

import pytest

from nfsw.actors.envelope import Reply
from nfsw.actors.messages import (
    AcquireLock,
    Changed,
    Claimed,
    Completed,
    Evicted,
    EvictStaged,
    Failed,
    FileGone,
    FileRefused,
    FileStable,
    Gone,
    MarkStopped,
    Outage,
    ReleaseLock,
    ReportAgain,
    ScanFinished,
    SessionFound,
    SessionReleased,
    Staged,
    StagedCopyBad,
    StageFile,
    StagingProgress,
    StopNoted,
    UploadFailed,
    UploadFile,
    VerifyLock,
    WithdrawUpload,
)
from nfsw.supervisor.sessions import VERIFY_S
from nfsw.supervisor.tracked_file import Stage
from tests.support.faketime import settled
from tests.unit.supervisor.works import CRASH, DATE, MANIFEST, SCANNED, UPLOADED, Works, arrival, claimed, version

A, CLAIMED_A = arrival("a"), claimed("a")
NFS = Failed("NFS: EIO", Outage.NFS)


def staging_of_a(works: Works) -> int:
    """How often the Claimer has the file in hand. More than once: two threads write one staged copy."""
    return sum(isinstance(job, StageFile) and job.file in (A, CLAIMED_A) for job in works["claimer"].in_hand)


def uploads(works: Works) -> list[UploadFile]:
    """What the Uploader was given since it was asked last."""
    return [job for job in works["uploader"].hears() if isinstance(job, UploadFile)]


# --- Room ---


async def test_an_arrival_that_waits_gives_its_room_back_and_a_claimed_file_keeps_it() -> None:
    async with Works() as works:
        await works.takes(A, 100)
        await works.replies("claimer", "a", NFS)
        assert works.budget.used == 0
        await works.takes(claimed("b"), 100)
        await works.replies("claimer", "b", NFS)
        assert works.budget.used == 100 + MANIFEST


async def test_a_file_whose_staged_copy_the_claimer_has_removed_takes_no_room() -> None:
    async with Works() as works:
        await works.stages("a", 100)
        await works.replies("claimer", "a", Failed("ENOSPC", Outage.STAGING, unstaged=True))
        assert works.budget.used == 0


async def test_a_file_that_fails_while_it_is_sent_is_withdrawn_from_the_uploader() -> None:
    async with Works() as works:
        await works.stages("a")
        works.hears_nothing_new()
        await works.replies("claimer", "a", NFS)
        assert works["uploader"].hears() == [WithdrawUpload(CLAIMED_A)]


# --- Bad copies ---


async def test_a_staged_copy_that_is_bad_is_staged_anew_at_once_and_sent_again() -> None:
    async with Works() as works:
        await works.uploads("a")
        works.hears_nothing_new()
        await works.replies("uploader", "a", StagedCopyBad("it was wiped"))
        assert works["claimer"].hears() == [StageFile(CLAIMED_A, version(100), restage=True)]
        await works.replies("claimer", "a", Staged())
        assert uploads(works) == [UploadFile(CLAIMED_A, version(100), attempt=2, staged=True, look_first=True)]
        assert works.budget.used == 100 + MANIFEST, "counted once"


async def test_a_staged_copy_that_is_bad_again_is_dropped_and_made_anew_after_a_pause() -> None:
    async with Works() as works:
        await works.uploads("a")
        await works.replies("uploader", "a", StagedCopyBad("a byte has changed"))
        await works.replies("claimer", "a", Staged())
        works.hears_nothing_new()

        await works.replies("uploader", "a", StagedCopyBad("a byte has changed"))
        assert works.stage(CLAIMED_A) is Stage.WAITING
        assert works["claimer"].hears() == []
        assert works["collector"].hears() == [EvictStaged(CLAIMED_A)]
        await works.replies("collector", "a", Evicted())
        assert works.budget.used == 0
        await asyncio.sleep(2)
        assert works.to_stage() == ["a"]


async def test_a_staged_copy_that_turns_out_bad_while_the_claimer_works_on_it_is_staged_anew_when_it_is_done() -> None:
    async with Works() as works:
        await works.stages("a")
        works.hears_nothing_new()
        await works.replies("uploader", "a", StagedCopyBad("it was wiped"))
        assert works["claimer"].hears() == [], "it has the file in hand"
        await works.news("claimer", "a", StagingProgress(70))
        assert works["uploader"].hears() == [], "nobody is to send that"
        await works.replies("claimer", "a", Staged())
        assert works["uploader"].hears() == []
        assert works["claimer"].hears() == [StageFile(CLAIMED_A, version(100), restage=True)]


async def test_a_bad_copy_is_staged_anew_also_if_the_claimer_dies_meanwhile() -> None:
    async with Works() as works:
        await works.stages("a")
        await works.replies("uploader", "a", StagedCopyBad("it was wiped"))
        await works.dies("claimer")
        await works.replies("claimer", "a", Staged())
        assert works["claimer"].hears()[-1] == StageFile(CLAIMED_A, version(100), restage=True)


async def test_a_bad_copy_is_no_reason_for_a_second_job_while_one_waits_for_the_next_claimer() -> None:
    async with Works(workers=1) as works:
        await works.stages("a")
        works["claimer"].exits(CRASH)
        works["uploader"].replies(works.job("uploader", "a"), StagedCopyBad("it was wiped"))
        for _ in range(3):
            await settled()
            assert staging_of_a(works) == 1


# --- Deaths ---


async def test_a_claimer_that_dies_in_the_middle_of_a_copy_goes_on_with_it() -> None:
    async with Works() as works:
        await works.stages("a")
        await works.dies("claimer")
        assert works["claimer"].hears() == [StageFile(CLAIMED_A, version(100))]
        await works.replies("claimer", "a", Staged())
        assert works.stage(CLAIMED_A) is Stage.UPLOADING
        assert works.budget.used == 100 + MANIFEST


async def test_a_claimer_that_dies_with_a_file_whose_blob_is_committed_does_not_disturb_its_end() -> None:
    async with Works() as works:
        await works.stages("a")
        await works.replies("uploader", "a", UPLOADED)
        await works.dies("claimer")
        assert works["claimer"].hears() == []
        await works.replies("collector", "a", Completed())
        assert works.totals.completed == 1
        assert works.budget.used == 0


async def test_a_dead_claimers_jobs_are_not_held_back_by_their_own_places_under_way() -> None:
    """With as many files under way as there may be, one of them is the Claimer's own."""
    async with Works(workers=1, queue=10) as works:
        await works.uploads("b")
        await works.uploads("c")
        await works.stages("a")
        await works.dies("claimer")
        assert works["claimer"].hears() == [StageFile(CLAIMED_A, version(100))]


async def test_an_uploader_that_dies_sends_again_what_it_had_in_hand() -> None:
    """The next one is told that all is staged: nobody will tell it that more is."""
    async with Works() as works:
        await works.uploads("a")
        await works.dies("uploader")
        assert uploads(works) == [UploadFile(CLAIMED_A, version(100), staged=True, look_first=True)]


async def test_an_uploader_that_dies_while_a_file_is_staged_goes_on_as_it_grows() -> None:
    async with Works() as works:
        await works.stages("a")
        await works.dies("uploader")
        assert uploads(works) == [UploadFile(CLAIMED_A, version(100), staged=False, look_first=True)]


@pytest.mark.parametrize("reply", [NFS, Changed(), Gone()])
async def test_an_uploader_that_dies_before_a_file_is_withdrawn_from_it_does_not_send_it(reply: Reply) -> None:
    async with Works() as works:
        await works.stages("a")
        works["claimer"].replies(works.job("claimer", "a"), reply)
        await works.dies("uploader")
        assert uploads(works) == []


async def test_a_collector_that_dies_completes_again() -> None:
    async with Works() as works:
        await works.completes("a")
        [job] = works["collector"].hears()
        await works.dies("collector")
        assert job in works["collector"].hears()


@pytest.mark.parametrize("actor", ["keeper", "scanner", "claimer", "uploader", "collector"])
async def test_an_actor_dies_in_every_step_of_a_files_story_and_it_is_completed(actor: str) -> None:
    async with Works() as works:
        await works.sees(A)
        await works.dies(actor)
        await works.news("claimer", "a", Claimed(CLAIMED_A, version(100)))
        await works.news("claimer", "a", StagingProgress(50))
        await works.dies(actor)
        await works.replies("claimer", "a", Staged())
        await works.dies(actor)
        await works.replies("uploader", "a", UPLOADED)
        await works.dies(actor)
        await works.replies("collector", "a", Completed())
        assert list(works.files) == []
        assert works.budget.used == 0
        assert works.totals.completed == 1


async def test_a_scanner_that_dies_while_a_report_is_awaited_is_asked_for_it_again() -> None:
    """A file that was removed meanwhile would keep its name from a new one for ever."""
    async with Works() as works:
        await works.takes(CLAIMED_A)
        await works.replies("claimer", "a", Changed())
        assert works.files.taken_on == 1
        await works.dies("scanner")
        watch, *asked = works["scanner"].hears()
        assert watch == works.sessions.watch()
        assert asked == [ReportAgain(CLAIMED_A)]
        await works.says("scanner", FileGone(CLAIMED_A))
        assert (works.files.taken_on, works.totals.given_up["gone"]) == (0, 1)
        await works.takes(A)


async def test_the_lock_is_verified_also_while_the_scanner_is_held_up_by_a_flood_of_files() -> None:
    async with Works() as works:
        await works.takes(A)
        await works.says("scanner", SCANNED)
        await asyncio.sleep(VERIFY_S)
        works.hears_nothing_new()
        await works.news("claimer", "a", Claimed(CLAIMED_A, version(100)))
        assert works["keeper"].hears() == [VerifyLock("s")]


# --- Jobs that kill their actor ---


async def test_a_file_that_kills_the_claimer_three_times_waits_and_the_next_one_is_taken() -> None:
    async with Works(workers=1) as works:
        await works.takes(A)
        await works.sees(arrival("b"))
        await works.is_killed_by_its_job("claimer")
        record = works.record(A)
        assert (record.stage, record.error) == (Stage.WAITING, "claimer died 3 times with this in hand")
        assert works.to_stage() == ["b"]
        assert works.service.unhealthy_reason() is None


@pytest.mark.parametrize("actor", ["claimer", "uploader", "collector"])
async def test_a_file_that_kills_its_actor_every_time_does_not_end_the_service(actor: str) -> None:
    """It comes back, and comes back more seldom than deaths are counted."""
    async with Works() as works:
        await works.takes(CLAIMED_A)
        if actor != "claimer":
            await works.replies("claimer", "a", Staged())
        if actor == "collector":
            await works.replies("uploader", "a", UPLOADED)
        for _ in range(5):
            await works.is_killed_by_its_job(actor)
            assert works.stage(CLAIMED_A) is Stage.WAITING
            assert works.service.unhealthy_reason() is None
            await asyncio.sleep(301)
        assert works.job(actor, "a").file == CLAIMED_A
        assert works.totals.failed == 1


async def test_a_file_that_kills_the_uploader_is_not_staged_a_second_time_while_the_claimer_has_it() -> None:
    async with Works() as works:
        await works.stages("a")
        await works.is_killed_by_its_job("uploader")
        await asyncio.sleep(600)
        await works.says("scanner", FileStable(CLAIMED_A, version(100)))
        assert staging_of_a(works) == 1
        await works.replies("claimer", "a", Staged())
        assert staging_of_a(works) == 0
        assert works.job("uploader", "a") == UploadFile(CLAIMED_A, version(100), attempt=2, staged=True, look_first=True)


async def test_a_keeper_that_hung_three_times_with_a_session_in_hand_is_asked_for_it_again() -> None:
    """Or the session would never be resumed, though NFS answers again."""
    async with Works() as works:
        await works.stops()
        await works.says("scanner", ScanFinished(()))
        await works.keeps()
        scan = ScanFinished((SessionFound("t", DATE, 0, files=True),))
        await works.says("scanner", scan)
        await works.is_killed_by_its_job("keeper")
        assert works["keeper"].hears() == []
        await works.says("scanner", scan)
        assert works["keeper"].hears() == [AcquireLock("t", record=True)]


async def test_a_session_whose_release_killed_the_keeper_can_be_had_again() -> None:
    async with Works() as works:
        works.sessions.stop()
        await settled()
        scan = ScanFinished((SessionFound("s", DATE, 0, files=False),))
        await works.says("scanner", scan)
        works["keeper"].replies(MarkStopped("s"), StopNoted())
        await settled()
        assert works["keeper"].in_hand == [ReleaseLock("s", forget=True)]
        await works.is_killed_by_its_job("keeper")
        works["keeper"].hears()
        await works.says("scanner", scan)
        assert works["keeper"].hears() == [AcquireLock("s", record=True)], "it is on NFS, so it is not over"
        works["keeper"].replies(AcquireLock("s", record=True), SessionReleased())
        await settled()
        assert works.service.status().session is None


# --- Late news ---


@pytest.mark.parametrize("reply", [UPLOADED, StagedCopyBad("gone"), UploadFailed("503", Outage.AZURE)])
async def test_what_the_uploader_says_of_a_file_that_was_withdrawn_from_it_changes_nothing(reply: Reply) -> None:
    async with Works() as works:
        await works.stages("a")
        await works.replies("claimer", "a", NFS)
        record = works.record(CLAIMED_A)
        before = (record.stage, record.error, record.not_before, record.attempts)
        await works.replies("uploader", "a", reply)
        assert (record.stage, record.error, record.not_before, record.attempts) == before
        assert works["collector"].hears() == []
        assert staging_of_a(works) == 0


async def test_an_upload_of_an_older_version_does_not_complete_the_next_one() -> None:
    async with Works() as works:
        await works.uploads("a")
        old = works.job("uploader", "a")
        await works.replies("uploader", "a", UPLOADED)
        await works.replies("collector", "a", Changed())
        await works.takes(CLAIMED_A, 200)
        await works.news("claimer", "a", StagingProgress(100))
        new = works.job("uploader", "a")
        assert (old.version, new.version) == (version(100), version(200))  # type: ignore[union-attr]
        await works.dies("collector")
        assert works["collector"].in_hand == []
        assert works.stage(CLAIMED_A) is Stage.STAGING


async def test_a_claimed_file_that_is_seen_before_its_claim_was_told_is_not_taken_a_second_time() -> None:
    """The link is there, the Claimer has not come back from the rest of the claim, and the Scanner finds the file stable."""
    async with Works() as works:
        await works.takes(A)
        await works.says("scanner", FileStable(CLAIMED_A, version(100)))
        assert staging_of_a(works) == 1
        assert works.under_way == {A}
        assert works.reports_again() == [CLAIMED_A], "the claim may come to nothing"

        await works.news("claimer", "a", Claimed(CLAIMED_A, version(100)))
        await works.says("scanner", FileStable(CLAIMED_A, version(100)))
        assert staging_of_a(works) == 1


async def test_a_claimed_file_that_waits_for_room_in_the_queue_while_its_own_claim_is_ended_is_not_taken_a_second_time() -> None:
    """A crash had cut the claim off, so the Scanner finds the file under both names."""
    async with Works(workers=1, queue=1) as works:
        await works.takes(arrival("first"))
        works["scanner"].says(FileStable(A, version(100)), FileStable(CLAIMED_A, version(100)))
        await settled()
        await works.replies("claimer", "first", Gone())
        await works.news("claimer", "a", Claimed(CLAIMED_A, version(100)))
        assert staging_of_a(works) == 1
        assert works.stage(CLAIMED_A) is Stage.STAGING
        await works.ends("a")
        assert list(works.files) == []


# --- Refused on the way ---


@pytest.mark.parametrize("step", ["stages", "uploads", "completes"])
async def test_a_file_that_is_refused_while_it_is_under_way_is_not_tried_again(step: str) -> None:
    async with Works() as works:
        await getattr(works, step)("a")
        await works.says("scanner", FileRefused(CLAIMED_A, "abandoned: no", abandoned=True))
        match step:
            case "stages":
                await works.replies("claimer", "a", NFS)
            case "uploads":
                await works.replies("uploader", "a", UploadFailed("HTTP 409", refused=True, for_good=True))
            case _:
                await works.replies("collector", "a", NFS)
        assert works.under_way == set()
        assert not works.main.files.is_busy("s")
        assert (works.files.taken_on, works.totals.given_up["refused"]) == (0, 1)
