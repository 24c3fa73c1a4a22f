"""The service as the API sees it: what the status says of what is going on, what holds it up, and who sets the upload limit."""

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import pytest

from nfsw.actors import logs
from nfsw.actors.files import Arrival
from nfsw.actors.messages import (
    Claimed,
    Completed,
    ContainerReady,
    ContainerRefused,
    Failed,
    FileRefused,
    HiddenFiles,
    LinksInTheWay,
    OpenForWriting,
    Outage,
    RefusalLifted,
    RuleFound,
    ScanFailed,
    ScanFinished,
    SetUploads,
    StagingProgress,
    UploadFailed,
    UploadProgress,
    WaitingForMarker,
)
from nfsw.actors.stability import Rule
from nfsw.schedule import UploadSchedule
from nfsw.supervisor.actor_state import ActorState
from nfsw.supervisor.overview import MOST_LISTED
from nfsw.supervisor.service import AzureSilent, NfsSilent, NoSession, NoSuchFile, Service, SessionConflict
from nfsw.supervisor.status import FileState, InFlight, SessionState, Stability, Status
from nfsw.supervisor.tracked_file import Stage, TrackedFile
from tests.support.faketime import clock, settled
from tests.unit.supervisor.company import HANG_S
from tests.unit.supervisor.works import CRASH, DATE, MANIFEST, Works, arrival, azure_is, claimed, version

A = claimed("a")


def only_file(status: Status) -> InFlight:
    [file] = status.in_flight
    return file


@asynccontextmanager
async def serving(schedule: UploadSchedule = UploadSchedule.OFF) -> AsyncIterator[Works]:
    """With what `TransferService.run` does beside the supervisor."""
    async with Works(schedule=schedule) as works:
        following = asyncio.create_task(works.service._follow_schedule())
        await settled()
        yield works
        following.cancel()


async def ends_session(works: Works) -> None:
    await works.stops()
    await works.says("scanner", ScanFinished(()))
    await works.keeps()


@asynccontextmanager
async def free() -> AsyncIterator[Works]:
    """Its session has ended."""
    async with Works() as works:
        await ends_session(works)
        yield works


def _keeps_the_protocol(works: Works) -> Service:
    """For the type checker."""
    return works.service


# --- Session ---


async def test_a_free_service_has_no_session() -> None:
    works = Works()
    status = works.service.status()
    assert status.session is None
    assert status.in_flight == ()


async def test_the_session_is_shown_with_its_beginning_and_whether_it_was_found() -> None:
    async with Works() as works:
        session = works.service.status().session
        assert session is not None
        assert (session.name, session.state, session.resumed) == ("s", SessionState.ACTIVE, True)
        assert session.started_at == datetime.fromtimestamp(1000.0, UTC)


async def test_a_session_without_a_name_gets_one_that_sorts_by_time() -> None:
    async with free() as works:
        names = []
        for _ in range(2):
            starting = asyncio.create_task(works.service.start(None))
            await settled()
            await works.keeps()
            status = await starting
            assert status.session is not None
            names.append(status.session.name)
            await ends_session(works)
        assert all(re.fullmatch(r"00-session-[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", name) for name in names)
        assert names == sorted(names)
        assert len(set(names)) == 2


async def test_a_start_answers_with_the_status_that_shows_it() -> None:
    async with free() as works:
        starting = asyncio.create_task(works.service.start("t"))
        await settled()
        await works.keeps()
        status = await starting
        assert status.session is not None
        assert (status.session.name, status.session.resumed) == ("t", False)


async def test_what_the_keeper_does_for_a_call_is_logged_in_the_trace_of_the_call() -> None:
    trace = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"

    async def called(call: Coroutine[object, object, Status]) -> None:
        logs.traceparent.set(trace)
        await call

    async with free() as works:
        for call in (works.service.start("t"), works.service.abandon("t", "a", None), works.service.stop()):
            calling = asyncio.create_task(called(call))
            await settled()
            assert [envelope.traceparent for envelope in works["keeper"].reads()] == [trace]
            await works.keeps()
            with suppress(NoSuchFile):
                await calling


async def test_a_start_waits_for_nfs_as_long_as_a_call_may_take() -> None:
    async with free() as works:
        begun = clock().now()
        with pytest.raises(NfsSilent):
            await works.service.start("t")
        assert clock().now() - begun == pytest.approx(HANG_S)


async def test_what_the_sessions_refuse_is_refused() -> None:
    async with Works() as works:
        with pytest.raises(SessionConflict, match="session s is active"):
            await works.service.start("t")
    async with free() as works:
        with pytest.raises(NoSession):
            await works.service.stop()


# --- Files ---


async def test_an_idle_service_counts_nothing() -> None:
    async with Works() as works:
        status = works.service.status()
        files = status.files
        assert (files.queued, files.staging, files.uploading, files.completed, files.failed, files.refused) == (0,) * 6
        assert (status.bytes.completed, status.bytes.staged, status.bytes.sent, status.bytes.resent) == (0,) * 4
        assert status.bytes.staging_limit == works.budget.limit
        assert status.waiting_for == ()
        assert status.uploads == "running"


async def test_each_file_is_counted_where_it_is() -> None:
    async with Works(workers=4, queue=20) as works:
        await works.moves("done", 7)
        await works.completes("completing")
        await works.uploads("uploading")
        await works.stages("staging")
        await works.takes(arrival("claiming"))
        for number in range(7):
            await works.sees(arrival(f"later {number}"))
        status = works.service.status()
        assert (status.files.queued, status.files.staging, status.files.uploading, status.files.completed) == (5, 4, 2, 1)
        assert status.bytes.completed == 7
        assert status.bytes.staged == 6 * (100 + MANIFEST)
        assert len(status.in_flight) == 6


async def test_what_is_queued_is_not_in_flight() -> None:
    async with Works(workers=1) as works:
        await works.takes(arrival("a"))
        await works.sees(arrival("b"))
        assert [file.file for file in works.service.status().in_flight] == ["a"]


async def test_a_file_that_is_staged_shows_how_far_it_is_how_fast_it_goes_and_when_it_will_be_done() -> None:
    async with Works() as works:
        await works.takes(arrival("a"), 1000)
        await works.news("claimer", "a", Claimed(A, version(1000)))
        for second in range(1, 5):
            await works.news("claimer", "a", StagingProgress(second * 100))
            await asyncio.sleep(1)
        file = only_file(works.service.status())
        assert (file.file, file.session, file.date, file.state) == ("a", "s", DATE, FileState.STAGING)
        assert (file.size, file.done, file.attempts, file.error, file.retry_in_s) == (1000, 400, 1, None, None)
        assert file.rate == pytest.approx(75, rel=0.02)
        assert file.eta_s == pytest.approx(8.0, rel=0.02)


async def test_a_file_that_is_sent_shows_what_has_left() -> None:
    async with Works() as works:
        await works.uploads("a", 1000)
        for second in range(1, 5):
            await works.news("uploader", "a", UploadProgress(held=0, left=second * 200, sent=200, resent=0))
            await asyncio.sleep(1)
        status = works.service.status()
        file = only_file(status)
        assert (file.state, file.done, file.attempts) == (FileState.UPLOADING, 800, 1)
        assert file.rate == pytest.approx(150, rel=0.02)
        assert status.bytes.sent == 800


async def test_what_a_failed_request_had_sent_is_not_shown_as_done_and_the_rate_is_still_that_of_the_uplink() -> None:
    async with Works() as works:
        await works.uploads("a", 1000)
        for second in range(1, 4):
            await works.news("uploader", "a", UploadProgress(held=0, left=second * 200, sent=200, resent=0))
            await asyncio.sleep(1)
        await works.news("uploader", "a", UploadProgress(held=0, left=0, sent=0, resent=0))
        await asyncio.sleep(0.5)
        await works.news("uploader", "a", UploadProgress(held=0, left=200, sent=200, resent=200))
        file = only_file(works.service.status())
        assert file.done == 200
        assert file.rate == pytest.approx(171, rel=0.02)


async def test_blocks_that_azure_held_already_are_done_and_no_speed() -> None:
    async with Works() as works:
        await works.uploads("a", 1000)
        await works.news("uploader", "a", UploadProgress(held=0, left=0, sent=0, resent=0))
        await asyncio.sleep(1)
        await works.news("uploader", "a", UploadProgress(held=900, left=900, sent=0, resent=0))
        file = only_file(works.service.status())
        assert (file.done, file.rate) == (900, 0.0)


async def test_a_file_that_does_not_move_has_no_time_left() -> None:
    async with Works() as works:
        await works.uploads("a", 1000)
        await asyncio.sleep(60)
        file = only_file(works.service.status())
        assert (file.rate, file.eta_s) == (0.0, None)


async def test_a_failed_attempt_is_shown_with_its_reason_and_the_seconds_to_the_next_one() -> None:
    async with Works() as works:
        await works.uploads("a")
        await works.replies("uploader", "a", UploadFailed("503 ServerBusy", Outage.AZURE, retry_after_s=20.0))
        await asyncio.sleep(5)
        status = works.service.status()
        file = only_file(status)
        assert (file.error, file.attempts, status.files.failed) == ("503 ServerBusy", 1, 1)
        assert file.retry_in_s == pytest.approx(15.0, abs=0.01)
        await asyncio.sleep(20)
        again = only_file(works.service.status())
        assert (again.retry_in_s, again.attempts, again.error) == (None, 2, "503 ServerBusy")


async def test_an_attempt_that_is_overdue_is_not_shown_for_a_time_before_now() -> None:
    async with Works(workers=1) as works:
        for name in ("a", "b", "c"):
            await works.uploads(name)
        await works.replies("uploader", "a", UploadFailed("503", Outage.AZURE))
        await works.takes(arrival("d"))
        await asyncio.sleep(60)
        [overdue] = [file for file in works.service.status().in_flight if file.file == "a"]
        assert overdue.retry_in_s == 0.0


@pytest.mark.parametrize(("sent", "state"), [(False, FileState.STAGING), (True, FileState.UPLOADING)])
async def test_a_file_that_waits_is_shown_where_it_was_with_its_reason(sent: bool, state: FileState) -> None:
    async with Works() as works:
        await works.takes(A)
        if sent:
            await works.news("claimer", "a", StagingProgress(50))
        await works.replies("claimer", "a", Failed("NFS: EIO", Outage.NFS))
        file = only_file(works.service.status())
        assert (file.state, file.error) == (state, "NFS: EIO")
        assert file.retry_in_s is not None


async def test_a_file_that_is_being_completed_has_been_sent() -> None:
    async with Works() as works:
        await works.completes("a", 700)
        file = only_file(works.service.status())
        assert (file.state, file.done, file.size) == (FileState.UPLOADING, 700, 700)


async def test_a_file_about_to_be_claimed_shows_the_date_that_its_claim_will_give_it() -> None:
    async with Works() as works:
        before = datetime.now(UTC)
        await works.takes(arrival("a"))
        assert only_file(works.service.status()).date in {f"{day:%Y%m%d}" for day in (before, datetime.now(UTC))}


async def test_names_are_made_safe_to_print() -> None:
    async with Works() as works:
        name = "a\n.bin"
        await works.takes(arrival(name))
        await works.says("scanner", FileRefused(Arrival("s", name), "no"))
        status = works.service.status()
        for shown in (only_file(status).file, status.refused[0].file):
            shown.encode()
            assert "\n" not in shown


async def test_refused_files_are_listed_with_their_reasons_up_to_a_bound_and_counted_without() -> None:
    async with Works() as works:
        names = [f"{number:05d}" for number in range(MOST_LISTED + 500)]
        await works.says("scanner", *(FileRefused(arrival(name), "no") for name in names))
        status = works.service.status()
        assert status.files.refused == len(names)
        assert [file.file for file in status.refused] == names[:MOST_LISTED]
        assert {(file.session, file.reason) for file in status.refused} == {("s", "no")}
        await works.says("scanner", *(RefusalLifted(arrival(name)) for name in names))
        assert works.service.status().files.refused == 0


async def test_files_in_flight_are_listed_up_to_a_bound_those_that_move_first_and_counted_without() -> None:
    async with Works(workers=4, queue=20) as works:
        for number in range(MOST_LISTED + 500):
            record = works.files.add(TrackedFile(claimed(f"{number:05d}"), version(100), attempts=1, not_before=clock().now() + 60))
            works.files.move(record, Stage.WAITING)
        await works.uploads("moving")
        status = works.service.status()
        assert (status.files.staging, status.files.uploading) == (0, MOST_LISTED + 501)
        assert len(status.in_flight) == MOST_LISTED
        assert [file.file for file in status.in_flight[:2]] == ["moving", "00000"]
        assert f"the next attempt of {MOST_LISTED + 500} files that failed" in status.waiting_for


async def test_files_with_hidden_names_are_counted() -> None:
    async with Works() as works:
        await works.says("scanner", HiddenFiles(3))
        assert works.service.status().files.hidden == 3
        await works.dies("scanner")
        assert works.service.status().files.hidden == 0, "the next one counts anew"


# --- Actors, readiness, sickness ---


async def test_the_actors_are_shown() -> None:
    async with Works() as works:
        await works.dies("scanner")
        actors = {actor.name: actor for actor in works.service.status().actors}
        assert set(actors) == {"keeper", "scanner", "claimer", "uploader", "collector"}
        assert all(actor.state is ActorState.RUNNING for actor in actors.values())
        assert actors["scanner"].restarts == 1
        assert actors["scanner"].pid == works["scanner"].pid


async def test_it_is_ready_once_every_actor_runs_and_the_container_answered() -> None:
    async with Works() as works:
        assert works.service.unready() is None
        assert await works.service.container_checked() is None
        works["scanner"].exits(CRASH)
        await settled()
        assert works.service.unready() == "scanner is starting"
        await works.says_started("scanner")
        assert works.service.unready() is None


async def test_it_is_not_ready_before_the_container_has_answered() -> None:
    async with Works(answered=False) as works:
        assert works.service.unready() == "the Azure container has not answered yet"
        assert works.service.unready() in works.service.status().waiting_for
        await works.says("uploader", ContainerReady())
        assert await works.service.container_checked() is None
        assert works.service.unready() is None


async def test_a_container_that_is_refused_says_why() -> None:
    async with Works(answered=False) as works:
        await works.says("uploader", ContainerRefused("403 AuthorizationFailure"))
        assert await works.service.container_checked() == "403 AuthorizationFailure"
        assert "403 AuthorizationFailure" in (works.service.unready() or "")


async def test_a_start_before_the_container_has_answered_is_refused_with_the_reason() -> None:
    async with Works(answered=False) as works:
        with pytest.raises(AzureSilent, match="the Azure container has not answered yet"):
            await works.service.start("t")
        assert works["keeper"].hears() == [], "no lock is taken"


async def test_a_clock_that_is_far_off_is_why_it_is_not_ready_and_what_is_waited_for() -> None:
    async with Works() as works:
        await works.says("uploader", azure_is(+3600))
        reason = works.service.unready()
        assert reason is not None
        assert "this pod's clock is 3600 s behind Azure's" in reason
        assert reason in works.service.status().waiting_for
        assert works.service.unhealthy_reason() is None
        await works.says("uploader", azure_is(0))
        assert works.service.unready() is None


async def test_a_hang_is_the_reason_why_it_is_not_ready_and_what_is_waited_for() -> None:
    async with Works() as works:
        works["scanner"].enters("scandir incoming/s")
        await asyncio.sleep(HANG_S + 1.1)
        unready = works.service.unready()
        assert unready is not None
        assert unready.startswith("scanner: blocked in scandir incoming/s for ")
        assert unready in works.service.status().waiting_for
        assert works.service.unhealthy_reason() is None


async def test_a_sick_service_is_sick_and_not_ready_for_the_same_reason() -> None:
    async with Works() as works:
        for _ in range(6):
            works["scanner"].exits(CRASH)
            await settled()
        assert works.service.unhealthy_reason() is not None
        assert works.service.unready() == works.service.unhealthy_reason()


# --- What is waited for ---


async def test_what_is_waited_for_is_said_in_words() -> None:
    async with Works() as works:
        await works.service.pause_uploads()
        assert works.service.status().waiting_for == ("uploads are paused",)
        await works.service.resume_uploads()
        await works.uploads("a")
        await works.replies("uploader", "a", UploadFailed("503", Outage.AZURE, retry_after_s=60.0))
        assert works.service.status().waiting_for == ("the next attempt of 1 file that failed",)
        await works.uploads("b")
        await works.replies("uploader", "b", UploadFailed("503", Outage.AZURE, retry_after_s=60.0))
        assert works.service.status().waiting_for == ("the next attempt of 2 files that failed",)


async def test_nfs_that_cannot_be_looked_at_is_said_until_it_can() -> None:
    async with Works() as works:
        await works.says("scanner", ScanFailed("EACCES: Permission denied at incoming/s"))
        assert works.service.status().waiting_for == ("NFS: EACCES: Permission denied at incoming/s",)
        await works.says("scanner", ScanFinished(()))
        assert works.service.status().waiting_for == ()


async def test_files_that_somebody_has_open_are_counted_and_the_oldest_is_named() -> None:
    async with Works() as works:
        await works.says("scanner", OpenForWriting(3, Arrival("s", "a\n"), 1_800_000_000.5))
        status = works.service.status()
        assert status.files.open_for_writing == 3
        [reason] = status.waiting_for
        assert reason == "the writers of 3 files that are still open, the oldest since 2027-01-15T08:00:00Z: s/a\\x0a"
        await works.says("scanner", OpenForWriting(0))
        status = works.service.status()
        assert (status.files.open_for_writing, status.waiting_for) == (0, ())


async def test_files_that_wait_for_their_marker_are_counted_and_the_oldest_is_named() -> None:
    async with Works() as works:
        await works.says("scanner", WaitingForMarker(3, 1, Arrival("s", "a\n"), 1_800_000_000.5))
        status = works.service.status()
        assert status.files.waiting_for_marker == 3
        assert status.waiting_for == (
            "the markers of 3 files (1 of them has one that is older than the file, and needs it anew), "
            "the oldest since 2027-01-15T08:00:00Z: s/a\\x0a",
        )
        await works.says("scanner", WaitingForMarker(1, 0, Arrival("s", "a"), 1_800_000_000.5))
        assert works.service.status().waiting_for == ("the markers of 1 file, the oldest since 2027-01-15T08:00:00Z: s/a",)
        await works.dies("scanner")
        status = works.service.status()
        assert (status.files.waiting_for_marker, status.waiting_for) == (0, ())


async def test_a_scanner_that_starts_anew_finds_anew_what_is_open_and_where_links_are() -> None:
    async with Works() as works:
        await works.says("scanner", OpenForWriting(3, Arrival("s", "a"), 1.0), LinksInTheWay(("incoming/s",)))
        assert len(works.service.status().waiting_for) == 2
        await works.dies("scanner")
        status = works.service.status()
        assert (status.files.open_for_writing, status.waiting_for) == (0, ())


async def test_a_link_in_a_folders_place_is_said_until_it_is_gone() -> None:
    async with Works() as works:
        await works.says("scanner", LinksInTheWay(("incoming/s",)))
        assert works.service.status().waiting_for == ("incoming/s is a symbolic link, which is not followed: nothing is taken from there",)
        await works.says("scanner", LinksInTheWay(()))
        assert works.service.status().waiting_for == ()


async def test_the_stability_rule_is_shown_once_it_is_known() -> None:
    async with Works() as works:
        assert works.service.status().stability is None
        await works.says("scanner", RuleFound(Rule.TIME, "no leases here"))
        assert works.service.status().stability == Stability(Rule.TIME, "no leases here")


# --- The upload limit ---

NIGHT = UploadSchedule((), otherwise=1000, text="1000")


async def test_the_schedule_sets_the_limit_from_the_start() -> None:
    async with serving(NIGHT) as works:
        assert works.service.limits().upload_bytes_per_s == 1000
        assert works["uploader"].hears() == [SetUploads(1000, paused=False)]


class _Changing(UploadSchedule):
    """Says another limit each time it is asked, so that a test needs no time of day."""

    asked = 0

    def limit(self, now: datetime) -> int | None:
        assert now.tzinfo is not None
        _Changing.asked += 1
        return _Changing.asked


async def test_a_call_has_the_last_word_also_for_no_limit() -> None:
    async with serving(_Changing()) as works:
        for limit in (5, None):
            assert (await works.service.limit_uploads(limit)).upload_bytes_per_s == limit
            await asyncio.sleep(600)
            assert works.service.limits().upload_bytes_per_s == limit


async def test_the_schedule_is_read_again_every_few_seconds() -> None:
    async with serving(_Changing()) as works:
        before = works.service.limits().upload_bytes_per_s or 0
        await asyncio.sleep(60)
        assert works.service.limits().upload_bytes_per_s == before + 12


async def test_a_pause_and_a_limit_do_not_touch_each_other() -> None:
    async with serving(NIGHT) as works:
        status = await works.service.pause_uploads()
        assert status.uploads == "paused"
        await works.service.limit_uploads(5)
        assert works.service.status().uploads == "paused"
        status = await works.service.resume_uploads()
        assert status.uploads == "running"
        assert works.service.limits().upload_bytes_per_s == 5
        await settled()
        assert works["uploader"].hears()[-1] == SetUploads(5, paused=False)


async def test_the_schedule_does_not_end_a_pause() -> None:
    async with serving(NIGHT) as works:
        await works.service.pause_uploads()
        await asyncio.sleep(60)
        assert works.service.status().uploads == "paused"


async def test_a_pause_and_a_limit_outlive_the_uploader() -> None:
    async with Works() as works:
        await works.service.limit_uploads(5)
        await works.service.pause_uploads()
        await works.dies("uploader")
        assert works["uploader"].hears()[0] == SetUploads(5, paused=True)


async def test_an_error_in_the_supervisor_ends_the_service() -> None:
    works = Works()
    running = asyncio.create_task(works.service.run())
    await settled()
    works["scanner"].says(Completed())
    with pytest.raises(ExceptionGroup) as failed:
        await running
    assert failed.group_contains(TypeError, match="nobody understands")
