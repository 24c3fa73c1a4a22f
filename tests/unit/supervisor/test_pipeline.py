"""The story of a file when nothing goes wrong, and of many: what is said to whom, and what records and totals say meanwhile."""

import pytest

from nfsw.actors.envelope import Envelope, Reply
from nfsw.actors.files import Arrival, FileRef
from nfsw.actors.messages import (
    AcquireLock,
    Changed,
    Claimed,
    Completed,
    CompleteFile,
    ContainerReady,
    ContainerRefused,
    DisplacedFile,
    DisplacedSeenTo,
    FileRefused,
    FileStable,
    Gone,
    MoreStaged,
    NameTaken,
    RefusalLifted,
    ReportAgain,
    RestoreDisplaced,
    RuleFound,
    ScanFinished,
    SessionFound,
    SetUploads,
    Staged,
    StagedCopyBad,
    StageFile,
    StagingProgress,
    StillOpen,
    Uploaded,
    UploadFile,
    UploadProgress,
    WatchedSessions,
    WithdrawUpload,
)
from nfsw.actors.stability import Rule
from nfsw.supervisor.tracked_file import Stage
from tests.support.faketime import settled
from tests.unit.supervisor.works import DATE, MANIFEST, QUEUE, UPLOADED, WORKERS, Works, arrival, claimed, version

A, CLAIMED_A = arrival("a"), claimed("a")
B, CLAIMED_B = arrival("b"), claimed("b")


async def test_a_stable_arrival_goes_to_the_claimer_and_has_its_room_in_staging_from_then_on() -> None:
    async with Works() as works:
        await works.sees(A, 100)
        assert works["claimer"].hears() == [StageFile(A, version(100))]
        assert works.stage(A) is Stage.STAGING
        assert works.budget.used == 100 + MANIFEST


async def test_a_file_that_is_reported_twice_is_taken_once() -> None:
    async with Works() as works:
        await works.sees(A)
        await works.sees(A)
        assert works["claimer"].hears() == [StageFile(A, version(100))]
        assert works.reports_again() == []


async def test_a_marker_that_was_seen_has_to_be_there_at_the_claim_and_never_after_it() -> None:
    async with Works() as works:
        marker, newer = version(0), version(1)
        await works.says("scanner", FileStable(A, version(100), marker=marker))
        assert works["claimer"].hears() == [StageFile(A, version(100), marker=marker)]
        await works.says("scanner", FileStable(B, version(100), marker=marker), FileStable(B, version(100), marker=newer))
        await works.news("claimer", "a", Claimed(CLAIMED_A, version(100)))
        await works.dies("claimer")
        assert works["claimer"].hears()[0] == StageFile(CLAIMED_A, version(100))


async def test_a_claim_renames_the_record_and_the_job() -> None:
    async with Works() as works:
        await works.takes(A)
        await works.news("claimer", "a", Claimed(CLAIMED_A, version(100)))
        assert works.under_way == {CLAIMED_A}
        assert works.stage(CLAIMED_A) is Stage.STAGING
        await works.dies("claimer")
        assert works["claimer"].hears() == [StageFile(CLAIMED_A, version(100))]


async def test_what_the_claim_made_of_the_file_is_what_it_is_compared_with_from_then_on() -> None:
    """The claim's own LINK and RENAME have changed its ctime."""
    async with Works() as works:
        await works.takes(A)
        baseline = version(100, ctime_ns=2)
        await works.news("claimer", "a", Claimed(CLAIMED_A, baseline))
        await works.replies("claimer", "a", Staged())
        assert works["uploader"].hears() == [UploadFile(CLAIMED_A, baseline, staged=True)]
        await works.replies("uploader", "a", UPLOADED)
        assert works["collector"].hears() == [CompleteFile(CLAIMED_A, baseline)]


async def test_a_file_of_which_a_lease_was_granted_is_taken_only_if_one_is_granted_again() -> None:
    async with Works() as works:
        await works.says("scanner", FileStable(A, version(100), leased=True))
        assert works.has_taken(A).leased
        await works.news("claimer", "a", Claimed(CLAIMED_A, version(100)))
        await works.replies("claimer", "a", Staged())
        await works.replies("uploader", "a", StagedCopyBad("wiped"))
        assert works["claimer"].hears() == [StageFile(CLAIMED_A, version(100), restage=True, leased=True)]


async def test_one_of_which_nobody_could_tell_is_taken_without() -> None:
    async with Works() as works:
        await works.says("scanner", FileStable(A, version(100), leased=False))
        assert not works.has_taken(A).leased


async def test_the_uploader_gets_a_file_as_soon_as_there_is_something_to_send_and_is_told_whenever_there_is_more() -> None:
    async with Works() as works:
        await works.takes(A)
        await works.news("claimer", "a", Claimed(CLAIMED_A, version(100)), StagingProgress(20))
        assert works["uploader"].hears() == [UploadFile(CLAIMED_A, version(100))]
        await works.news("claimer", "a", StagingProgress(40))
        assert works["uploader"].hears() == [MoreStaged(CLAIMED_A)]
        assert works.record(CLAIMED_A).staged == 40
        await works.replies("claimer", "a", Staged())
        assert works["uploader"].hears() == [MoreStaged(CLAIMED_A, whole=True)]
        assert works.stage(CLAIMED_A) is Stage.UPLOADING


async def test_the_uploader_is_told_to_look_first_where_an_earlier_process_may_have_sent_the_file() -> None:
    async with Works() as works:
        await works.stages("a")
        [fresh] = works["uploader"].hears()
        assert isinstance(fresh, UploadFile)
        assert not fresh.look_first
        await works.dies("uploader")
        [again] = [message for message in works["uploader"].hears() if isinstance(message, UploadFile)]
        assert again.look_first
        await works.takes(CLAIMED_B)
        await works.news("claimer", "b", StagingProgress(50))
        [found] = works["uploader"].hears()
        assert isinstance(found, UploadFile)
        assert found.look_first


async def test_the_uploads_progress_is_in_the_record_and_the_totals() -> None:
    async with Works() as works:
        await works.uploads("a")
        await works.news("uploader", "a", UploadProgress(held=40, left=60, sent=60, resent=10))
        assert works.record(CLAIMED_A).done == 60
        assert (works.totals.bytes_sent, works.totals.bytes_resent) == (60, 10)


async def test_a_verified_blob_goes_to_the_collector_and_only_to_it() -> None:
    async with Works() as works:
        await works.uploads("a")
        works.hears_nothing_new()
        await works.replies("uploader", "a", UPLOADED)
        assert works["collector"].hears() == [CompleteFile(CLAIMED_A, version(100))]
        assert works["uploader"].hears() == []
        assert works.stage(CLAIMED_A) is Stage.COMPLETING
        assert works.totals.completed == 0


async def test_of_a_completed_file_nothing_is_left() -> None:
    async with Works() as works:
        await works.moves("a", 100)
        assert list(works.files) == []
        assert works.budget.used == 0
        assert (works.totals.completed, works.totals.bytes_completed, works.totals.failed) == (1, 100, 0)
        assert (works.files.taken_on, sum(works.totals.given_up.values())) == (0, 0)
        assert all(works[name].in_hand == [] for name in works.refs)


async def test_at_its_end_each_file_has_one_line_with_all_that_is_known_of_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with Works() as works:
        await works.uploads("a")
        await works.replies("uploader", "a", Uploaded(overwrote=False, crc64="rosKnw==", request_id="4711"))
        await works.replies("collector", "a", Completed())
    [line] = [record for record in caplog.records if "deleted from NFS" in record.getMessage()]
    assert line.levelname == "INFO"
    assert line.getMessage() == (
        f"in Azure and deleted from NFS: blob {CLAIMED_A.blob}, 100 bytes, 0.0 s, 1 attempt, CRC64 rosKnw==, Azure's request id 4711"
    )
    assert (line.__dict__["session_name"], line.__dict__["file_name"]) == ("s", "a")


async def test_a_hundred_files_pass_and_leave_nothing_behind() -> None:
    async with Works() as works:
        for number in range(100):
            await works.moves(str(number), number)
        assert works.totals.completed == 100
        assert works.budget.used == 0
        assert list(works.files) == []


async def test_every_message_about_a_file_carries_its_trace() -> None:
    async with Works() as works:
        await works.sees(A)
        [take] = works["claimer"].reads()
        await works.news("claimer", "a", Claimed(CLAIMED_A, version(100)), StagingProgress(50))
        await works.replies("claimer", "a", Staged())
        traced = works["uploader"].reads()
        await works.replies("uploader", "a", UPLOADED)
        traced += works["collector"].reads()
        assert take.traceparent is not None
        assert {envelope.traceparent for envelope in traced} == {take.traceparent}
        assert len(traced) == 3


# --- Who is let in ---


async def test_a_file_of_a_session_that_is_not_active_is_to_be_reported_again() -> None:
    async with Works() as works:
        other = Arrival("other", "a")
        await works.sees(other)
        assert list(works.files) == []
        assert works.reports_again() == [other]


async def test_a_claimed_file_of_a_session_that_is_not_held_is_left_alone() -> None:
    async with Works() as works:
        await works.sees(FileRef(DATE, "other", "a"))
        assert works["claimer"].hears() == []
        assert list(works.files) == []


async def test_a_claimed_file_of_a_session_that_is_held_is_taken_like_an_arrival() -> None:
    async with Works() as works:
        assert await works.takes(CLAIMED_A) == StageFile(CLAIMED_A, version(100))
        assert works.totals.claimed["processing"] == 1
        await works.ends("a")
        assert works.totals.completed == 1


async def test_a_new_file_waits_while_one_of_its_name_is_being_processed_even_of_another_date() -> None:
    async with Works() as works:
        await works.sees(FileRef("20260101", "s", "a"))
        await works.sees(A)
        assert A not in works.under_way
        assert works.reports_again() == [A]


async def test_a_new_file_that_waits_in_the_queue_goes_back_when_one_of_its_name_is_found_claimed() -> None:
    async with Works(workers=1) as works:
        await works.takes(B)
        await works.sees(A)
        await works.sees(CLAIMED_A)
        assert works.under_way == {B, CLAIMED_A}
        assert works.reports_again() == [A]


@pytest.mark.parametrize("reply", [NameTaken(), Changed(), StillOpen(), Gone()])
async def test_an_arrival_that_is_not_claimed_is_to_be_reported_again_and_gives_its_room_back(reply: Reply) -> None:
    async with Works() as works:
        await works.takes(A)
        await works.replies("claimer", "a", reply)
        assert list(works.files) == []
        assert works.reports_again() == [A]
        assert works.budget.used == 0
        assert works.totals.failed == 0, "it is no failure"
        assert works.totals.given_up["gone"] == 0, "it was not claimed"


@pytest.mark.parametrize("reply", [Changed(), StillOpen(), Gone()])
async def test_a_claimed_file_that_changes_while_it_is_staged_is_withdrawn_from_the_uploader(reply: Reply) -> None:
    async with Works() as works:
        await works.stages("a")
        works.hears_nothing_new()
        await works.replies("claimer", "a", reply)
        assert works["uploader"].hears() == [WithdrawUpload(CLAIMED_A)]
        assert works.reports_again() == [CLAIMED_A]
        assert works.under_way == set()
        assert works.files.taken_on == (0 if reply == Gone() else 1)


async def test_a_file_that_changed_after_its_upload_goes_through_all_again() -> None:
    async with Works() as works:
        await works.completes("a")
        trace = works.record(CLAIMED_A).traceparent
        await works.replies("collector", "a", Changed())
        assert CLAIMED_A in works.reports_again()
        assert works.totals.completed == 0
        again = await works.takes(CLAIMED_A, 120)
        assert again.version == version(120)
        assert works.record(CLAIMED_A).traceparent == trace, "it goes on in its trace"
        await works.ends("a")
        assert (works.totals.completed, works.totals.bytes_completed) == (1, 120)
        assert works.totals.claimed == {"incoming": 1, "processing": 0}, "it was taken on once"


async def test_a_file_that_is_seen_to_have_changed_while_it_waits_is_taken_as_it_is_now() -> None:
    async with Works(workers=1) as works:
        await works.takes(A)
        await works.sees(B, 100)
        await works.sees(B, 200)
        await works.replies("claimer", "a", Gone())
        assert works["claimer"].hears() == [StageFile(B, version(200))]


async def test_what_the_scanner_refuses_is_listed_until_it_says_otherwise() -> None:
    async with Works() as works:
        await works.says("scanner", FileRefused(A, "no"), FileRefused(B, "no"))
        await works.says("scanner", RefusalLifted(A))
        assert {record.file: record.refused for record in works.files} == {B: "no"}
        await works.dies("scanner")
        assert list(works.files) == [], "the next process says it again"


async def test_a_displaced_name_goes_to_the_claimer() -> None:
    async with Works() as works:
        displaced = DisplacedFile("s", "a", "1")
        await works.says("scanner", displaced)
        assert works["claimer"].hears() == [RestoreDisplaced(displaced)]
        works["claimer"].replies(RestoreDisplaced(displaced), DisplacedSeenTo())
        await settled()


# --- Back-pressure ---


def stable(number: int) -> FileStable:
    return FileStable(arrival(str(number)), version(1))


async def test_a_full_queue_stops_the_scanners_words_and_nothing_else() -> None:
    async with Works() as works:
        for number in range(10):
            works["scanner"].says(stable(number))
        await settled()
        assert works.to_stage() == ["0", "1"]
        assert works.files.count(Stage.STAGING) == WORKERS, "what waits for the Claimer is not being staged"
        assert works.files.count(Stage.QUEUED) == QUEUE
        assert works["scanner"].unread == 10 - WORKERS - QUEUE - 1, "one of them is at the door"

        await works.news("claimer", "0", Claimed(claimed("0"), version(1)), StagingProgress(1))
        assert works["uploader"].hears() == [UploadFile(claimed("0"), version(1))]
        await works.replies("claimer", "0", Staged())
        assert works.to_stage() == ["2"]
        assert works.files.count(Stage.QUEUED) == QUEUE, "and the next one is in"


async def test_all_files_get_through_a_full_queue_in_their_order() -> None:
    async with Works() as works:
        works["scanner"].says(*map(stable, range(30)))
        order: list[str] = []
        for _ in range(100):
            await settled()
            for name in works.to_stage():
                order.append(name)
                await works.replies("claimer", name, Gone())
        assert order == [str(number) for number in range(30)]
        assert list(works.files) == []


async def test_a_scanner_that_dies_while_the_queue_is_full_loses_no_file() -> None:
    """The next process reports what this one had at the door; so nobody may think that it is in hand already."""
    async with Works() as works:
        works["scanner"].says(*map(stable, range(20)))
        await settled()
        await works.dies("scanner")
        works["scanner"].says(*map(stable, range(20)))
        taken: set[str] = set()
        for _ in range(40):
            await settled()
            for name in works.to_stage():
                taken.add(name)
                await works.replies("claimer", name, Gone())
        assert taken == {str(number) for number in range(20)}
        assert list(works.files) == []


# --- Greetings ---


async def test_each_actor_is_told_first_what_it_has_to_know() -> None:
    async with Works() as works:
        await works.service.limit_uploads(1000)
        await works.uploads("a")
        await works.sees(B)
        for name in works.refs:
            await works.dies(name)
        assert works["scanner"].hears()[0] == works.sessions.watch()
        assert works["collector"].hears() == [works.sessions.watch()]
        assert works["uploader"].hears()[0] == SetUploads(1000, paused=False)
        assert works["keeper"].hears() == [AcquireLock("s", record=True, started_at=1000.0)]
        assert works["claimer"].hears() == [StageFile(B, version(100))], "it needs to know nothing"


async def test_what_a_session_does_is_shown_to_scanner_and_collector() -> None:
    async with Works() as works:
        works.sessions.stop()
        await settled()
        shown = WatchedSessions(None, frozenset({"s"}), frozenset())
        assert works["scanner"].hears() == [shown]
        assert works["collector"].hears() == [shown]


# --- Stop ---


async def test_after_a_stop_what_waits_is_left_where_it_is_and_what_is_claimed_goes_on() -> None:
    async with Works(workers=1) as works:
        await works.stages("a")
        for name in ("c", "d", "e", "f"):
            await works.sees(arrival(name))
        await works.sees(claimed("g"))
        works.hears_nothing_new()

        await works.stops()
        await settled()
        await works.replies("claimer", "a", Staged())

        assert set(works.reports_again()) == {arrival(name) for name in "cdef"}
        assert works.under_way == {CLAIMED_A, claimed("g")}
        assert works.to_stage() == ["g"]


async def test_after_a_stop_nothing_new_is_claimed_even_if_it_was_at_the_door() -> None:
    async with Works() as works:
        works["scanner"].says(*map(stable, range(20)))
        await settled()
        first, second = works.to_stage()
        await works.stops()
        await settled()
        for name in (first, second):
            await works.replies("claimer", name, Gone())
        assert works.to_stage() == []
        assert list(works.files) == []
        assert len(works.reports_again()) == 20


async def test_after_a_stop_a_claim_that_a_crash_cut_short_is_not_made_again() -> None:
    async with Works() as works:
        await works.takes(A)
        await works.stops()
        await works.dies("claimer")
        assert works["claimer"].hears() == []
        assert A in works.reports_again()
        assert list(works.files) == []


async def test_a_stopped_session_ends_once_its_last_file_is_completed() -> None:
    async with Works() as works:
        await works.completes("a")
        await works.stops()
        scan = ScanFinished((SessionFound("s", DATE, 0, files=False),))
        await works.says("scanner", scan)
        assert works.sessions.status() is not None, "a file is in hand"
        await works.replies("collector", "a", Completed())
        await works.says("scanner", scan)
        assert works.sessions.status() is None


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
        assert await works.service.container_checked() is None
        await works.says("uploader", ContainerReady())


async def test_a_word_that_nobody_understands_is_an_error() -> None:
    works = Works()
    with pytest.raises(TypeError, match="which nobody understands"):
        await works.main.router.on_message("scanner", Envelope(StageFile(A, version(1))))


async def test_the_collector_is_told_whether_leases_are_granted_also_the_next_one() -> None:
    """It deletes nothing that is open, where that can be known."""
    async with Works() as works:
        found = RuleFound(Rule.LEASE, "granted")
        await works.says("scanner", found)
        assert works["collector"].hears()[-1] == found
        await works.dies("collector")
        assert found in works["collector"].hears()


async def test_a_file_that_the_collectors_sweep_has_given_back_is_to_be_reported_again() -> None:
    async with Works() as works:
        await works.says("collector", ReportAgain(CLAIMED_A))
        assert works.reports_again() == [CLAIMED_A]
