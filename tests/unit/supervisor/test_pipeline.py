"""The story of a file when nothing goes wrong, and of many: what is said to whom, and what the ledger and the totals say meanwhile."""

import pytest

from nfsw.actors.envelope import Envelope
from nfsw.actors.files import Arrival, FileRef
from nfsw.actors.messages import (
    Abandon,
    Complete,
    ContainerReady,
    ContainerRefused,
    FileChanged,
    FileClaimed,
    FileCompleted,
    FileGone,
    FileRefused,
    FileStable,
    FileStaged,
    FileUploaded,
    Looked,
    NameAside,
    NameTaken,
    PutBack,
    RefusalLifted,
    RuleFound,
    SessionFound,
    SetUploads,
    StagedCopyBad,
    StagingBegun,
    StagingGrew,
    Take,
    Unstaged,
    Upload,
    UploadGrew,
    Watch,
)
from nfsw.actors.stability import Rule
from nfsw.supervisor.ledger import Stage
from tests.support.faketime import settled
from tests.unit.supervisor.works import DATE, MANIFEST, QUEUE, WORKERS, Works, arrival, claimed, version

A, CLAIMED_A = arrival("a"), claimed("a")
B, CLAIMED_B = arrival("b"), claimed("b")


def stable(name: str, size: int = 1) -> FileStable:
    return FileStable(arrival(name), version(size))


async def test_a_stable_arrival_goes_to_the_claimer_which_has_its_room_in_staging_from_then_on() -> None:
    async with Works() as works:
        await works.sees(A, 100)
        assert works["claimer"].hears() == [Take(A, version(100))]
        assert works.stage(A) is Stage.STAGING
        assert works.ledger.staging_used == 100 + MANIFEST


async def test_a_file_that_is_reported_twice_is_taken_once() -> None:
    async with Works() as works:
        await works.sees(A)
        await works.sees(A)
        assert works["claimer"].hears() == [Take(A, version(100))]
        assert works.let_go() == []


async def test_a_claim_renames_the_entry_and_the_job_and_frees_the_name() -> None:
    async with Works() as works:
        await works.takes(A)
        await works.says("claimer", FileClaimed(A, CLAIMED_A, version(100)))
        assert A not in works.ledger
        assert works.stage(CLAIMED_A) is Stage.STAGING
        assert [job.message for job in works.refs["claimer"].jobs()] == [Take(CLAIMED_A, version(100))]
        assert works.let_go() == [A], "the next file of that name is to be reported"


async def test_what_the_claim_made_of_the_file_is_what_it_is_compared_with_from_then_on() -> None:
    """The claim's own LINK and RENAME have changed its ctime."""
    async with Works() as works:
        take = await works.takes(A)
        baseline = version(100, ctime_ns=2)
        await works.says("claimer", FileClaimed(A, CLAIMED_A, baseline))
        assert [job.message for job in works.refs["claimer"].jobs()] == [Take(CLAIMED_A, baseline)]
        await works.says("claimer", StagingBegun(CLAIMED_A, baseline), FileStaged(CLAIMED_A))
        await works.done("claimer", take)
        assert Upload(CLAIMED_A, baseline) in works["uploader"].hears()
        await works.says("uploader", FileUploaded(CLAIMED_A, baseline, 1.0, overwrote=False))
        assert works["collector"].hears() == [Complete(CLAIMED_A, baseline)]


async def test_a_file_of_which_a_lease_was_granted_is_taken_only_if_one_is_granted_again() -> None:
    async with Works() as works:
        await works.says("scanner", FileStable(A, version(100), leased=True))
        take = works.has_taken(A)
        assert take.leased
        await works.says("claimer", FileClaimed(A, CLAIMED_A, version(100)))
        assert [job.message for job in works.refs["claimer"].jobs()] == [Take(CLAIMED_A, version(100), leased=True)]
        await works.says("claimer", StagingBegun(CLAIMED_A, version(100)))
        await works.says("uploader", StagedCopyBad(CLAIMED_A, "wiped"))
        await works.done("claimer", take)
        assert Take(CLAIMED_A, version(100), afresh=True, leased=True) in works["claimer"].hears()


async def test_one_of_which_nobody_could_tell_is_taken_without() -> None:
    async with Works() as works:
        await works.says("scanner", FileStable(A, version(100), leased=False))
        assert not works.has_taken(A).leased


async def test_what_ending_a_cut_off_claim_made_of_a_found_file_is_what_it_is_compared_with() -> None:
    async with Works() as works:
        take = await works.takes(CLAIMED_A)
        baseline = version(100, ctime_ns=2)
        await works.says("claimer", StagingBegun(CLAIMED_A, baseline), FileStaged(CLAIMED_A))
        await works.done("claimer", take)
        await works.says("uploader", FileUploaded(CLAIMED_A, baseline, 1.0, overwrote=False))
        assert works["collector"].hears() == [Complete(CLAIMED_A, baseline)]


async def test_the_uploader_is_told_of_a_file_as_soon_as_there_is_something_to_send_and_whenever_there_is_more() -> None:
    async with Works() as works:
        await works.takes(A)
        await works.says("claimer", FileClaimed(A, CLAIMED_A, version(100)), StagingBegun(CLAIMED_A, version(100)))
        assert works["uploader"].hears() == [Upload(CLAIMED_A, version(100))]
        await works.says("claimer", StagingGrew(CLAIMED_A, 40))
        assert works["uploader"].hears() == [StagingGrew(CLAIMED_A, 40)]
        assert works.entry(CLAIMED_A).staged == 40
        await works.says("claimer", FileStaged(CLAIMED_A))
        assert works["uploader"].hears() == [FileStaged(CLAIMED_A)]
        assert works.stage(CLAIMED_A) is Stage.UPLOADING


async def test_the_uploader_is_told_to_look_first_where_an_earlier_life_may_have_sent_the_file() -> None:
    async with Works() as works:
        await works.takes(A)
        await works.says("claimer", FileClaimed(A, CLAIMED_A, version(100)), StagingBegun(CLAIMED_A, version(100)))
        [fresh] = works["uploader"].hears()
        assert isinstance(fresh, Upload)
        assert not fresh.look_first
        await works.dies("uploader")
        [again] = [message for message in works["uploader"].hears() if isinstance(message, Upload)]
        assert again.look_first
        await works.takes(claimed("b"))
        await works.says("claimer", StagingBegun(claimed("b"), version(100)))
        [found] = works["uploader"].hears()
        assert isinstance(found, Upload)
        assert found.look_first


async def test_the_uploads_progress_is_in_the_ledger_and_the_totals() -> None:
    async with Works() as works:
        await works.uploads("a")
        await works.says("uploader", UploadGrew(CLAIMED_A, held=40, left=60, sent=60, resent=10))
        assert works.entry(CLAIMED_A).done == 60
        assert (works.telemetry.totals.bytes_sent, works.telemetry.totals.bytes_resent) == (60, 10)


async def test_a_verified_blob_goes_to_the_collector_and_only_to_it() -> None:
    async with Works() as works:
        await works.uploads("a")
        works.hears_nothing_new()
        await works.says("uploader", FileUploaded(CLAIMED_A, version(100), seconds=1.0, overwrote=False))
        assert works["collector"].hears() == [Complete(CLAIMED_A, version(100))]
        assert works["uploader"].hears() == []
        assert works.stage(CLAIMED_A) is Stage.COMPLETING
        assert works.telemetry.totals.completed == 0


async def test_a_completed_file_is_in_nobodys_hands_and_takes_no_room() -> None:
    async with Works() as works:
        await works.moves("a", 100)
        assert list(works.ledger) == []
        assert works.ledger.staging_used == 0
        assert (works.telemetry.totals.completed, works.telemetry.totals.bytes_completed) == (1, 100)
        assert works.telemetry.totals.failed == 0
        for ref in works.refs.values():
            assert (len(ref.mailbox), ref.jobs()) == (0, [])


async def test_at_its_end_each_file_has_one_line_with_all_that_is_known_of_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with Works() as works:
        upload = await works.uploads("a")
        uploaded = FileUploaded(CLAIMED_A, upload.fingerprint, 1.5, overwrote=False, attempts=2, crc64="rosKnw==", request_id="4711")
        await works.says("uploader", uploaded)
        await works.says("collector", FileCompleted(CLAIMED_A))
    [line] = [record for record in caplog.records if "deleted from NFS" in record.getMessage()]
    assert line.levelname == "INFO"
    assert line.getMessage() == (
        f"in Azure and deleted from NFS: blob {CLAIMED_A.blob}, 100 bytes, 1.5 s, 2 attempts, CRC64 rosKnw==, Azure's request id 4711"
    )
    assert (line.__dict__["session_name"], line.__dict__["file_name"]) == ("s", "a")


async def test_a_hundred_files_pass_and_leave_nothing_behind() -> None:
    async with Works() as works:
        for number in range(100):
            await works.moves(str(number), number)
        assert works.telemetry.totals.completed == 100
        assert works.ledger.staging_used == 0
        assert list(works.ledger) == []


async def test_every_message_about_a_file_carries_its_trace() -> None:
    async with Works() as works:
        await works.sees(A)
        [take] = works["claimer"].reads()
        await works.says("claimer", FileClaimed(A, CLAIMED_A, version(100)), StagingBegun(CLAIMED_A, version(100)), FileStaged(CLAIMED_A))
        traced = works["uploader"].reads()
        await works.says("uploader", FileUploaded(CLAIMED_A, version(100), 1.0, overwrote=False))
        traced += works["collector"].reads()
        assert take.traceparent is not None
        assert {envelope.traceparent for envelope in traced} == {take.traceparent}
        assert len(traced) == 3


# --- Who is let in ---


async def test_a_file_of_a_session_that_is_not_active_is_let_go() -> None:
    async with Works() as works:
        other = Arrival("other", "a")
        await works.sees(other)
        assert other not in works.ledger
        assert works.let_go() == [other]


async def test_a_claimed_file_of_a_session_that_is_not_held_is_left_alone() -> None:
    async with Works() as works:
        await works.sees(FileRef(DATE, "other", "a"))
        assert works["claimer"].hears() == []
        assert list(works.ledger) == []


async def test_a_claimed_file_of_a_session_that_is_held_is_taken_like_an_arrival() -> None:
    async with Works() as works:
        take = await works.takes(CLAIMED_A)
        assert take == Take(CLAIMED_A, version(100))
        await works.says("claimer", StagingBegun(CLAIMED_A, version(100)))
        assert works["uploader"].hears() == [Upload(CLAIMED_A, version(100))]


async def test_a_new_file_waits_while_one_of_its_name_is_being_processed_even_of_another_date() -> None:
    async with Works() as works:
        await works.sees(FileRef("20260101", "s", "a"))
        await works.sees(A)
        assert A not in works.ledger
        assert works.let_go() == [A]


async def test_a_file_whose_name_the_claimer_finds_taken_is_let_go_and_gives_its_room_back() -> None:
    async with Works() as works:
        take = await works.takes(A)
        await works.says("claimer", NameTaken(A))
        await works.done("claimer", take)
        assert A not in works.ledger
        assert works.let_go() == [A]
        assert works.ledger.staging_used == 0


@pytest.mark.parametrize("word", [FileChanged, FileGone])
async def test_an_arrival_that_is_not_what_was_seen_is_let_go(word: type[FileChanged] | type[FileGone]) -> None:
    async with Works() as works:
        take = await works.takes(A)
        await works.says("claimer", word(A))
        await works.done("claimer", take)
        assert list(works.ledger) == []
        assert works.let_go() == [A]
        assert works.ledger.staging_used == 0
        assert works.telemetry.totals.failed == 0, "it is no failure"


@pytest.mark.parametrize("word", [FileChanged, FileGone])
async def test_a_claimed_file_that_changes_while_it_is_staged_is_withdrawn_from_the_uploader_and_let_go(
    word: type[FileChanged] | type[FileGone],
) -> None:
    async with Works() as works:
        take = await works.stages("a")
        works.hears_nothing_new()
        await works.says("claimer", word(CLAIMED_A))
        await works.done("claimer", take)
        assert works["uploader"].hears() == [Abandon(CLAIMED_A)]
        assert works.let_go() == [CLAIMED_A]
        assert list(works.ledger) == []


async def test_a_file_that_changed_after_its_upload_is_let_go_and_goes_through_all_again() -> None:
    async with Works() as works:
        complete = await works.completes("a")
        await works.says("collector", FileChanged(CLAIMED_A))
        await works.done("collector", complete)
        assert CLAIMED_A in works.let_go()
        assert works.telemetry.totals.completed == 0
        again = await works.takes(CLAIMED_A, 120)
        assert again.fingerprint == version(120)


async def test_what_the_scanner_refuses_is_listed_until_it_says_otherwise() -> None:
    async with Works() as works:
        await works.says("scanner", FileRefused(A, "no"), FileRefused(B, "no"))
        await works.says("scanner", RefusalLifted(A))
        assert works.pipeline.refused == {B: FileRefused(B, "no")}
        await works.dies("scanner")
        assert works.pipeline.refused == {}, "the next life says it again"


async def test_a_name_that_was_left_aside_goes_to_the_claimer() -> None:
    async with Works() as works:
        aside = NameAside("s", "a", "1")
        await works.says("scanner", aside)
        assert works["claimer"].hears() == [PutBack(aside)]


# --- Back-pressure ---


async def test_a_full_queue_stops_the_scanners_words_and_nothing_else() -> None:
    async with Works() as works:
        for number in range(10):
            works["scanner"].says(stable(str(number)))
        await settled()
        assert works.waiting("claimer") == QUEUE
        assert works["scanner"].unread == 10 - WORKERS - QUEUE - 1, "one of them is at the door"
        assert len(list(works.ledger)) <= WORKERS + QUEUE + 1

        [first, _] = works["claimer"].hears()
        assert isinstance(first, Take)
        await works.says("claimer", FileClaimed(arrival("0"), claimed("0"), version(1)), StagingBegun(claimed("0"), version(1)))
        assert works["uploader"].hears() == [Upload(claimed("0"), version(1))]
        await works.done("claimer", first)
        assert works.has_taken(arrival("2")).fingerprint == version(1)
        assert works.waiting("claimer") == QUEUE, "and the next one is in"


async def test_all_files_get_through_a_full_queue_in_their_order() -> None:
    async with Works() as works:
        works["scanner"].says(*(stable(str(number)) for number in range(30)))
        order: list[str] = []
        for _ in range(100):
            await settled()
            for take in works["claimer"].hears():
                assert isinstance(take, Take)
                order.append(take.file.name)
                await works.says("claimer", FileGone(take.file))
                await works.done("claimer", take)
        assert order == [str(number) for number in range(30)]
        assert list(works.ledger) == []


async def test_a_scanner_that_dies_while_the_queue_is_full_loses_no_file() -> None:
    """The next life reports what this one had at the door; so nobody may think that it is in hand already."""
    async with Works() as works:
        works["scanner"].says(*(stable(str(number)) for number in range(10)))
        await settled()
        await works.dies("scanner")
        works["scanner"].says(*(stable(str(number)) for number in range(10)))
        taken: set[str] = set()
        for _ in range(20):
            await settled()
            for take in works["claimer"].hears():
                assert isinstance(take, Take)
                taken.add(take.file.name)
                await works.says("claimer", FileGone(take.file))
                await works.done("claimer", take)
        assert taken == {str(number) for number in range(10)}
        assert list(works.ledger) == []


# --- Greetings ---


async def test_each_actor_is_told_first_what_it_has_to_know() -> None:
    async with Works() as works:
        await works.service.limit_uploads(1000)
        await works.uploads("a")
        await works.sees(arrival("b"))
        for name in works.refs:
            await works.dies(name)
        assert works["scanner"].hears()[0] == works.desk.watch()
        assert works["collector"].hears() == [works.desk.watch()]
        assert works["uploader"].hears()[0] == SetUploads(1000, paused=False)
        [hold] = works["keeper"].hears()
        assert hold == works.desk.greeting()[0]
        assert works["claimer"].hears() == [Take(arrival("b"), version(100))], "it needs to know nothing"


async def test_what_a_session_does_is_shown_to_scanner_and_collector() -> None:
    async with Works() as works:
        works.desk.stop()
        await settled()
        shown = Watch(None, frozenset({"s"}), frozenset())
        assert works["scanner"].hears() == [shown]
        assert works["collector"].hears() == [shown]


# --- Stop ---


async def test_after_a_stop_what_waits_is_left_where_it_is_and_what_is_claimed_goes_on() -> None:
    async with Works() as works:
        take, second = await works.stages("a"), await works.takes(CLAIMED_B)
        for name in ("c", "d"):
            await works.sees(arrival(name))
        await works.sees(claimed("e"))
        works.hears_nothing_new()

        await works.stops()
        await settled()

        assert works.let_go() == [arrival("c"), arrival("d")]
        assert {entry.file for entry in works.ledger} == {CLAIMED_A, CLAIMED_B, claimed("e")}
        await works.says("claimer", FileStaged(CLAIMED_A))
        await works.done("claimer", take, second)
        assert works["claimer"].hears() == [Take(claimed("e"), version(100))]


async def test_after_a_stop_nothing_new_is_claimed_even_if_it_was_at_the_door() -> None:
    async with Works() as works:
        works["scanner"].says(*(stable(str(number)) for number in range(10)))
        await settled()
        first, second = works["claimer"].hears()
        await works.stops()
        await settled()
        for take in (first, second):
            assert isinstance(take, Take)
            await works.says("claimer", FileGone(take.file))
            await works.done("claimer", take)
        assert works["claimer"].hears() == []
        assert list(works.ledger) == []
        assert len(works.let_go()) == 10


async def test_after_a_stop_a_claim_that_a_crash_cut_short_is_not_made_again() -> None:
    async with Works() as works:
        await works.takes(A)
        await works.stops()
        await works.dies("claimer")
        assert works["claimer"].hears() == []
        assert A in works.let_go()
        assert list(works.ledger) == []


async def test_a_stopped_session_ends_once_its_last_file_is_completed() -> None:
    async with Works() as works:
        complete = await works.completes("a")
        await works.stops()
        await works.keeps()
        look = Looked((SessionFound("s", DATE, 0, files=False),))
        await works.says("scanner", look)
        assert works.desk.status() is not None, "a file is in hand"
        await works.says("collector", Unstaged(CLAIMED_A), FileCompleted(CLAIMED_A))
        await works.done("collector", complete)
        await works.says("scanner", look)
        assert works.desk.status() is None


# --- Uploads and the container ---


async def test_a_limit_goes_to_the_uploader_once() -> None:
    async with Works() as works:
        await works.service.limit_uploads(1000)
        await works.service.limit_uploads(1000)
        await settled()
        assert works["uploader"].hears() == [SetUploads(1000, paused=False)]


async def test_the_container_is_settled_by_the_first_word_about_it() -> None:
    async with Works() as works:
        await works.says("uploader", ContainerRefused("no"))
        assert await works.pipeline.container is None
        await works.says("uploader", ContainerReady())


async def test_a_container_that_is_refused_says_why() -> None:
    works = Works()
    await works.pipeline.on_message("uploader", Envelope(ContainerRefused("403 AuthorizationFailure")))
    assert await works.service.container_checked() == "403 AuthorizationFailure"
    assert works.service.unready() is not None


async def test_a_word_that_nobody_understands_is_an_error() -> None:
    works = Works()
    with pytest.raises(TypeError, match="which nobody understands"):
        await works.pipeline.on_message("scanner", Envelope(Take(A, version(1))))


async def test_the_collector_is_told_whether_leases_are_granted_also_the_next_one() -> None:
    """It deletes nothing that is open, where that can be known."""
    async with Works() as works:
        found = RuleFound(Rule.LEASE, "granted")
        await works.says("scanner", found)
        assert works["collector"].hears()[-1] == found
        await works.dies("collector")
        assert found in works["collector"].hears()
