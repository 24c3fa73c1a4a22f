"""The gate in front of the Claimer: how many files are under way, and who has to give up room in staging for whom."""

import asyncio

from nfsw.actors.files import FileRef
from nfsw.actors.messages import (
    FileCompleted,
    FileStable,
    FileStaged,
    FileUploaded,
    Looked,
    SessionFound,
    StagingBegun,
    StagingFound,
    Take,
    Unstage,
    Unstaged,
    UploadFailed,
)
from nfsw.supervisor.ledger import Stage
from tests.support.faketime import settled
from tests.unit.supervisor.works import DATE, MANIFEST, Works, arrival, claimed, version

#: What lies in staging for this long may be given up, in seconds.
IDLE_S = 31.0
LOOKED = Looked((SessionFound("s", DATE, 0, files=True),))


def completed(name: str) -> FileCompleted:
    return FileCompleted(claimed(name))


def taken(works: Works) -> list[str]:
    """Names of the files that the Claimer was given since it was asked last."""
    return [take.file.name for take in works["claimer"].hears() if isinstance(take, Take)]


# --- How many ---


async def test_three_files_for_each_worker_are_under_way_and_no_more() -> None:
    async with Works(workers=2, queue=20) as works:
        for number in range(5):
            await works.uploads(str(number))
        await works.takes(arrival("5"))
        await works.sees(arrival("6"))
        assert works.ledger.in_flight() == 6
        assert taken(works) == []
        assert works.waiting("claimer") == 1

        await works.says("uploader", FileUploaded(claimed("0"), version(100), 1.0, overwrote=False))
        assert taken(works) == [], "it is still under way"
        await works.says("collector", Unstaged(claimed("0")))
        await works.says("collector", completed("0"))
        assert taken(works) == ["6"]


async def test_a_file_that_waits_for_its_next_attempt_holds_up_nobody() -> None:
    async with Works(workers=1, queue=20) as works:
        for number in range(3):
            await works.uploads(str(number))
        await works.sees(arrival("next"))
        assert taken(works) == []
        await works.says("uploader", UploadFailed(claimed("1"), 1, "503", 60.0))
        assert taken(works) == ["next"]


async def test_files_that_all_fail_do_not_fill_the_queue_for_ever() -> None:
    async with Works(workers=1, queue=20) as works:
        for number in range(10):
            await works.uploads(str(number))
            await works.says("uploader", UploadFailed(claimed(str(number)), 1, "403", 300.0))
        await works.sees(arrival("next"))
        assert taken(works) == ["next"]


# --- Room ---


async def test_a_file_waits_until_there_is_room_for_it_and_the_status_says_so() -> None:
    async with Works(limit=1100) as works:
        await works.uploads("a", 700)
        await works.sees(arrival("b"), 700)
        assert taken(works) == []
        assert works.pipeline.gate.short_of_room
        assert "room in staging" in works.service.status().waiting_for
        assert works.ledger.staging_used == 700 + MANIFEST

        await works.says("uploader", FileUploaded(claimed("a"), version(700), 1.0, overwrote=False))
        await works.says("collector", Unstaged(claimed("a")))
        assert taken(works) == ["b"]
        assert not works.pipeline.gate.short_of_room


async def test_a_small_file_waits_behind_a_large_one_or_the_large_one_would_wait_for_ever() -> None:
    async with Works(limit=1100) as works:
        await works.uploads("a", 500)
        await works.sees(arrival("large"), 700)
        await works.sees(arrival("small"), 10)
        assert taken(works) == []


async def test_room_is_waited_for_no_more_once_the_file_that_waited_is_left_where_it_is() -> None:
    async with Works(limit=1100) as works:
        await works.uploads("a", 700)
        await works.sees(arrival("b"), 700)
        assert works.pipeline.gate.short_of_room
        await works.stops()
        await settled()
        assert "room in staging" not in works.service.status().waiting_for


async def test_what_lies_in_staging_for_nobodys_use_is_given_up_for_others() -> None:
    async with Works(limit=1100) as works:
        await works.says("claimer", StagingFound(claimed("left"), 900))
        await works.sees(arrival("b"), 500)
        assert works["collector"].hears() == [], "it may be wanted any moment"
        await asyncio.sleep(IDLE_S)
        await works.says("scanner", LOOKED)
        assert works["collector"].hears() == [Unstage(claimed("left"))]
        await works.says("collector", Unstaged(claimed("left")))
        assert taken(works) == ["b"]


async def test_a_file_that_waits_for_its_next_attempt_gives_up_its_room_and_is_taken_again_later() -> None:
    async with Works(limit=1100) as works:
        upload = await works.uploads("a", 700)
        await works.says("uploader", UploadFailed(claimed("a"), 1, "503", 300.0))
        await asyncio.sleep(IDLE_S)
        works.hears_nothing_new()
        await works.sees(arrival("b"), 700)
        assert works["collector"].hears() == [Unstage(claimed("a"))]
        assert works.stage(claimed("a")) is Stage.PARKED
        await works.done("uploader", upload)
        await works.says("collector", Unstaged(claimed("a")))
        await works.done("collector", Unstage(claimed("a")))
        assert taken(works) == ["b"]
        await asyncio.sleep(3)
        assert claimed("a") in works.let_go()


async def test_a_file_that_is_being_sent_or_completed_gives_up_nothing() -> None:
    async with Works(limit=1100) as works:
        await works.uploads("a", 200)
        await works.completes("b", 200)
        await asyncio.sleep(IDLE_S)
        works.hears_nothing_new()
        await works.sees(arrival("c"), 700)
        assert works["collector"].hears() == []


async def test_no_more_is_given_up_than_is_needed() -> None:
    async with Works(limit=1100) as works:
        for name in "abc":
            await works.says("claimer", StagingFound(claimed(name), 300))
        await asyncio.sleep(IDLE_S)
        await works.sees(arrival("next"), 100)
        assert works["collector"].hears() == [Unstage(claimed("a"))]


async def test_a_staged_copy_is_asked_for_once_however_often_somebody_looks() -> None:
    async with Works(limit=1100) as works:
        await works.says("claimer", StagingFound(claimed("left"), 900))
        await asyncio.sleep(IDLE_S)
        await works.sees(arrival("b"), 500)
        for _ in range(5):
            await works.says("scanner", LOOKED)
        assert works["collector"].hears() == [Unstage(claimed("left"))]


async def test_a_staged_copy_that_could_not_be_removed_is_asked_for_again_later() -> None:
    """The Collector says nothing then but that it is done."""
    async with Works(limit=1100) as works:
        await works.says("claimer", StagingFound(claimed("left"), 900))
        await asyncio.sleep(IDLE_S)
        await works.sees(arrival("b"), 500)
        [unstage] = works["collector"].hears()
        await works.done("collector", unstage)
        await works.says("scanner", LOOKED)
        assert works["collector"].hears() == [], "not at once: that would be a busy loop"
        await asyncio.sleep(IDLE_S)
        await works.says("scanner", LOOKED)
        assert works["collector"].hears() == [unstage]


async def test_a_file_is_not_staged_while_its_old_copy_is_about_to_be_removed() -> None:
    """The Collector would remove the new one."""
    async with Works(limit=1100) as works:
        upload = await works.uploads("a", 700)
        await works.says("uploader", UploadFailed(claimed("a"), 1, "503", 300.0))
        await asyncio.sleep(IDLE_S)
        await works.sees(arrival("b"), 700)
        await works.done("uploader", upload)
        await asyncio.sleep(3)
        assert claimed("a") in works.let_go()
        await works.stops()  # b is left where it is
        await works.says("scanner", FileStable(claimed("a"), version(700)))
        assert taken(works) == []
        await works.says("collector", Unstaged(claimed("a")))
        assert taken(works) == ["a"]


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
        assert taken(works) == ["a"]
        assert works["collector"].hears() == [], "nothing is given up: it is all of use"

        order = ["a"]
        while len(order) < 4:
            name = order[-1]
            await works.says("claimer", StagingBegun(claimed(name), version(70)), FileStaged(claimed(name)))
            await works.done("claimer", Take(claimed(name), version(70)))
            await works.says("uploader", FileUploaded(claimed(name), version(70), 1.0, overwrote=False))
            await works.says("collector", Unstaged(claimed(name)), completed(name))
            order += taken(works)
            assert works.ledger.staging_used <= 1000
        assert sorted(order) == ["a", "b", "c", "new"]


async def test_after_a_restart_with_staging_full_of_half_copies_some_are_given_up_so_that_one_can_go_on() -> None:
    async with Works(limit=1100, workers=1, queue=10) as works:
        await finds_staged(works, "a", "b", size=490)
        for name in "ab":
            await works.sees(claimed(name), 700)
        assert taken(works) == []
        await asyncio.sleep(IDLE_S)
        await works.says("scanner", LOOKED)
        [unstage] = works["collector"].hears()
        assert unstage == Unstage(claimed("b"))
        await works.says("collector", Unstaged(claimed("b")))
        assert taken(works) == ["a"]


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
            works["scanner"].says(LOOKED)
            await settled()
            for unstage in works["collector"].hears():
                if isinstance(unstage, Unstage):
                    await works.says("collector", Unstaged(unstage.file))
                await works.done("collector", unstage)
            for take in works["claimer"].hears():
                assert isinstance(take, Take)
                assert isinstance(take.file, FileRef)
                assert works.ledger.staging_used <= 2400
                await works.says("claimer", StagingBegun(take.file, take.fingerprint), FileStaged(take.file))
                await works.done("claimer", take)
                await works.says("uploader", FileUploaded(take.file, take.fingerprint, 1.0, overwrote=False))
                await works.says("collector", Unstaged(take.file), completed(take.file.name))
                done.add(take.file.name)
        assert done == set(sizes)
        assert works.ledger.staging_used == 0
