"""The story of a file when something goes wrong: errors, deaths, late news. No file is lost, and none is in two hands."""

import asyncio
from dataclasses import replace

import pytest

from nfsw.actors.files import File
from nfsw.actors.messages import (
    Abandon,
    Complete,
    Confirm,
    Drain,
    FileChanged,
    FileClaimed,
    FileCompleted,
    FileStable,
    FileStaged,
    FileTroubled,
    FileUploaded,
    Hold,
    Looked,
    LookFailed,
    Release,
    SessionFound,
    StagedCopyBad,
    StagingBegun,
    StagingFound,
    StagingGrew,
    Take,
    Unstage,
    Unstaged,
    Upload,
    UploadBegun,
    UploadFailed,
)
from nfsw.supervisor.ledger import Stage
from nfsw.supervisor.session import CONFIRM_S
from nfsw.supervisor.supervisor import MOST_DELIVERIES
from tests.support.faketime import clock, settled
from tests.unit.supervisor.works import CRASH, DATE, MANIFEST, Works, arrival, claimed, version

A, CLAIMED_A = arrival("a"), claimed("a")
#: The pause after a file's first trouble is at most this long, in seconds.
FIRST_PAUSE_S = 2.0


def takes_of_a(works: Works) -> list[Take]:
    """What the Claimer has or is about to have in hand of the file. More than one: two threads write one staged copy."""
    waiting = works.refs["claimer"].mailbox.remove(lambda _: False)
    jobs = [job.message for job in works.refs["claimer"].jobs()] + waiting
    return [job for job in jobs if isinstance(job, Take) and job.file in (A, CLAIMED_A)]


async def is_let_go(works: Works) -> None:
    """Returns when the file's pause is over."""
    retry_at = works.entry(CLAIMED_A).retry_at
    assert retry_at is not None
    await asyncio.sleep(retry_at - clock().now() + 0.01)
    assert CLAIMED_A not in works.ledger


# --- Parked ---


@pytest.mark.parametrize("file", [A, CLAIMED_A])
async def test_a_file_in_trouble_is_parked_and_let_go_after_a_pause(file: File) -> None:
    async with Works() as works:
        take = await works.takes(file)
        await works.says("claimer", FileTroubled(file, "EIO"))
        await works.done("claimer", take)
        entry = works.entry(file)
        assert (entry.stage, entry.error) == (Stage.PARKED, "EIO")
        assert works.telemetry.totals.failed == 1
        assert works.let_go() == []

        await asyncio.sleep(FIRST_PAUSE_S)

        assert works.let_go() == [file]
        assert file not in works.ledger
        assert await works.takes(file) == take, "and the Scanner's next word of it counts"


async def test_the_pauses_of_a_file_grow_up_to_five_minutes_and_begin_anew_after_a_success() -> None:
    async with Works() as works:
        pauses: list[float] = []
        for _ in range(15):
            take = await works.takes(CLAIMED_A)
            await works.says("claimer", FileTroubled(CLAIMED_A, "EIO"))
            await works.done("claimer", take)
            begun = clock().now()
            await is_let_go(works)
            pauses.append(clock().now() - begun)
        assert pauses[0] <= 2.5
        assert all(150 <= pause <= 301 for pause in pauses[-5:])
        assert sum(pauses[:5]) < sum(pauses[5:10])

        works.hears_nothing_new()
        await works.says("scanner", FileStable(CLAIMED_A, version(100)))
        await works.says("claimer", StagingBegun(CLAIMED_A, version(100)), FileStaged(CLAIMED_A))
        await works.done("claimer", works.has_taken(CLAIMED_A))
        await works.says("uploader", FileUploaded(CLAIMED_A, version(100), 1.0, overwrote=False))
        await works.says("collector", Unstaged(CLAIMED_A), FileCompleted(CLAIMED_A))
        assert CLAIMED_A not in works.ledger

        take = await works.takes(CLAIMED_A)
        await works.says("claimer", FileTroubled(CLAIMED_A, "EIO"))
        await asyncio.sleep(FIRST_PAUSE_S)
        await works.done("claimer", take)
        assert CLAIMED_A not in works.ledger


async def test_a_parked_arrival_gives_its_room_back_and_a_parked_claimed_file_keeps_it() -> None:
    async with Works() as works:
        await works.takes(A, 100)
        await works.says("claimer", FileTroubled(A, "EIO"))
        assert works.ledger.staging_used == 0
        await works.takes(claimed("b"), 100)
        await works.says("claimer", FileTroubled(claimed("b"), "EIO"))
        assert works.ledger.staging_used == 100 + MANIFEST


async def test_a_file_that_is_troubled_while_it_is_sent_is_withdrawn_from_the_uploader() -> None:
    async with Works() as works:
        await works.stages("a")
        works.hears_nothing_new()
        await works.says("claimer", FileTroubled(CLAIMED_A, "EIO"))
        assert works["uploader"].hears() == [Abandon(CLAIMED_A)]


async def test_a_file_that_cannot_be_completed_is_parked_and_comes_back() -> None:
    async with Works() as works:
        complete = await works.completes("a")
        works.hears_nothing_new()
        await works.says("collector", FileTroubled(CLAIMED_A, "EROFS"))
        await works.done("collector", complete)
        assert works.stage(CLAIMED_A) is Stage.PARKED
        assert works["uploader"].hears() == [], "it is none of its business any more"
        await asyncio.sleep(FIRST_PAUSE_S)
        assert works.let_go() == [CLAIMED_A]


async def test_a_parked_file_is_not_let_go_while_the_claimer_still_has_it() -> None:
    async with Works() as works:
        take = await works.takes(CLAIMED_A)
        await works.says("claimer", FileTroubled(CLAIMED_A, "EIO"))
        await asyncio.sleep(60)
        assert works.let_go() == []
        await works.done("claimer", take)
        assert works.let_go() == [CLAIMED_A]
        assert CLAIMED_A not in works.ledger


async def test_a_parked_file_whose_claimer_dies_before_it_is_done_keeps_its_pause() -> None:
    async with Works() as works:
        await works.takes(CLAIMED_A)
        await works.says("claimer", FileTroubled(CLAIMED_A, "EIO"))
        await works.dies("claimer")
        assert works["claimer"].hears() == []
        assert works.stage(CLAIMED_A) is Stage.PARKED
        await asyncio.sleep(FIRST_PAUSE_S)
        assert works.let_go() == [CLAIMED_A]


async def test_a_parked_file_whose_pause_is_over_is_let_go_when_the_claimer_dies_with_it() -> None:
    async with Works() as works:
        await works.takes(CLAIMED_A)
        await works.says("claimer", FileTroubled(CLAIMED_A, "EIO"))
        await asyncio.sleep(60)
        await works.dies("claimer")
        assert CLAIMED_A in works.let_go()
        assert works["claimer"].hears() == []


# --- Uploads that fail ---


async def test_a_failed_attempt_is_shown_with_its_reason_and_the_next_one_clears_the_wait() -> None:
    async with Works() as works:
        await works.uploads("a")
        await works.says("uploader", UploadFailed(CLAIMED_A, 1, "503", 20.0))
        entry = works.entry(CLAIMED_A)
        assert (entry.stage, entry.error, entry.attempts) == (Stage.UPLOADING, "503", 1)
        assert entry.retry_at == pytest.approx(clock().now() + 20.0)
        await works.says("uploader", UploadBegun(CLAIMED_A, 2))
        assert (entry.attempts, entry.retry_at, entry.error) == (2, None, "503")


async def test_a_file_that_fails_often_counts_as_failed_once() -> None:
    async with Works() as works:
        await works.uploads("a")
        for attempt in range(1, 10):
            await works.says("uploader", UploadFailed(CLAIMED_A, attempt, "503", 1.0))
        assert works.telemetry.totals.failed == 1
        await works.says("uploader", FileUploaded(CLAIMED_A, version(100), 1.0, overwrote=False))
        assert works.entry(CLAIMED_A).error is None


async def test_a_file_that_is_parked_again_and_again_counts_as_failed_once_and_its_error_stays_in_sight() -> None:
    async with Works() as works:
        for _ in range(4):
            take = await works.takes(CLAIMED_A)
            await works.says("claimer", FileTroubled(CLAIMED_A, "EIO"))
            await works.done("claimer", take)
            await is_let_go(works)
        await works.takes(CLAIMED_A)
        assert works.entry(CLAIMED_A).error == "EIO"
        assert works.telemetry.totals.failed == 1
        await works.says("claimer", StagingBegun(CLAIMED_A, version(100)), FileStaged(CLAIMED_A))
        await works.says("uploader", FileUploaded(CLAIMED_A, version(100), 1.0, overwrote=False))
        assert works.entry(CLAIMED_A).error is None


async def test_an_error_at_the_claim_is_over_when_the_file_is_claimed() -> None:
    async with Works() as works:
        take = await works.takes(A)
        await works.says("claimer", FileTroubled(A, "EACCES"))
        await works.done("claimer", take)
        await asyncio.sleep(FIRST_PAUSE_S)
        await works.takes(A)
        assert works.entry(A).error == "EACCES"
        await works.says("claimer", FileClaimed(A, CLAIMED_A, version(100)))
        assert works.entry(CLAIMED_A).error is None


async def test_a_staged_copy_that_is_bad_is_staged_afresh_and_sent_again() -> None:
    async with Works() as works:
        upload = await works.uploads("a")
        await works.says("uploader", StagedCopyBad(CLAIMED_A, "it was wiped"))
        await works.done("uploader", upload)
        [again] = works["claimer"].hears()
        assert again == Take(CLAIMED_A, version(100), afresh=True)
        await works.says("claimer", StagingBegun(CLAIMED_A, version(100)))
        assert works["uploader"].hears() == [upload]
        assert works.ledger.staging_used == 100 + MANIFEST, "counted once"


async def test_a_staged_copy_that_is_bad_again_is_dropped_and_made_anew_after_a_pause() -> None:
    """A disk that spoils every copy is not written to without end."""
    async with Works() as works:
        upload = await works.uploads("a")
        await works.says("uploader", StagedCopyBad(CLAIMED_A, "a byte has changed"))
        await works.done("uploader", upload)
        again = works.has_taken(CLAIMED_A)
        await works.says("claimer", StagingBegun(CLAIMED_A, version(100)), FileStaged(CLAIMED_A))
        await works.done("claimer", again)
        works.hears_nothing_new()

        await works.says("uploader", StagedCopyBad(CLAIMED_A, "a byte has changed"))
        await works.done("uploader", upload)
        assert works.stage(CLAIMED_A) is Stage.PARKED
        assert works["claimer"].hears() == []
        assert works["collector"].hears() == [Unstage(CLAIMED_A)]
        await works.says("collector", Unstaged(CLAIMED_A))
        assert works.ledger.staging_used == 0
        await asyncio.sleep(FIRST_PAUSE_S)
        assert works.let_go() == [CLAIMED_A]


async def test_a_staged_copy_that_turns_out_bad_while_the_claimer_works_on_it_is_staged_afresh_when_it_is_done() -> None:
    async with Works() as works:
        take = await works.stages("a")
        works.hears_nothing_new()
        await works.says("uploader", StagedCopyBad(CLAIMED_A, "it was wiped"))
        assert len(takes_of_a(works)) == 1, "the Claimer has it in hand"
        await works.says("claimer", StagingGrew(CLAIMED_A, 100), FileStaged(CLAIMED_A))
        assert works["uploader"].hears() == [], "nobody is to send that"
        await works.done("claimer", take)
        assert works["claimer"].hears() == [Take(CLAIMED_A, version(100), afresh=True)]


@pytest.mark.parametrize("staged", [True, False])
async def test_a_bad_copy_is_staged_afresh_also_if_the_claimer_dies_meanwhile(staged: bool) -> None:
    async with Works() as works:
        await works.stages("a")
        if staged:
            await works.says("claimer", FileStaged(CLAIMED_A))
        await works.says("uploader", StagedCopyBad(CLAIMED_A, "it was wiped"))
        await works.dies("claimer")
        for _ in range(3):
            for take in works["claimer"].hears():
                if take == Take(CLAIMED_A, version(100), afresh=True):
                    return
                await works.done("claimer", take)
        pytest.fail(f"it is {works.stage(CLAIMED_A)}, and nobody stages it")


async def test_a_bad_copy_is_no_reason_for_a_second_take_while_one_waits_for_the_next_claimer() -> None:
    async with Works(workers=1) as works:
        await works.stages("a")
        works["claimer"].exits(CRASH)
        works["uploader"].says(StagedCopyBad(CLAIMED_A, "it was wiped"))
        for _ in range(3):
            await settled()
            assert len(takes_of_a(works)) == 1


# --- Deaths ---


async def test_a_claimer_that_dies_in_the_middle_of_a_copy_goes_on_with_it() -> None:
    async with Works() as works:
        await works.stages("a")
        await works.dies("claimer")
        [again] = works["claimer"].reads()
        assert (again.message, again.attempt) == (Take(CLAIMED_A, version(100)), 2)
        await works.says("claimer", StagingBegun(CLAIMED_A, version(100)), FileStaged(CLAIMED_A))
        assert works.stage(CLAIMED_A) is Stage.UPLOADING
        assert works.ledger.staging_used == 100 + MANIFEST


async def test_a_claimer_that_dies_before_it_could_say_that_it_is_done_does_not_stage_again() -> None:
    async with Works() as works:
        await works.stages("a")
        await works.says("claimer", FileStaged(CLAIMED_A))
        await works.dies("claimer")
        assert works["claimer"].hears() == []
        assert works.stage(CLAIMED_A) is Stage.UPLOADING


async def test_a_claimer_that_dies_with_a_file_whose_blob_is_committed_does_not_disturb_its_end() -> None:
    async with Works() as works:
        await works.stages("a")
        await works.says("claimer", FileStaged(CLAIMED_A))
        await works.says("uploader", FileUploaded(CLAIMED_A, version(100), 1.0, overwrote=False))
        await works.dies("claimer")
        assert works["claimer"].hears() == []
        await works.says("collector", Unstaged(CLAIMED_A), FileCompleted(CLAIMED_A))
        assert works.telemetry.totals.completed == 1
        assert works.ledger.staging_used == 0


async def test_a_dead_claimers_jobs_are_not_held_back_by_their_own_places_under_way() -> None:
    """With as many files under way as there may be, one of them is the Claimer's own."""
    async with Works(workers=1, queue=10) as works:
        await works.uploads("b")
        await works.uploads("c")
        await works.stages("a")
        await works.dies("claimer")
        assert works["claimer"].hears() == [Take(CLAIMED_A, version(100))]


async def test_an_uploader_that_dies_sends_again_what_it_had_in_hand() -> None:
    """The next one is told that all is staged: nobody will tell it that more is."""
    async with Works() as works:
        upload = await works.uploads("a")
        await works.dies("uploader")
        assert replace(upload, staged=True) in works["uploader"].hears()


async def test_an_uploader_that_dies_while_a_file_is_staged_goes_on_as_it_grows() -> None:
    async with Works() as works:
        await works.stages("a")
        await works.dies("uploader")
        assert Upload(CLAIMED_A, version(100)) in works["uploader"].hears()


async def test_an_uploader_that_dies_after_its_last_word_does_not_send_again() -> None:
    async with Works() as works:
        upload = await works.uploads("a")
        await works.says("uploader", FileUploaded(CLAIMED_A, version(100), 1.0, overwrote=False))
        await works.dies("uploader")
        assert upload not in works["uploader"].hears()
        assert works["collector"].hears() == [Complete(CLAIMED_A, version(100))]


@pytest.mark.parametrize("word", [FileTroubled(CLAIMED_A, "EIO"), FileChanged(CLAIMED_A)])
async def test_an_uploader_that_dies_before_it_has_abandoned_a_file_does_not_send_it(word: FileTroubled | FileChanged) -> None:
    async with Works() as works:
        await works.stages("a")
        await works.says("claimer", word)
        await works.dies("uploader")
        assert not [message for message in works["uploader"].hears() if isinstance(message, Upload)]


async def test_a_collector_that_dies_completes_again() -> None:
    async with Works() as works:
        complete = await works.completes("a")
        await works.dies("collector")
        assert complete in works["collector"].hears()


async def test_a_collector_that_dies_after_its_last_word_leaves_the_files_next_version_alone() -> None:
    async with Works() as works:
        complete = await works.completes("a")
        await works.says("collector", FileChanged(CLAIMED_A))
        await works.takes(CLAIMED_A, 200)
        await works.dies("collector")
        assert complete not in works["collector"].hears()
        assert works.stage(CLAIMED_A) is Stage.STAGING


async def test_all_five_actors_die_in_every_step_of_a_files_story_and_it_is_completed() -> None:
    """Each redelivered job is done again as its actor would do it."""
    async with Works() as works:
        for actor in works.refs:
            await asyncio.sleep(61)  # more than five deaths a minute are another story
            await works.sees(A)
            await works.dies(actor)
            await works.says("claimer", FileClaimed(A, CLAIMED_A, version(100)))
            await works.dies(actor)
            works["claimer"].hears()
            await works.says("claimer", StagingBegun(CLAIMED_A, version(100)))
            await works.dies(actor)
            await works.says("claimer", StagingBegun(CLAIMED_A, version(100)), FileStaged(CLAIMED_A))
            works["claimer"].hears()
            works["claimer"].finishes()
            await settled()
            await works.dies(actor)
            await works.says("uploader", FileUploaded(CLAIMED_A, version(100), 1.0, overwrote=False))
            await works.dies(actor)
            await works.says("collector", Unstaged(CLAIMED_A), FileCompleted(CLAIMED_A))
            assert list(works.ledger) == []
            assert works.ledger.staging_used == 0
            works.hears_nothing_new()
            for name in works.refs:
                works[name].finishes()
            await settled()
        assert works.telemetry.totals.completed == len(works.refs)


# --- Parked no longer than it takes ---

LOOKED = Looked((SessionFound("s", DATE, 0, files=True),))


async def are_parked(works: Works, troubles: dict[File, str]) -> None:
    """Each for its own reason, and by now for long."""
    for number in range(8):
        if number:
            await asyncio.sleep(1000)  # the longest pause is over
        for file, error in troubles.items():
            take = await works.takes(file)
            await works.says("claimer", FileTroubled(file, error))
            await works.done("claimer", take)
    works.hears_nothing_new()
    for file in troubles:
        retry_at = works.entry(file).retry_at
        assert retry_at is not None
        assert retry_at > clock().now() + 60


async def test_what_is_parked_is_let_go_when_nfs_can_be_looked_at_again() -> None:
    async with Works() as works:
        await are_parked(works, {CLAIMED_A: "ESTALE"})
        await works.says("scanner", LookFailed("ESTALE"))
        assert works.let_go() == []
        await works.says("scanner", LOOKED)
        assert works.let_go() == [CLAIMED_A]


async def test_what_is_parked_is_let_go_when_a_new_scanner_has_looked() -> None:
    """The old one may have been killed because it hung."""
    async with Works() as works:
        await are_parked(works, {CLAIMED_A: "EIO"})
        await works.dies("scanner")
        works["scanner"].starts()
        await works.says("scanner", LOOKED)
        assert works.let_go() == [CLAIMED_A]


async def test_a_look_like_any_other_shortens_no_pause() -> None:
    async with Works() as works:
        await works.says("scanner", LOOKED)
        await are_parked(works, {CLAIMED_A: "EIO"})
        await works.says("scanner", LOOKED)
        assert works.let_go() == []


async def test_a_success_lets_those_go_that_had_the_same_trouble_and_no_others() -> None:
    async with Works() as works:
        await are_parked(works, {arrival("same"): "EROFS", arrival("other"): "EIO"})
        take = await works.takes(A)
        await works.says("claimer", FileTroubled(A, "EROFS"))
        await works.done("claimer", take)
        await asyncio.sleep(FIRST_PAUSE_S)
        await works.takes(A)
        works.hears_nothing_new()
        await works.says("claimer", FileClaimed(A, CLAIMED_A, version(100)))
        assert set(works.let_go()) == {A, arrival("same")}
        assert works.stage(arrival("other")) is Stage.PARKED


async def test_a_file_that_kills_its_actor_does_not_come_back_sooner_for_any_news() -> None:
    async with Works() as works:
        await works.takes(CLAIMED_A)
        await kills_its_actor(works, "claimer")
        works.hears_nothing_new()
        retry_at = works.entry(CLAIMED_A).retry_at
        await works.says("scanner", LookFailed("ESTALE"), LOOKED)
        assert works.let_go() == []
        assert retry_at is not None
        await asyncio.sleep(retry_at - clock().now() + 0.01)
        assert works.let_go() == [CLAIMED_A]


async def test_the_lock_is_confirmed_also_while_the_scanner_is_held_up_by_a_flood_of_files() -> None:
    async with Works() as works:
        await works.takes(A)
        await works.says("scanner", LOOKED)
        await asyncio.sleep(CONFIRM_S)
        works.hears_nothing_new()
        await works.says("claimer", FileClaimed(A, CLAIMED_A, version(100)))
        assert works["keeper"].hears() == [Confirm("s")]


# --- Dead letters ---


async def kills_its_actor(works: Works, actor: str, times: int = MOST_DELIVERIES) -> None:
    for _ in range(times):
        await works.dies(actor)


async def test_a_file_that_kills_the_claimer_three_times_is_parked_and_the_next_one_is_taken() -> None:
    async with Works(workers=1) as works:
        await works.takes(A)
        await works.sees(arrival("b"))
        await kills_its_actor(works, "claimer")
        entry = works.entry(A)
        assert entry.stage is Stage.PARKED
        assert entry.error is not None
        assert "claimer died 3 times" in entry.error
        assert works.has_taken(arrival("b")).file == arrival("b")
        assert works.supervisor.sick() is None


@pytest.mark.parametrize("actor", ["claimer", "uploader", "collector"])
async def test_a_file_that_kills_its_actor_every_time_does_not_end_the_service(actor: str) -> None:
    """It comes back, and comes back more seldom than deaths are counted."""
    async with Works() as works:
        for _ in range(5):
            match actor:
                case "claimer":
                    await works.takes(CLAIMED_A)
                case "uploader":
                    take = await works.takes(CLAIMED_A)
                    await works.says("claimer", StagingBegun(CLAIMED_A, version(100)), FileStaged(CLAIMED_A))
                    await works.done("claimer", take)
                case _:
                    take = await works.takes(CLAIMED_A)
                    await works.says("claimer", StagingBegun(CLAIMED_A, version(100)), FileStaged(CLAIMED_A))
                    await works.done("claimer", take)
                    await works.says("uploader", FileUploaded(CLAIMED_A, version(100), 1.0, overwrote=False))
                    works["uploader"].hears()
                    await works.done("uploader", Upload(CLAIMED_A, version(100)))
            await kills_its_actor(works, actor)
            assert works.stage(CLAIMED_A) is Stage.PARKED
            assert works.supervisor.sick() is None
            await is_let_go(works)
            works.hears_nothing_new()


async def test_a_file_that_kills_the_uploader_is_not_taken_a_second_time_while_the_claimer_stages_it() -> None:
    async with Works() as works:
        take = await works.stages("a")
        await kills_its_actor(works, "uploader")
        assert works.stage(CLAIMED_A) is Stage.PARKED
        works.hears_nothing_new()
        await asyncio.sleep(600)
        assert works.let_go() == []
        await works.says("scanner", FileStable(CLAIMED_A, version(100)))
        assert len(takes_of_a(works)) == 1
        await works.done("claimer", take)
        assert CLAIMED_A in works.let_go()


async def test_a_keeper_that_hung_three_times_with_a_session_in_hand_is_asked_for_it_again() -> None:
    """Or the session would never be resumed, though NFS answers again."""
    async with Works() as works:
        works.desk.active = None
        look = Looked((SessionFound("t", DATE, 0, files=True),))
        await works.says("scanner", look)
        await kills_its_actor(works, "keeper")
        assert works["keeper"].hears() == []
        await works.says("scanner", look)
        assert works["keeper"].hears() == [Hold("t", record=True)]


async def test_a_session_whose_release_killed_the_keeper_can_be_had_again() -> None:
    async with Works() as works:
        works.desk.stop()
        await settled()
        look = Looked((SessionFound("s", DATE, 0, files=False),))
        await works.says("scanner", look)
        works["keeper"].hears()
        await works.done("keeper", Drain("s"))
        assert works["keeper"].hears() == [Release("s", forget=True)]
        await kills_its_actor(works, "keeper")
        await works.says("scanner", look)
        assert works["keeper"].hears() == [Hold("s", record=True)], "it is on NFS, so it is not over"


# --- Late news ---


async def test_an_upload_of_an_older_version_does_not_complete_the_next_one() -> None:
    async with Works() as works:
        await works.uploads("a")
        await works.says("claimer", FileChanged(CLAIMED_A))
        await works.takes(CLAIMED_A, 200)
        await works.says("uploader", FileUploaded(CLAIMED_A, version(100), 1.0, overwrote=False))
        assert works["collector"].hears() == []
        assert works.stage(CLAIMED_A) is Stage.STAGING


@pytest.mark.parametrize(
    "word",
    [
        StagedCopyBad(CLAIMED_A, "gone"),
        UploadFailed(CLAIMED_A, 1, "503", 0.1),
        UploadBegun(CLAIMED_A, 2),
        FileUploaded(CLAIMED_A, version(100), 1.0, overwrote=False),
    ],
    ids=lambda word: type(word).__name__,
)
async def test_what_the_uploader_says_of_a_file_that_was_withdrawn_from_it_changes_nothing(word: object) -> None:
    async with Works() as works:
        await works.stages("a")
        await works.says("claimer", FileTroubled(CLAIMED_A, "EIO"))
        entry = works.entry(CLAIMED_A)
        before = (entry.stage, entry.error, entry.retry_at, entry.attempts)
        await works.says("uploader", word)
        assert (entry.stage, entry.error, entry.retry_at, entry.attempts) == before
        assert works["collector"].hears() == []
        assert len(takes_of_a(works)) == 1


async def test_a_claimed_file_that_is_seen_before_its_claim_was_told_is_not_taken_a_second_time() -> None:
    """The link is there, the Claimer has not come back from the rest of the claim, and the Scanner finds the file stable."""
    async with Works() as works:
        await works.takes(A)
        await works.says("scanner", FileStable(CLAIMED_A, version(100)))
        assert len(takes_of_a(works)) == 1
        assert CLAIMED_A not in works.ledger
        assert works.let_go() == [CLAIMED_A], "it is to be reported again: the claim may come to nothing"

        await works.says("claimer", FileClaimed(A, CLAIMED_A, version(100)))
        await works.says("scanner", FileStable(CLAIMED_A, version(100)))
        assert len(takes_of_a(works)) == 1


async def test_unstaged_of_an_older_version_does_not_free_the_room_of_the_next_one() -> None:
    async with Works() as works:
        await works.stages("a", 100)
        await works.says("collector", Unstaged(CLAIMED_A))
        assert works.ledger.staging_used == 100 + MANIFEST


async def test_what_is_removed_while_its_file_waits_in_the_queue_takes_no_room_any_more() -> None:
    async with Works(workers=1) as works:
        await works.says("claimer", StagingFound(CLAIMED_A, 50))
        await works.takes(arrival("b"), 100)
        await works.sees(CLAIMED_A, 100)
        assert works.stage(CLAIMED_A) is Stage.QUEUED
        await works.says("collector", Unstaged(CLAIMED_A))
        assert works.ledger.staging_used == 100 + MANIFEST


async def test_what_an_earlier_process_left_in_staging_counts_until_it_is_removed() -> None:
    async with Works() as works:
        await works.says("claimer", StagingFound(CLAIMED_A, 5000))
        assert works.ledger.staging_used == 5000
        await works.dies("claimer")
        await works.says("claimer", StagingFound(CLAIMED_A, 5000))
        assert works.ledger.staging_used == 5000
        await works.says("collector", Unstaged(CLAIMED_A))
        assert works.ledger.staging_used == 0


async def test_completed_is_counted_once_though_the_collector_says_it_twice() -> None:
    async with Works() as works:
        await works.moves("a")
        await works.says("collector", Unstaged(CLAIMED_A), FileCompleted(CLAIMED_A))
        assert works.telemetry.totals.completed == 1
