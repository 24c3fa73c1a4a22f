"""The list of finished files: the newest first, bounded, with what the log line of each file says."""

from datetime import UTC, datetime

from nfsw.actors.messages import Completed, StagingProgress
from nfsw.supervisor.finished_files import MOST_REMEMBERED, FinishedFiles
from nfsw.supervisor.tracked_file import TrackedFile
from tests.support.faketime import clock
from tests.unit.supervisor.works import DATE, UPLOADED, Works, claimed, version


async def test_a_finished_file_is_remembered_with_its_size_time_and_rate() -> None:
    async with Works() as works:
        await works.stages("a\n", 1000)
        await works.news("claimer", "a\n", StagingProgress(1000))
        clock().advance(20)
        await works.ends("a\n")
        [file] = works.service.history(0).files
    assert (file.number, file.file, file.session, file.date, file.size, file.attempts) == (1, "a\\x0a", "s", DATE, 1000, 1)
    assert (round(file.seconds), round(file.rate)) == (20, 50)
    assert abs((datetime.now(UTC) - file.finished_at).total_seconds()) <= 1


async def test_a_file_that_is_not_gone_from_nfs_is_not_finished() -> None:
    async with Works() as works:
        await works.uploads("a")
        await works.replies("uploader", "a", UPLOADED)
        assert works.service.history(0).files == ()
        await works.replies("collector", "a", Completed())
        assert len(works.service.history(0).files) == 1


async def test_the_newest_comes_first_and_only_those_after_a_number_when_it_is_given() -> None:
    async with Works() as works:
        before = works.service.history(0).since
        for name in "abc":
            await works.moves(name)
        assert [file.file for file in works.service.history(0).files] == ["c", "b", "a"]
        assert [(file.number, file.file) for file in works.service.history(1).files] == [(3, "c"), (2, "b")]
        assert works.service.history(3).files == ()
        assert works.service.history(0).since == before


def test_a_hundred_files_are_remembered() -> None:
    finished = FinishedFiles()
    for number in range(3 * MOST_REMEMBERED):
        finished.note(TrackedFile(claimed(f"{number}"), version(100), first_attempt_at=1.0), 1.0)
    files = finished.history(0).files
    assert len(files) == MOST_REMEMBERED
    assert (files[0].number, files[0].file, files[0].rate) == (300, "299", 0.0)
