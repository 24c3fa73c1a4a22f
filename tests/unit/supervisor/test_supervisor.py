"""The supervisor and one actor: messages both ways, deaths, redelivery, poison, and when it gives up. What jobs mean is not its matter."""

import asyncio

import pytest

from nfsw.actors.envelope import Lost, Message
from nfsw.actors.files import FileRef
from nfsw.actors.messages import Evicted, EvictStaged, ReportAgain, ScanFinished, StagingProgress
from nfsw.supervisor.actor_state import ActorState
from nfsw.supervisor.supervisor import MOST_DELIVERIES
from tests.support.faketime import clock, settled
from tests.unit.supervisor.company import Asked, Company, RecordingHandler, company

CRASH = 70


def job(number: int) -> EvictStaged:
    return EvictStaged(FileRef("20260131", "s", f"{number}"))


def news(number: int) -> ReportAgain:
    """No job: nobody answers it."""
    return ReportAgain(FileRef("20260131", "s", f"{number}"))


# --- Messages ---


async def test_a_job_is_handed_out_and_is_in_hand_until_the_child_replies() -> None:
    async with company() as one:
        [asked] = one.ask("a", job(1))
        await settled()
        [envelope] = one["a"].reads()
        assert envelope.message == job(1)
        assert envelope.number is not None
        assert list(one.refs["a"].in_hand.values()) == [asked.request]

        one["a"].replies(job(1), Evicted())
        await settled()
        assert one.refs["a"].in_hand == {}
        assert asked.replies == [Evicted()]


async def test_news_of_a_job_reach_whoever_asked_until_the_reply_ends_it() -> None:
    handler = RecordingHandler()
    async with company(handler=handler) as one:
        [asked] = one.ask("a", job(1))
        await settled()
        one["a"].news(job(1), StagingProgress(1), StagingProgress(2))
        one["a"].replies(job(1), Evicted())
        await settled()
        assert asked.news == [StagingProgress(1), StagingProgress(2)]
        assert asked.replies == [Evicted()]
        assert handler.heard == [], "it is the business of whoever asked"


async def test_what_comes_of_a_job_that_was_withdrawn_does_not_count() -> None:
    async with company() as one:
        asked, _ = one.ask("a", job(1), job(2))
        await settled()
        asked.request.withdraw()
        one["a"].news(job(1), StagingProgress(1))
        one["a"].replies(job(1), Evicted())
        await settled()
        assert (asked.news, asked.replies) == ([], [])
        assert one["a"].in_hand == [job(2)], "its place is free"


async def test_a_job_that_was_withdrawn_or_is_moot_by_now_is_not_delivered() -> None:
    async with company() as one:
        _, withdrawn, moot, _ = one.ask("a", job(0), job(1), job(2), job(3))
        await settled()
        withdrawn.request.withdraw()
        moot.job = None
        one["a"].replies(job(0), Evicted())
        await settled()
        assert one["a"].hears() == [job(0), job(3)]


async def test_a_job_is_delivered_as_it_is_at_that_moment() -> None:
    async with company() as one:
        _, later = one.ask("a", job(0), job(1))
        await settled()
        later.job = job(2)
        one["a"].replies(job(0), Evicted())
        await settled()
        assert one["a"].hears() == [job(0), job(2)]


async def test_a_job_that_is_to_be_first_goes_before_all_that_wait() -> None:
    async with company() as one:
        one.ask("a", job(0), job(1))
        await settled()
        Asked(one.refs["a"], job(2), first=True)
        one["a"].replies(job(0), Evicted())
        await settled()
        assert one["a"].hears() == [job(0), job(2)]


async def test_a_child_has_no_more_jobs_in_hand_than_it_has_capacity() -> None:
    async with company(capacity=2) as one:
        one.ask("a", *map(job, range(5)))
        await settled()
        assert one["a"].hears() == [job(0), job(1)]
        one["a"].replies(job(1), Evicted())
        await settled()
        assert one["a"].hears() == [job(2)]


async def test_what_is_no_job_takes_no_place() -> None:
    async with company() as one:
        one.tell("a", news(1), news(2))
        one.ask("a", job(1))
        one.tell("a", news(3))
        await settled()
        assert one["a"].hears() == [news(1), news(2), job(1)]
        one["a"].replies(job(1), Evicted())
        await settled()
        assert one["a"].hears() == [news(3)], "the order is kept, behind a job too"


async def test_thousands_of_messages_keep_their_order() -> None:
    async with company(capacity=None) as one:
        one.ask("a", *map(job, range(2000)))
        await settled()
        heard = one["a"].hears()
        while len(heard) < 2000:
            await settled()
            heard += one["a"].hears()
        assert heard == [job(number) for number in range(2000)]


async def test_a_greeting_comes_before_anything_else_in_every_process() -> None:
    async with company(handler=RecordingHandler({"a": [news(0)]})) as one:
        one.ask("a", job(1))
        await settled()
        assert one["a"].hears() == [news(0), job(1)]
        one["a"].exits(CRASH)
        await settled()
        assert one["a"].hears() == [news(0), job(1)]


async def test_what_a_child_says_reaches_the_handler_in_order() -> None:
    handler = RecordingHandler()
    async with company(handler=handler) as one:
        one["a"].says(news(1), news(2))
        one["a"].says(ScanFinished(()))
        await settled()
        assert handler.heard == [("a", news(1)), ("a", news(2)), ("a", ScanFinished(()))]


async def test_while_the_handler_makes_an_actor_wait_its_words_stay_in_its_channel() -> None:
    handler = RecordingHandler()
    async with company(handler=handler) as one:
        handler.may_speak.clear()
        for number in range(10):
            one["a"].says(news(number))
        await settled()
        assert one["a"].unread == 9, "one is being handled"
        handler.may_speak.set()
        await settled()
        assert handler.heard == [("a", news(number)) for number in range(10)]


async def test_a_child_that_does_not_read_holds_up_nothing_but_what_is_for_it() -> None:
    handler = RecordingHandler()
    async with company("deaf", "other", handler=handler, capacity=None) as two:
        two["deaf"].deaf = True
        two.tell("deaf", *map(news, range(1000)))
        two.tell("other", *map(news, range(1000)))
        heard: list[Message] = []
        for _ in range(100):
            await settled()
            heard += two["other"].hears()
        assert len(heard) == 1000
        assert len(two["deaf"].hears()) < 200
        two["deaf"].says(news(5))
        await settled()
        assert handler.heard == [("deaf", news(5))], "it is still heard"


# --- States ---


async def test_an_actor_runs_from_its_own_word_on() -> None:
    async with company() as one:
        assert one.state("a") is ActorState.STARTING
        assert one.supervisor.unready() == "a is starting"
        one["a"].starts()
        await settled()
        assert one.state("a") is ActorState.RUNNING
        assert one.supervisor.unready() is None


async def test_all_actors_have_been_started_once_the_supervisor_has_begun() -> None:
    async with company("a", "b", "c") as three:
        assert three.supervisor.begun.is_set()
        assert [len(three.processes(name)) for name in "abc"] == [1, 1, 1]


async def test_a_word_that_the_handler_does_not_understand_is_a_bug_and_ends_the_service() -> None:
    class Strict(RecordingHandler):
        async def on_message(self, actor: str, envelope: object) -> None:
            raise TypeError("which nobody understands")

    one = company(handler=Strict())
    running = asyncio.create_task(one.supervisor.run())
    await settled()
    one["a"].says(news(1))
    with pytest.raises(ExceptionGroup) as failed:
        await running
    assert failed.group_contains(TypeError, match="nobody understands")
    await settled()
    assert not one["a"].alive


async def test_at_the_end_every_child_is_killed_and_nothing_said(caplog: pytest.LogCaptureFixture) -> None:
    async with company("a", "b", "c") as three:
        caplog.clear()
        three.supervisor.end()
        assert all(len(three[name].kills) == 1 for name in "abc")
        assert not caplog.messages


# --- Deaths ---


@pytest.mark.parametrize("code", [CRASH, 1, 0, -9, -11])
async def test_a_child_that_ends_is_replaced_at_once_whatever_its_exit_code(code: int) -> None:
    async with company() as one:
        first = one["a"]
        first.exits(code)
        await settled()
        assert len(one.processes("a")) == 2
        assert one["a"] is not first
        assert first.closed
        assert one.refs["a"].restarts == 1
        one["a"].starts()
        await settled()
        assert one.supervisor.unready() is None
    assert clock().passed < 1


async def test_the_log_says_how_a_child_ended(caplog: pytest.LogCaptureFixture) -> None:
    async with company() as one:
        for code in (CRASH, -11, -9):
            one["a"].exits(code)
            await settled()
    said = [record.getMessage() for record in caplog.records if "has ended:" in record.getMessage()]
    assert [line.partition("ended: ")[2].partition(" (")[0] for line in said] == ["exit code 70", "signal 11", "killed"]


async def test_a_death_of_one_actor_is_no_matter_of_the_others() -> None:
    async with company("a", "b") as two:
        two.ask("b", job(1))
        await settled()
        two["a"].exits(CRASH)
        await settled()
        assert len(two.processes("a")) == 2
        assert len(two.processes("b")) == 1
        assert two["b"].hears() == [job(1)]


async def test_what_a_dead_child_had_in_hand_is_delivered_again_first_and_in_order() -> None:
    async with company(capacity=3) as one:
        asked = one.ask("a", *map(job, range(5)))
        await settled()
        assert one["a"].hears() == [job(0), job(1), job(2)]
        one["a"].replies(job(1), Evicted())
        await settled()
        assert one["a"].hears() == [job(3)]
        one["a"].exits(CRASH)
        await settled()
        assert one["a"].hears() == [job(0), job(2), job(3)]
        assert [one.request.deliveries for one in asked] == [2, 1, 2, 2, 0]


async def test_a_job_that_the_child_never_read_is_delivered_again() -> None:
    async with company() as one:
        one.ask("a", job(1))
        await settled()
        one["a"].exits(CRASH)
        await settled()
        assert one["a"].hears() == [job(1)]


async def test_a_job_that_was_answered_is_not_delivered_again() -> None:
    async with company() as one:
        one.ask("a", job(1))
        await settled()
        one["a"].replies(job(1), Evicted())
        await settled()
        one["a"].exits(CRASH)
        await settled()
        assert one["a"].hears() == []


async def test_a_reply_of_a_process_that_is_over_is_not_taken_for_that_of_the_next_one() -> None:
    async with company() as one:
        one.ask("a", job(1))
        await settled()
        [first] = one["a"].reads()
        one["a"].exits(CRASH)
        await settled()
        [second] = one["a"].reads()
        assert first.number != second.number


async def test_a_job_that_is_withdrawn_or_moot_by_now_is_not_delivered_again() -> None:
    async with company(capacity=3) as one:
        withdrawn, moot, _ = one.ask("a", job(0), job(1), job(2))
        await settled()
        withdrawn.request.withdraw()
        moot.job = None
        one["a"].exits(CRASH)
        await settled()
        assert one["a"].hears() == [job(2)]
        assert withdrawn.replies + moot.replies == []


async def test_a_job_that_three_processes_died_with_is_lost_and_the_others_go_on() -> None:
    async with company() as one:
        asked, _ = one.ask("a", job(0), job(1))
        for _ in range(MOST_DELIVERIES):
            await settled()
            assert asked.replies == []
            assert one["a"].hears() == [job(0)]
            one["a"].exits(CRASH)
        await settled()
        [lost] = asked.replies
        assert isinstance(lost, Lost)
        assert lost.error == "a died 3 times with this in hand"
        assert lost.at_least_s >= one.refs["a"].intensity.period_s, "or it would make the pod unhealthy"
        assert one["a"].hears() == [job(1)]


async def test_words_that_were_on_their_way_when_the_handler_was_made_to_wait_are_lost_with_the_process_and_harm_nothing() -> None:
    handler = RecordingHandler()
    async with company(handler=handler) as one:
        handler.may_speak.clear()
        one["a"].says(news(1))
        await settled()
        one["a"].exits(CRASH)
        await settled()
        handler.may_speak.set()
        one["a"].says(news(2))
        await settled()
        assert handler.heard == [("a", news(2))]


# --- Too many deaths ---


async def dies(company: Company, times: int) -> None:
    for _ in range(times):
        company["a"].exits(CRASH)
        await settled()


async def test_five_deaths_within_a_minute_are_borne_and_the_sixth_makes_the_pod_unhealthy() -> None:
    async with company() as one:
        await dies(one, 5)
        assert one.supervisor.unhealthy_reason() is None
        assert len(one.processes("a")) == 6

        await dies(one, 1)

        assert one.supervisor.unhealthy_reason() == "a died more than 5 times within 60 s"
        assert one.state("a") is ActorState.GAVE_UP
        assert len(one.processes("a")) == 6, "it is not started again"
        assert one.supervisor.unready() is not None


async def test_deaths_that_are_far_apart_are_borne_for_ever() -> None:
    async with company() as one:
        for _ in range(50):
            one["a"].starts()
            await dies(one, 1)
            await asyncio.sleep(13)
        assert one.supervisor.unhealthy_reason() is None
        assert one.refs["a"].restarts == 50


async def test_an_unhealthy_pod_stays_so_and_the_other_actors_go_on() -> None:
    async with company("a", "b") as two:
        await dies(two, 6)
        reason = two.supervisor.unhealthy_reason()
        await asyncio.sleep(3600)
        assert two.supervisor.unhealthy_reason() == reason
        two.ask("b", job(1))
        await settled()
        assert two["b"].hears() == [job(1)]


@pytest.mark.parametrize("asked", [True, False])
async def test_a_child_that_leaves_its_channel_before_it_is_told_something_is_replaced(asked: bool) -> None:
    async with company() as one:
        one["a"].exits(CRASH)
        one.ask("a", job(1)) if asked else one.tell("a", news(1))
        await settled()
        assert len(one.processes("a")) == 2
        assert one["a"].alive
