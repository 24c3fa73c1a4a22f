"""Which file goes to the actors next: how many are under way, and who has to give up room in staging for whom."""

import asyncio

from nfsw.actors.messages import (
    Claimed,
    Completed,
    Evicted,
    EvictStaged,
    Failed,
    FileStable,
    Gone,
    Outage,
    StagingFound,
    Unstaged,
    UploadFailed,
)
from nfsw.supervisor.scheduler import OVERDUE_S
from nfsw.supervisor.tracked_file import Stage
from tests.support.faketime import settled
from tests.unit.supervisor.works import MANIFEST, UPLOADED, Works, arrival, claimed, version

#: What lies in staging for this long may be given up, and it is looked at every few seconds.
IDLE_S = 36.0


def failed(retry_after_s: float = 0.0) -> UploadFailed:
    return UploadFailed("503", Outage.AZURE, retry_after_s=retry_after_s)


def evictions(works: Works) -> list[str]:
    """Names of the files whose staged copies the Collector was to remove since it was asked last."""
    return [job.file.name for job in works["collector"].hears() if isinstance(job, EvictStaged)]


# --- How many ---


async def test_three_files_for_each_worker_are_under_way_and_no_more() -> None:
    async with Works(workers=2, queue=20) as works:
        for number in range(5):
            await works.uploads(str(number))
        await works.takes(arrival("5"))
        await works.sees(arrival("6"))
        assert works.to_stage() == []
        assert works.stage(arrival("6")) is Stage.QUEUED

        await works.replies("uploader", "0", UPLOADED)
        assert works.to_stage() == [], "it is still under way"
        await works.replies("collector", "0", Completed())
        assert works.to_stage() == ["6"]


async def test_a_file_that_waits_for_its_next_attempt_holds_up_nobody() -> None:
    async with Works(workers=1, queue=20) as works:
        for number in range(3):
            await works.uploads(str(number))
        await works.sees(arrival("next"))
        assert works.to_stage() == []
        await works.replies("uploader", "1", failed())
        assert works.to_stage() == ["next"]


async def test_files_that_all_fail_do_not_fill_the_queue_for_ever() -> None:
    async with Works(workers=1, queue=20) as works:
        for number in range(10):
            await works.uploads(str(number))
            await works.replies("uploader", str(number), failed(300.0))
        await works.sees(arrival("next"))
        assert works.to_stage() == ["next"]


async def test_files_that_have_failed_go_behind_those_that_come_for_the_first_time() -> None:
    async with Works(workers=1, queue=20) as works:
        await works.takes(arrival("failed"))
        await works.replies("claimer", "failed", Failed("EIO", Outage.NFS))
        for number in range(3):
            await works.sees(arrival(str(number)))
        await asyncio.sleep(3)
        order = []
        for _ in range(4):
            [name] = works.to_stage()
            order.append(name)
            await works.replies("claimer", name, Failed("EIO", Outage.NFS))
        assert order == ["0", "1", "2", "failed"]


async def test_a_backlog_that_never_ends_does_not_keep_a_file_from_its_next_attempt_for_ever() -> None:
    async with Works(workers=1, queue=20) as works:
        await works.takes(arrival("failed"))
        await works.replies("claimer", "failed", Failed("EIO", Outage.NFS))
        for number in range(3):
            await works.sees(arrival(str(number)))
        assert works.to_stage() == ["0"]
        await asyncio.sleep(2 + OVERDUE_S)
        await works.replies("claimer", "0", Gone())
        assert works.to_stage() == ["failed"]


# --- Room ---


async def test_a_file_waits_until_there_is_room_for_it_and_the_status_says_so() -> None:
    async with Works(limit=1100) as works:
        await works.uploads("a", 700)
        await works.sees(arrival("b"), 700)
        assert works.to_stage() == []
        assert "room in staging" in works.service.status().waiting_for
        assert works.budget.used == 700 + MANIFEST

        await works.replies("uploader", "a", UPLOADED)
        await works.replies("collector", "a", Completed())
        assert works.to_stage() == ["b"]
        assert "room in staging" not in works.service.status().waiting_for


async def test_a_file_whose_staged_copy_stays_keeps_its_room_until_the_sweep_has_removed_it() -> None:
    async with Works(limit=1100) as works:
        await works.completes("a", 700)
        await works.replies("collector", "a", Completed(unstaged=False))
        await works.sees(arrival("b"), 700)
        assert works.to_stage() == []
        await works.says("collector", Unstaged(claimed("a")))
        assert works.to_stage() == ["b"]


async def test_a_small_file_waits_behind_a_large_one_or_the_large_one_would_wait_for_ever() -> None:
    async with Works(limit=1100) as works:
        await works.uploads("a", 500)
        await works.sees(arrival("large"), 700)
        await works.sees(arrival("small"), 10)
        assert works.to_stage() == []


async def test_room_is_waited_for_no_more_once_the_file_that_waited_is_left_where_it_is() -> None:
    async with Works(limit=1100) as works:
        await works.uploads("a", 700)
        await works.sees(arrival("b"), 700)
        assert "room in staging" in works.service.status().waiting_for
        await works.stops()
        await settled()
        assert "room in staging" not in works.service.status().waiting_for


async def test_what_lies_in_staging_for_nobodys_use_is_given_up_for_others() -> None:
    """Without any other news: the Scanner may wait for room in the queue."""
    async with Works(limit=1100) as works:
        await works.says("claimer", StagingFound(claimed("left"), 900))
        await works.sees(arrival("b"), 500)
        assert evictions(works) == [], "it may be wanted any moment"
        await asyncio.sleep(IDLE_S)
        assert evictions(works) == ["left"]
        await works.replies("collector", "left", Evicted())
        assert works.to_stage() == ["b"]


async def test_a_file_that_waits_for_its_next_attempt_gives_up_its_room_and_is_staged_again_later() -> None:
    async with Works(limit=1100) as works:
        await works.uploads("a", 700)
        await works.replies("uploader", "a", failed(60.0))
        await asyncio.sleep(IDLE_S)
        works.hears_nothing_new()
        await works.sees(arrival("b"), 700)
        assert evictions(works) == ["a"]
        assert works.stage(claimed("a")) is Stage.WAITING
        await works.replies("collector", "a", Evicted())
        assert works.to_stage() == ["b"]
        await works.news("claimer", "b", Claimed(claimed("b"), version(700)))
        await works.ends("b")
        await asyncio.sleep(60)
        assert works.to_stage() == ["a"]


async def test_a_file_that_is_being_sent_or_completed_gives_up_nothing() -> None:
    async with Works(limit=1100) as works:
        await works.uploads("a", 200)
        await works.completes("b", 200)
        await asyncio.sleep(IDLE_S)
        works.hears_nothing_new()
        await works.sees(arrival("c"), 700)
        await asyncio.sleep(IDLE_S)
        assert evictions(works) == []


async def test_a_file_that_only_has_to_be_completed_needs_no_room() -> None:
    async with Works(limit=1100) as works:
        await works.completes("a", 700)
        await works.replies("collector", "a", Failed("NFS: EIO", Outage.NFS))
        for _ in range(6):
            await asyncio.sleep(65)
            await works.replies("collector", "a", Failed("NFS: EIO", Outage.NFS))
        works.hears_nothing_new()  # before the others come: its copy may have lain there for long enough already
        await works.sees(arrival("b"), 700)
        await works.sees(arrival("c"), 700)
        await asyncio.sleep(IDLE_S)
        assert evictions(works) == ["a"]
        await works.replies("collector", "a", Evicted())
        assert works.to_stage() == ["b"]
        await asyncio.sleep(300)
        await works.replies("collector", "a", Completed())
        assert works.totals.completed == 1
        assert works.budget.used == 700 + MANIFEST


async def test_no_more_is_given_up_than_is_needed() -> None:
    async with Works(limit=1100) as works:
        for name in "abc":
            await works.says("claimer", StagingFound(claimed(name), 300))
        await asyncio.sleep(IDLE_S)
        await works.sees(arrival("next"), 100)
        assert evictions(works) == ["a"]


async def test_a_staged_copy_is_asked_for_once_however_often_somebody_looks() -> None:
    async with Works(limit=1100) as works:
        await works.says("claimer", StagingFound(claimed("left"), 900))
        await asyncio.sleep(IDLE_S)
        await works.sees(arrival("b"), 500)
        await asyncio.sleep(10 * IDLE_S)
        assert evictions(works) == ["left"]


async def test_a_staged_copy_that_could_not_be_removed_is_asked_for_again_later() -> None:
    async with Works(limit=1100) as works:
        await works.says("claimer", StagingFound(claimed("left"), 900))
        await asyncio.sleep(IDLE_S)
        await works.sees(arrival("b"), 500)
        assert evictions(works) == ["left"]
        await works.replies("collector", "left", Failed("EROFS", Outage.STAGING))
        await asyncio.sleep(10)
        assert evictions(works) == [], "not at once: that would be a busy loop"
        await asyncio.sleep(IDLE_S)
        assert evictions(works) == ["left"]


async def test_a_file_is_not_staged_while_its_old_copy_is_about_to_be_removed() -> None:
    """The Collector would remove the new one."""
    async with Works(limit=1100) as works:
        await works.uploads("a", 700)
        await works.replies("uploader", "a", failed(60.0))
        await asyncio.sleep(IDLE_S)
        works.hears_nothing_new()
        await works.sees(arrival("b"), 700)
        assert evictions(works) == ["a"]
        await works.stops()  # b is left where it is
        await asyncio.sleep(60)
        assert (works["uploader"].hears(), works.to_stage()) == ([], [])
        await works.replies("collector", "a", Evicted())
        assert works.to_stage() == ["a"]


# --- What is found in staging ---


async def test_what_an_earlier_process_left_in_staging_counts_once_until_it_is_removed() -> None:
    async with Works() as works:
        await works.says("claimer", StagingFound(claimed("a"), 5000))
        assert works.budget.used == 5000
        await works.dies("claimer")
        await works.says("claimer", StagingFound(claimed("a"), 5000))
        assert works.budget.used == 5000
        await works.says("collector", Unstaged(claimed("a")))
        assert works.budget.used == 0
        assert list(works.files) == []


async def test_what_is_found_in_staging_is_not_counted_beside_what_is_promised() -> None:
    async with Works() as works:
        await works.takes(claimed("a"), 100)
        await works.says("claimer", StagingFound(claimed("a"), 50))
        assert works.budget.used == 100 + MANIFEST


async def test_a_claim_takes_the_place_of_what_an_older_file_of_the_name_left_in_staging() -> None:
    """The Claimer discards what is staged of another version before it stages this one."""
    async with Works() as works:
        await works.says("claimer", StagingFound(claimed("a"), 50))
        await works.stages("a", 100)
        assert works.budget.used == 100 + MANIFEST


async def test_unstaged_of_an_older_version_does_not_free_the_room_of_the_next_one() -> None:
    async with Works() as works:
        await works.stages("a", 100)
        await works.says("collector", Unstaged(claimed("a")))
        assert works.budget.used == 100 + MANIFEST


async def test_what_is_removed_while_its_file_waits_in_the_queue_takes_no_room_any_more() -> None:
    async with Works(workers=1) as works:
        await works.says("claimer", StagingFound(claimed("a"), 50))
        await works.takes(arrival("b"), 100)
        await works.sees(claimed("a"), 100)
        assert works.stage(claimed("a")) is Stage.QUEUED
        await works.says("collector", Unstaged(claimed("a")))
        assert works.budget.used == 100 + MANIFEST


# --- After a restart, with staging full ---


async def finds_staged(works: Works, *names: str, size: int) -> None:
    await works.says("claimer", *(StagingFound(claimed(name), size) for name in names))


async def test_after_a_restart_with_staging_full_files_that_are_staged_go_before_one_that_is_not() -> None:
    """It would wait for room that they hold, and they would wait behind it, for ever."""
    async with Works(limit=1100, workers=1, queue=10) as works:
        await finds_staged(works, "a", "b", "c", size=300)
        await works.sees(claimed("new"), 600)
        for name in "abc":
            await works.sees(claimed(name), 70)
        order = works.to_stage()
        assert order == ["a"]
        assert evictions(works) == [], "nothing is given up: it is all of use"
        while len(order) < 4:
            await works.ends(order[-1])
            order += works.to_stage()
            assert works.budget.used <= 1000
        assert sorted(order) == ["a", "b", "c", "new"]


async def test_after_a_restart_with_staging_full_of_half_copies_some_are_given_up_so_that_one_can_go_on() -> None:
    async with Works(limit=1100, workers=1, queue=10) as works:
        await finds_staged(works, "a", "b", size=490)
        for name in "ab":
            await works.sees(claimed(name), 700)
        assert works.to_stage() == []
        await asyncio.sleep(IDLE_S)
        assert evictions(works) == ["b"]
        await works.replies("collector", "b", Evicted())
        assert works.to_stage() == ["a"]


async def test_whatever_was_staged_when_the_pod_went_down_everything_is_taken_up_again() -> None:
    """Half copies, whole copies and none, in any order: the queue never stands still for good."""
    async with Works(limit=2400, workers=2, queue=4) as works:
        sizes = {"a": 600, "b": 600, "c": 600, "d": 600, "e": 100, "f": 1500, "g": 600}
        for name, staged in {"a": 600, "c": 300, "d": 824, "g": 200}.items():
            await works.says("claimer", StagingFound(claimed(name), staged))
        works["scanner"].says(*(FileStable(claimed(name), version(size)) for name, size in reversed(sizes.items())))
        done: set[str] = set()
        for _ in range(200):
            await asyncio.sleep(5)
            for name in evictions(works):
                await works.replies("collector", name, Evicted())
            for name in works.to_stage():
                assert works.budget.used <= 2400
                await works.ends(name)
                done.add(name)
        assert done == set(sizes)
        assert works.budget.used == 0
