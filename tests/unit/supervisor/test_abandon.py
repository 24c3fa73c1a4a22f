"""A claimed file that can never be finished: it is named as what keeps its session from ending, and a call gives up on it."""

import asyncio

import pytest

from nfsw.actors.files import FileRef
from nfsw.actors.messages import (
    Abandon,
    AbandonFailed,
    AbandonFile,
    FileAbandoned,
    FileRefused,
    FileTroubled,
    Looked,
    NotOneClaimedFile,
    Release,
    SessionFound,
    SessionReleased,
    Take,
    Unstage,
    Unstaged,
    UploadFailed,
)
from nfsw.supervisor.service import NfsSilent, NoSuchFile, SessionConflict, SeveralFiles
from nfsw.supervisor.status import Status
from tests.support.faketime import clock, settled
from tests.unit.supervisor.company import HANG_S
from tests.unit.supervisor.works import CRASH, DATE, Works, arrival, claimed

A = claimed("a")
TOO_LARGE = "its 5 bytes can never be staged"


def left(*, files: bool = True) -> Looked:
    return Looked((SessionFound("s", DATE, 0, files),))


async def asks(works: Works, name: str = "a", date: str | None = None) -> "tuple[asyncio.Task[Status], AbandonFile]":
    """A call that waits for the Keeper, and what the Keeper was asked."""
    calling = asyncio.create_task(works.service.abandon("s", name, date))
    await settled()
    [request] = works["keeper"].hears()
    assert isinstance(request, AbandonFile)
    return calling, request


async def abandons(works: Works, file: FileRef) -> None:
    """The call and the Keeper's answer."""
    calling, request = await asks(works, file.name)
    await works.says("keeper", FileAbandoned(request.request, file))
    await works.done("keeper", request)
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
        await works.says("uploader", UploadFailed(A, 1, "409 BlobImmutableDueToPolicy", 60.0))
        await works.takes(claimed("b"))
        await works.says("claimer", FileTroubled(claimed("b"), "NFS: EACCES"))
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


async def test_a_file_that_is_abandoned_is_in_nobodys_hands_and_its_staged_copy_goes() -> None:
    async with Works() as works:
        await works.uploads("a")
        await works.says("uploader", UploadFailed(A, 1, "409", 60.0))
        works.hears_nothing_new()
        await abandons(works, A)
        assert A not in works.ledger
        assert works["uploader"].hears() == [Abandon(A)]
        assert works["collector"].hears() == [Unstage(A)]
        assert works.let_go() == [A], "the Scanner has to look at it again, and finds the note"
        await works.says("collector", Unstaged(A))
        assert works.ledger.staging_used == 0


async def test_the_session_ends_and_another_one_starts() -> None:
    async with Works() as works:
        await works.says("scanner", FileRefused(A, TOO_LARGE))
        await works.stops()
        await works.says("scanner", left())
        await conflict(works)
        await abandons(works, A)
        await works.says("scanner", FileRefused(A, f"abandoned: {TOO_LARGE}", abandoned=True), left(files=False))
        release = Release("s", forget=True)
        assert works["keeper"].hears() == [release]
        await works.says("keeper", SessionReleased("s", kept=True))
        await works.done("keeper", release)
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
        assert works.waiting("claimer") == 1
        await abandons(works, A)
        assert works.waiting("claimer") == 0


async def test_what_the_claimer_has_in_hand_is_not_removed_under_its_hands() -> None:
    async with Works() as works:
        take = await works.takes(A)
        await abandons(works, A)
        assert works["collector"].hears() == []
        works["claimer"].exits(CRASH)
        await settled()
        assert take not in works["claimer"].hears(), "the next life does not get it again"
        assert not any(isinstance(job, Take) for job in works["claimer"].hears())


# --- What may be in the way ---


async def test_only_files_of_a_session_that_is_held_can_be_abandoned() -> None:
    async with Works() as works:
        with pytest.raises(SessionConflict, match="this pod does not hold session another"):
            await works.service.abandon("another", "a", None)
        assert works["keeper"].hears() == []


async def test_a_name_that_no_claimed_file_has_is_unknown() -> None:
    async with Works() as works:
        calling, request = await asks(works)
        await works.says("keeper", NotOneClaimedFile(request.request, ()))
        with pytest.raises(NoSuchFile):
            await calling


async def test_a_name_of_several_days_needs_a_date() -> None:
    async with Works() as works:
        calling, request = await asks(works)
        await works.says("keeper", NotOneClaimedFile(request.request, ("20260131", "20260201")))
        with pytest.raises(SeveralFiles, match="20260131, 20260201"):
            await calling


async def test_an_error_of_nfs_is_told() -> None:
    async with Works() as works:
        calling, request = await asks(works)
        await works.says("keeper", AbandonFailed(request.request, "EROFS: Read-only file system"))
        with pytest.raises(NfsSilent, match="EROFS"):
            await calling


async def test_nfs_that_does_not_answer_is_told_and_the_file_is_abandoned_once_it_does() -> None:
    async with Works() as works:
        await works.uploads("a")
        begun = clock().now()
        calling, request = await asks(works)
        with pytest.raises(NfsSilent, match="as soon as it does"):
            await calling
        assert clock().now() - begun == pytest.approx(HANG_S, abs=1)
        await works.says("keeper", FileAbandoned(request.request, A))
        assert A not in works.ledger


async def test_a_keeper_that_dies_with_it_in_hand_gets_it_again_and_after_three_times_the_call_fails() -> None:
    async with Works() as works:
        calling, request = await asks(works)
        for _ in range(2):
            works["keeper"].exits(CRASH)
            await settled()
            works["keeper"].starts()
            await settled()
            assert request in works["keeper"].hears()
        works["keeper"].exits(CRASH)
        await settled()
        with pytest.raises(NfsSilent, match="died 3 times"):
            await calling
