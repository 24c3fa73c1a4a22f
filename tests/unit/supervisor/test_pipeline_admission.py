"""What Azure has to say before anything of a writer's is touched: that the container is there, and what time it is."""

import asyncio
import time

import pytest

from nfsw.actors.messages import AcquireLock, ContainerReady, ContainerRefused, Gone, WatchedSessions
from nfsw.supervisor.tracked_file import Stage
from tests.support.faketime import settled
from tests.unit.supervisor.works import SCANNED, Works, arrival, azure_is, claimed


async def test_before_the_container_has_answered_nothing_is_held_and_what_was_found_is_held_as_soon_as_it_has() -> None:
    async with Works(answered=False) as works:
        await works.says("scanner", SCANNED)
        assert works["keeper"].hears() == []
        await works.sees(arrival("a"))
        assert works.under_way == set()
        await works.says("uploader", ContainerReady())
        assert works["keeper"].hears() == [AcquireLock("s", record=True)], "without waiting for the next scan"


async def test_a_container_that_is_lost_later_ends_nothing() -> None:
    async with Works() as works:
        await works.says("uploader", ContainerRefused("503"))
        await works.takes(arrival("a"))
        assert works.service.status().session is not None
        assert works.service.unready() is None


async def test_while_the_clocks_differ_nothing_new_is_claimed_and_what_is_claimed_goes_on() -> None:
    async with Works(workers=1, queue=20) as works:
        await works.takes(arrival("a"))
        await works.sees(arrival("b"))
        await works.sees(claimed("c"))
        await works.says("uploader", azure_is(-24 * 3600))
        assert works.reports_again() == [arrival("b")], "it waited for its claim"
        [watch] = [message for message in works["collector"].hears() if isinstance(message, WatchedSessions)]
        assert watch == WatchedSessions(None, frozenset({"s"}), frozenset({"s"})), "incoming is not looked at"
        await works.sees(arrival("d"))
        assert works.reports_again() == [arrival("d")]
        await works.replies("claimer", "a", Gone())
        assert works.to_stage() == ["c"]
        assert works.service.status().session is not None

        await works.says("uploader", azure_is(0))
        assert WatchedSessions("s", frozenset({"s"}), frozenset({"s"})) in works["scanner"].hears()
        await works.sees(arrival("d"))
        assert works.stage(arrival("d")) is Stage.QUEUED


async def test_a_clock_of_ours_that_is_set_is_noticed_without_a_word_from_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Works() as works:
        following = asyncio.create_task(works.service._follow_clock())
        await works.says("uploader", azure_is(0))
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 86_400)
        await works.sees(arrival("a"))
        assert works.under_way == set()
        await asyncio.sleep(6)
        assert WatchedSessions(None, frozenset({"s"}), frozenset({"s"})) in works["scanner"].hears()
        monkeypatch.setattr(time, "time", real)
        await asyncio.sleep(6)
        assert WatchedSessions("s", frozenset({"s"}), frozenset({"s"})) in works["scanner"].hears()
        following.cancel()


async def test_what_passed_into_the_queue_before_the_clock_was_set_is_not_let_through_to_its_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Works(workers=1, queue=20) as works:
        await works.says("uploader", azure_is(0))
        await works.takes(claimed("first"))
        await works.sees(arrival("second"))
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() - 86_400)
        await works.replies("claimer", "first", Gone())
        assert works.to_stage() == []
        works.main.router.review_admission()
        await settled()
        assert arrival("second") in works.reports_again()
