"""The overview: which condition is found when, the one word that follows, the backlog, and the disks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from nfsw.actors.files import Arrival
from nfsw.actors.messages import (
    ArrivalsCounted,
    Claimed,
    ContainerReady,
    DiskMeasured,
    DiskName,
    FileRefused,
    LinksInTheWay,
    OpenForWriting,
    Outage,
    ScanFailed,
    ScanFinished,
    SessionDenied,
    Staged,
    UploadFailed,
    UploadProgress,
)
from nfsw.supervisor.health import HealthState, Kind
from tests.support.faketime import clock, settled
from tests.unit.supervisor.company import HANG_S
from tests.unit.supervisor.works import CRASH, SCANNED, Works, arrival, azure_is, claimed, version

OK, WAITING, TROUBLE = HealthState
GIB = 2**30


@asynccontextmanager
async def looking() -> AsyncIterator[Works]:
    """With what `TransferService.run` does beside the supervisor."""
    async with Works() as works:
        task = asyncio.create_task(works.service._look_around())
        await settled()
        yield works
        task.cancel()


def word(works: Works) -> tuple[HealthState, str]:
    health = works.service.status().health
    return health.state, health.reason


def kinds(works: Works) -> list[Kind]:
    return [condition.kind for condition in works.service.status().conditions]


# --- One word ---


async def test_a_service_with_nothing_to_do_is_ok() -> None:
    async with Works() as works:
        assert word(works) == (OK, "No file waits to be sent.")
        assert works.service.status().health.since is None
        assert kinds(works) == []


async def test_a_service_at_work_is_ok_and_says_at_what() -> None:
    async with Works() as works:
        await works.uploads("a")
        assert word(works) == (OK, "1 file is on the way to Azure.")
        await works.takes(arrival("b"))
        assert word(works) == (OK, "2 files are on the way to Azure.")


async def test_without_a_session_it_waits_for_one_and_names_the_pod_that_has_one() -> None:
    async with Works() as works:
        await works.stops()
        await works.says("scanner", ScanFinished(()))
        await works.keeps()
        assert word(works) == (WAITING, "No session is active in this pod.")
        assert works.service.status().waiting_for == ()
        await works.says("scanner", SCANNED)
        works["keeper"].replies(works["keeper"].in_hand[0], SessionDenied("pod-7"))
        await settled()
        assert word(works) == (WAITING, "No session is active in this pod; session s is held by pod pod-7.")


async def test_before_azure_has_answered_it_waits_and_after_a_minute_that_is_trouble() -> None:
    async with Works(answered=False) as works:
        assert word(works) == (WAITING, "The Azure container has not answered yet.")
        clock().advance(60)
        assert word(works)[0] is TROUBLE
        await works.says("uploader", ContainerReady())
        assert Kind.AZURE not in kinds(works)


async def test_an_actor_that_is_replaced_is_waited_for() -> None:
    async with Works() as works:
        works["scanner"].exits(CRASH)
        await settled()
        assert word(works) == (WAITING, "Scanner is starting.")
        await works.says_started("scanner")
        assert word(works)[0] is OK


async def test_a_hang_is_trouble_from_its_beginning_on() -> None:
    async with Works() as works:
        works["scanner"].enters("scandir incoming/s")
        await asyncio.sleep(HANG_S + 1.1)
        state, reason = word(works)
        assert (state, kinds(works)) == (TROUBLE, [Kind.HANG])
        assert reason.startswith("Scanner: blocked in scandir incoming/s for ")
        assert works.service.status().health.since is not None


async def test_a_pod_that_has_to_be_restarted_is_in_trouble_for_that_reason() -> None:
    async with Works() as works:
        for _ in range(6):
            works["scanner"].exits(CRASH)
            await settled()
        assert word(works) == (TROUBLE, "Scanner died more than 5 times within 60 s.")
        assert kinds(works) == [Kind.RESTART]


async def test_a_clock_that_is_wrong_an_error_of_nfs_and_a_link_are_trouble() -> None:
    async with Works() as works:
        await works.says("scanner", ScanFailed("EACCES: Permission denied at incoming/s"), LinksInTheWay(("incoming/s", ".processing")))
        assert word(works) == (TROUBLE, "NFS: EACCES: Permission denied at incoming/s.")
        assert kinds(works) == [Kind.NFS, Kind.LINK, Kind.LINK]
        await works.says("uploader", azure_is(+3600))
        assert word(works)[1].startswith("This pod's clock is 3600 s behind Azure's")
        assert kinds(works)[0] is Kind.CLOCK


async def test_a_file_that_is_refused_is_trouble_until_an_operator_has_given_up_on_it() -> None:
    async with Works() as works:
        await works.says("scanner", FileRefused(arrival("a."), "a trailing dot"))
        assert word(works) == (TROUBLE, "1 file is refused: a.: a trailing dot.")
        assert works.service.status().waiting_for == ()
        await works.says("scanner", FileRefused(arrival("b."), "a trailing dot"))
        assert word(works)[1] == "2 files are refused: a.: a trailing dot."
        for name in ("a.", "b."):
            await works.says("scanner", FileRefused(arrival(name), "abandoned: by a call", abandoned=True))
        assert word(works)[0] is OK


async def test_a_file_that_failed_is_waited_for_with_its_error_also_while_it_is_tried_again() -> None:
    async with looking() as works:
        await works.uploads("a")
        await works.replies("uploader", "a", UploadFailed("503 ServerBusy", Outage.AZURE, retry_after_s=60.0))
        assert word(works) == (WAITING, "Waiting for the next attempt of 1 file that failed: 503 ServerBusy.")
        await asyncio.sleep(70)
        assert works.service.status().waiting_for == (), "the next attempt is under way"
        assert word(works) == (WAITING, "Waiting for the present attempt of 1 file that failed: 503 ServerBusy.")
        since = works.service.status().health.since
        await asyncio.sleep(1800)
        assert word(works)[0] is TROUBLE
        assert works.service.status().health.since == since


async def test_a_pause_is_waited_for_however_long_it_lasts() -> None:
    async with looking() as works:
        await works.uploads("a")
        await works.service.pause_uploads()
        await asyncio.sleep(7200)
        assert word(works) == (WAITING, "Uploads are paused.")


async def test_files_of_which_nothing_leaves_for_half_an_hour_are_trouble() -> None:
    async with looking() as works:
        await works.uploads("a")
        await asyncio.sleep(1000)
        await works.news("uploader", "a", UploadProgress(0, 10, 10, 0))
        await asyncio.sleep(1790)
        assert kinds(works) == []
        await asyncio.sleep(20)
        assert word(works) == (TROUBLE, "Files are there to be sent, and nothing has left for Azure.")
        await works.news("uploader", "a", UploadProgress(0, 20, 10, 0))
        assert kinds(works) == []


async def test_a_writer_that_has_a_file_open_is_no_trouble_for_hours() -> None:
    async with looking() as works:
        await works.says("scanner", OpenForWriting(1, Arrival("s", "a"), 1_700_000_000.0))
        assert (word(works)[0], kinds(works)) == (WAITING, [Kind.OPEN]), "it was opened years ago"
        now = works.service.status().conditions[0].since.timestamp()
        assert now == 1_700_000_000


# --- The backlog ---


async def test_the_backlog_is_what_was_counted_in_incoming_and_what_is_claimed_and_has_not_left() -> None:
    async with Works() as works:
        assert works.service.status().backlog.counted_at is None
        await works.says("scanner", ArrivalsCounted(10, 1000))
        await works.takes(arrival("a"), 300)
        await works.takes(arrival("b"), 100)
        backlog = works.service.status().backlog
        assert (backlog.files, backlog.bytes) == (10, 1000), "files that are not claimed yet lie in incoming"
        assert backlog.counted_at is not None
        await works.news("claimer", "a", Claimed(claimed("a"), version(300)))
        backlog = works.service.status().backlog
        assert (backlog.files, backlog.bytes) == (10, 1000), "nor does a claim make anything more or less"
        await works.replies("claimer", "a", Staged())
        await works.news("uploader", "a", UploadProgress(0, 200, 200, 0))
        assert works.service.status().backlog.bytes == 800
        await works.ends_upload("a")
        backlog = works.service.status().backlog
        assert (backlog.files, backlog.bytes) == (9, 700)


async def test_files_that_nobody_counted_are_not_in_it_but_those_that_are_queued() -> None:
    async with Works() as works:
        await works.takes(arrival("a"), 300)
        backlog = works.service.status().backlog
        assert (backlog.files, backlog.bytes, backlog.counted_at) == (1, 300, None)


async def test_what_was_counted_is_forgotten_with_the_session() -> None:
    async with Works() as works:
        await works.says("scanner", ArrivalsCounted(10, 1000))
        await works.stops()
        backlog = works.service.status().backlog
        assert (backlog.files, backlog.bytes, backlog.counted_at) == (0, 0, None)


async def test_the_backlog_takes_its_bytes_over_the_rate_of_the_last_two_minutes() -> None:
    async with looking() as works:
        await works.uploads("a", 100_000)
        assert works.service.status().backlog.rate is None
        for step in range(1, 7):
            await works.news("uploader", "a", UploadProgress(0, step * 500, 500, 0))
            await asyncio.sleep(5)
        backlog = works.service.status().backlog
        assert backlog.rate == pytest.approx(100, abs=1)
        assert backlog.limit is None
        assert backlog.eta_s == pytest.approx(970, abs=10)
        await asyncio.sleep(180)
        backlog = works.service.status().backlog
        assert (backlog.rate, backlog.eta_s) == (0, None), "never at this rate"
        await works.service.limit_uploads(1000)
        assert works.service.status().backlog.limit == 1000


# --- Disks ---


async def test_an_export_that_is_full_within_hours_is_trouble() -> None:
    async with Works() as works:
        assert works.service.status().disks.export is None
        for minute in range(11):
            await works.says("collector", DiskMeasured(DiskName.EXPORT, 1000 * GIB, (200 - minute) * GIB))
            clock().advance(60)
        export = works.service.status().disks.export
        assert export is not None
        assert (export.free, round((export.full_in_s or 0) / 60)) == (190 * GIB, 189)
        assert word(works) == (TROUBLE, "The disk of the export is full in 3 h 09 min at this rate.")
        assert works.service.status().waiting_for == ()


async def test_an_export_of_which_less_than_a_hundredth_is_free_is_trouble() -> None:
    async with Works() as works:
        await works.says("collector", DiskMeasured(DiskName.EXPORT, 1000 * GIB, 9 * GIB))
        assert word(works) == (TROUBLE, "The disk of the export is full: 9.0 GiB of 1000 GiB are free.")
        await works.says("collector", DiskMeasured(DiskName.STAGING, 1000 * GIB, 9 * GIB))
        staging = works.service.status().disks.staging
        assert staging is not None
        assert staging.free == 9 * GIB
