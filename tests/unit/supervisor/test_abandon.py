"""A claimed file that can never be finished: it is named as what keeps its session from ending, and a call gives up on it."""

import asyncio

import pytest

from nfsw.actors.envelope import Reply
from nfsw.actors.files import FileRef
from nfsw.actors.messages import (
    AbandonFile,
    Changed,
    Completed,
    Evicted,
    EvictStaged,
    Failed,
    FileAbandoned,
    FileRefused,
    FileStable,
    NotOneClaimedFile,
    Outage,
    ReleaseLock,
    ScanFinished,
    SessionFound,
    SessionReleased,
    Staged,
    StagingProgress,
    UploadFailed,
    WithdrawUpload,
)
from nfsw.supervisor.service import NfsSilent, NoSuchFile, SessionConflict, SeveralFiles
from nfsw.supervisor.status import Status
from nfsw.supervisor.tracked_file import Stage
from tests.support.faketime import clock, settled
from tests.unit.supervisor.company import HANG_S
from tests.unit.supervisor.works import CRASH, DATE, Works, arrival, claimed, version

A = claimed("a")
TOO_LARGE = "its 5 bytes can never be staged"


def left(*, files: bool = True) -> ScanFinished:
    return ScanFinished((SessionFound("s", DATE, 0, files),))


async def asks(works: Works, name: str = "a", date: str | None = None) -> "tuple[asyncio.Task[Status], AbandonFile]":
    """A call that waits for the Keeper, and what the Keeper was asked."""
    calling = asyncio.create_task(works.service.abandon("s", name, date))
    await settled()
    [job] = works["keeper"].in_hand
    assert isinstance(job, AbandonFile)
    return calling, job


async def answers(works: Works, job: AbandonFile, reply: Reply) -> None:
    """The Keeper does."""
    works["keeper"].replies(job, reply)
    await settled()


async def abandons(works: Works, file: FileRef) -> None:
    """The call and the Keeper's answer."""
    calling, job = await asks(works, file.name)
    await answers(works, job, FileAbandoned(file))
    await calling


async def conflict(works: Works) -> str:
    with pytest.raises(SessionConflict) as refused:
        await works.service.start("t")
    return str(refused.value)


# --- What holds the session up ---


async def test_a_claimed_file_that_is_refused_is_named_in_the_conflict_and_in_the_status() -> None:
    async with Works() as works:
        await works.says("scanner", FileRefused(A, TOO_LARGE), FileRefused(arrival("new"), "not claimed, so nothing is held up"))
        assert works.service.status().waiting_for == (), "the session has not been stopped"
        await works.stops()
        await works.says("scanner", left())
        why = f"a, claimed on {DATE}, is not finished: {TOO_LARGE}"
        assert await conflict(works) == (
            f"session s is still draining in this pod: {why}. POST /v1/watch/abandon gives up on a file that can never be finished"
        )
        assert works.service.status().waiting_for == (f"the end of session s: {why}",)


async def test_a_file_that_fails_again_and_again_is_named_with_its_error_and_the_number_of_the_others() -> None:
    async with Works() as works:
        await works.uploads("a")
        await works.replies("uploader", "a", UploadFailed("409 BlobImmutableDueToPolicy", refused=True, for_good=True))
        await works.takes(claimed("b"))
        await works.replies("claimer", "b", Failed("NFS: EACCES", Outage.NFS))
        await works.stops()
        why = f"a, claimed on {DATE}, is not finished: 409 BlobImmutableDueToPolicy; files held up besides it: 1"
        assert why in await conflict(works)
        assert f"the end of session s: {why}" in works.service.status().waiting_for


async def test_a_session_that_drains_as_it_should_waits_for_nothing() -> None:
    async with Works() as works:
        await works.uploads("a")
        await works.stops()
        assert works.service.status().waiting_for == ()
        assert await conflict(works) == "session s is still draining in this pod"


# --- Giving up on it ---


@pytest.mark.parametrize("known", [True, False])
async def test_the_keeper_is_asked_with_the_reason_that_is_known(known: bool) -> None:
    async with Works() as works:
        if known:
            await works.says("scanner", FileRefused(A, TOO_LARGE))
        calling, request = await asks(works, date=DATE)
        reason = TOO_LARGE if known else "by a call, before any error was seen"
        assert (request.session, request.name, request.date, request.reason) == ("s", "a", DATE, reason)
        calling.cancel()


async def test_nobody_works_on_a_file_that_is_abandoned_and_its_staged_copy_goes() -> None:
    async with Works() as works:
        await works.uploads("a")
        await works.replies("uploader", "a", UploadFailed("409", refused=True, for_good=True))
        works.hears_nothing_new()
        await abandons(works, A)
        assert works.under_way == set()
        assert works["uploader"].hears() == [WithdrawUpload(A)]
        assert works["collector"].hears() == [EvictStaged(A)]
        assert works.reports_again() == [A], "the Scanner has to look at it again, and finds the note"
        await works.replies("collector", "a", Evicted())
        assert works.budget.used == 0


async def test_the_session_ends_and_another_one_starts() -> None:
    async with Works() as works:
        await works.says("scanner", FileRefused(A, TOO_LARGE))
        await works.stops()
        await works.says("scanner", left())
        await conflict(works)
        await abandons(works, A)
        await works.says("scanner", FileRefused(A, f"abandoned: {TOO_LARGE}", abandoned=True), left(files=False))
        release = ReleaseLock("s", forget=True)
        works["keeper"].replies(release, SessionReleased(kept=True))
        await settled()
        assert works.service.status().session is None
        assert [(one.file, one.reason) for one in works.service.status().refused] == [("a", f"abandoned: {TOO_LARGE}")]
        starting = asyncio.create_task(works.service.start("t"))
        await settled()
        await works.keeps()
        await starting


async def test_what_is_abandoned_holds_nothing_up() -> None:
    async with Works() as works:
        await works.uploads("b")
        await works.says("scanner", FileRefused(A, "abandoned: no", abandoned=True))
        await works.stops()
        assert await conflict(works) == "session s is still draining in this pod"


async def test_a_file_that_waits_for_the_claimer_is_taken_out_of_its_queue() -> None:
    async with Works(workers=1) as works:
        await works.takes(claimed("first"))
        await works.sees(A)
        assert works.stage(A) is Stage.QUEUED
        await abandons(works, A)
        assert works.under_way == {claimed("first")}


async def test_what_the_claimer_has_in_hand_is_removed_when_it_is_done() -> None:
    async with Works() as works:
        await works.takes(A)
        await abandons(works, A)
        assert works["collector"].hears() == []
        await works.replies("claimer", "a", Staged())
        assert works["collector"].hears() == [EvictStaged(A)]
        assert works["uploader"].hears() == []


async def test_what_the_claimer_has_in_hand_is_not_given_to_it_a_second_time() -> None:
    """A scan that began before the note may report it once more."""
    async with Works() as works:
        await works.takes(A)
        await abandons(works, A)
        await works.says("scanner", FileStable(A, version(100)))
        assert len(works["claimer"].in_hand) == 1
        await works.replies("claimer", "a", Changed())
        await works.replies("collector", "a", Evicted())
        assert works.to_stage() == ["a"]


async def test_nothing_is_sent_of_what_the_claimer_still_stages() -> None:
    async with Works() as works:
        await works.takes(A)
        await abandons(works, A)
        await works.news("claimer", "a", StagingProgress(50))
        assert works["uploader"].hears() == []


async def test_a_process_that_comes_after_the_one_that_had_it_in_hand_does_not_get_it_again() -> None:
    async with Works() as works:
        await works.takes(A)
        await abandons(works, A)
        await works.dies("claimer")
        assert works["claimer"].in_hand == []
        assert works["collector"].hears() == [EvictStaged(A)]


@pytest.mark.parametrize("completed", [True, False])
async def test_a_file_that_is_in_azure_already_is_completed_all_the_same_if_it_can_be(completed: bool) -> None:
    async with Works() as works:
        await works.completes("a")
        await abandons(works, A)
        await works.replies("collector", "a", Completed() if completed else Failed("EROFS", Outage.NFS))
        assert works.totals.completed == completed
        assert works.under_way == set()


# --- What may be in the way ---


async def test_only_files_of_a_session_that_is_held_can_be_abandoned() -> None:
    async with Works() as works:
        with pytest.raises(SessionConflict, match="this pod does not hold session another"):
            await works.service.abandon("another", "a", None)
        assert works["keeper"].hears() == []


async def test_a_name_that_no_claimed_file_has_is_unknown() -> None:
    async with Works() as works:
        calling, job = await asks(works)
        await answers(works, job, NotOneClaimedFile(()))
        with pytest.raises(NoSuchFile):
            await calling


async def test_a_name_of_several_days_needs_a_date() -> None:
    async with Works() as works:
        calling, job = await asks(works)
        await answers(works, job, NotOneClaimedFile(("20260131", "20260201")))
        with pytest.raises(SeveralFiles, match="20260131, 20260201"):
            await calling


async def test_an_error_of_nfs_is_told() -> None:
    async with Works() as works:
        calling, job = await asks(works)
        await answers(works, job, Failed("EROFS: Read-only file system", Outage.NFS))
        with pytest.raises(NfsSilent, match="EROFS"):
            await calling


async def test_nfs_that_does_not_answer_is_told_and_the_file_is_abandoned_once_it_does() -> None:
    async with Works() as works:
        await works.uploads("a")
        begun = clock().now()
        calling, job = await asks(works)
        with pytest.raises(NfsSilent, match="as soon as it does"):
            await calling
        assert clock().now() - begun == pytest.approx(HANG_S, abs=1)
        await answers(works, job, FileAbandoned(A))
        assert works.under_way == set()


async def test_a_keeper_that_dies_with_it_in_hand_gets_it_again_and_after_three_times_the_call_fails() -> None:
    async with Works() as works:
        calling, job = await asks(works)
        for _ in range(2):
            await works.dies("keeper")
            [lock] = works["keeper"].in_hand
            assert lock != job, "it needs the lock first"
            await works.keeps()
            assert works["keeper"].in_hand == [job]
        works["keeper"].exits(CRASH)
        await settled()
        with pytest.raises(NfsSilent, match="died 3 times"):
            await calling
