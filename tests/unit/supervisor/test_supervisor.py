"""The supervisor and one actor: messages both ways, deaths, redelivery, poison, and when it gives up. What jobs mean is not its matter."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from nfsw.actors.envelope import Message
from nfsw.actors.files import FileRef, Fingerprint
from nfsw.actors.messages import Complete, LetGo, Looked
from nfsw.supervisor.status import ActorState
from nfsw.supervisor.supervisor import MOST_DELIVERIES
from tests.support.faketime import clock, settled
from tests.support.memory_child import Lives
from tests.unit.supervisor.company import Company, Play, ref

CRASH = 70


def job(number: int) -> Complete:
    return Complete(FileRef("20260131", "s", f"{number}"), Fingerprint(number, 0, 0, 0))


def news(number: int) -> LetGo:
    """No job: nothing is done about it."""
    return LetGo(FileRef("20260131", "s", f"{number}"))


@asynccontextmanager
async def actor(play: Play | None = None, *, capacity: int | None = 1) -> AsyncIterator[Company]:
    """A company of one, called "a"."""
    lives = Lives()
    async with Company(ref("a", lives, capacity), plot=play or Play(), lives={"a": lives}) as company:
        yield company


# --- Messages ---


async def test_a_job_is_handed_out_and_is_in_hand_until_the_child_is_done_with_it() -> None:
    play = Play()
    async with actor(play) as company:
        company.post("a", job(1))
        await settled()
        [envelope] = company["a"].reads()
        assert envelope.message == job(1)
        assert envelope.number is not None
        assert envelope.attempt == 1
        assert company.refs["a"].jobs() == [envelope]

        company["a"].is_done_with(job(1))
        await settled()
        assert company.refs["a"].jobs() == []
        assert play.done == [job(1)]


async def test_a_child_has_no_more_jobs_in_hand_than_it_has_hands() -> None:
    async with actor(capacity=2) as company:
        company.post("a", *map(job, range(5)))
        await settled()
        assert company["a"].hears() == [job(0), job(1)]
        company["a"].is_done_with(job(1))
        await settled()
        assert company["a"].hears() == [job(2)]
        assert company.waiting("a") == 2


async def test_what_is_no_job_takes_no_hand() -> None:
    async with actor(capacity=1) as company:
        company.post("a", news(1), news(2), job(1), news(3))
        await settled()
        assert company["a"].hears() == [news(1), news(2), job(1)]
        company["a"].is_done_with(job(1))
        await settled()
        assert company["a"].hears() == [news(3)], "the order is kept, behind a job too"


async def test_thousands_of_messages_keep_their_order() -> None:
    async with actor(capacity=None) as company:
        company.post("a", *map(job, range(2000)))
        await settled()
        heard = company["a"].hears()
        while len(heard) < 2000:
            await settled()
            heard += company["a"].hears()
        assert heard == [job(number) for number in range(2000)]


async def test_a_greeting_comes_before_anything_else_in_every_life() -> None:
    play = Play({"a": [news(0)]})
    async with actor(play) as company:
        company.post("a", job(1))
        await settled()
        assert company["a"].hears() == [news(0), job(1)]
        company["a"].exits(CRASH)
        await settled()
        assert company["a"].hears() == [news(0), job(1)]


async def test_what_a_child_says_reaches_the_plot_in_order() -> None:
    play = Play()
    async with actor(play) as company:
        company["a"].says(news(1), news(2))
        company["a"].says(Looked(()))
        await settled()
        assert play.heard == [("a", news(1)), ("a", news(2)), ("a", Looked(()))]


async def test_while_the_plot_makes_an_actor_wait_its_words_stay_in_its_channel() -> None:
    play = Play()
    async with actor(play) as company:
        play.may_speak.clear()
        for number in range(10):
            company["a"].says(news(number))
        await settled()
        assert company["a"].unread == 9, "one is being handled"
        play.may_speak.set()
        await settled()
        assert play.heard == [("a", news(number)) for number in range(10)]


async def test_a_child_that_does_not_read_holds_up_nothing_but_what_is_for_it() -> None:
    play = Play()
    deaf, other = Lives(), Lives()
    async with Company(ref("deaf", deaf, None), ref("other", other, None), plot=play, lives={"deaf": deaf, "other": other}) as company:
        company["deaf"].deaf = True
        company.post("deaf", *map(news, range(1000)))
        company.post("other", *map(news, range(1000)))
        for _ in range(100):
            await settled()
            company["other"].hears()
        assert company.waiting("other") == 0
        assert company.waiting("deaf") > 800
        company["deaf"].says(news(5))
        await settled()
        assert play.heard == [("deaf", news(5))], "it is still heard"


# --- States ---


async def test_an_actor_runs_from_its_own_word_on() -> None:
    async with actor() as company:
        assert company.refs["a"].status().state is ActorState.STARTING
        assert company.supervisor.unready() == "a is starting"
        company["a"].starts()
        await settled()
        assert company.refs["a"].status().state is ActorState.RUNNING
        assert company.supervisor.unready() is None


async def test_the_status_shows_the_process_and_the_call_that_it_is_in() -> None:
    async with actor() as company:
        company["a"].starts()
        company["a"].enters("scandir incoming/s")
        await asyncio.sleep(3)
        status = company.refs["a"].status()
        assert (status.name, status.state, status.pid, status.restarts) == ("a", ActorState.RUNNING, company["a"].pid, 0)
        assert status.busy_s == pytest.approx(3.0, abs=0.01)
        assert status.doing == "scandir incoming/s"
        company["a"].leaves()
        assert (company.refs["a"].status().busy_s, company.refs["a"].status().doing) == (0.0, None)


async def test_all_actors_have_been_started_once_the_supervisor_has_begun() -> None:
    lives = {name: Lives() for name in "abc"}
    company = Company(*(ref(name, life) for name, life in lives.items()), plot=Play(), lives=lives)
    async with company:
        assert company.supervisor.begun.is_set()
        assert [len(life) for life in lives.values()] == [1, 1, 1]


async def test_a_word_that_the_plot_does_not_understand_is_a_bug_and_ends_the_service() -> None:
    class Strict(Play):
        async def on_message(self, actor: str, envelope: object) -> None:
            raise TypeError("which nobody understands")

    lives = Lives()
    company = Company(ref("a", lives), plot=Strict(), lives={})
    running = asyncio.create_task(company.supervisor.run())
    await settled()
    lives.now.says(news(1))
    with pytest.raises(ExceptionGroup) as failed:
        await running
    assert failed.group_contains(TypeError, match="nobody understands")
    await settled()
    assert not lives.now.alive


async def test_at_the_end_every_child_is_killed_and_nothing_said(caplog: pytest.LogCaptureFixture) -> None:
    lives = {name: Lives() for name in "abc"}
    async with Company(*(ref(name, life) for name, life in lives.items()), plot=Play(), lives=lives) as company:
        caplog.clear()
        company.supervisor.end()
        assert all(len(life.now.kills) == 1 for life in lives.values())
        assert not caplog.messages


# --- Deaths ---


@pytest.mark.parametrize("code", [CRASH, 1, 0, -9, -11])
async def test_a_child_that_ends_is_replaced_at_once_whatever_its_exit_code(code: int) -> None:
    async with actor() as company:
        first = company["a"]
        first.exits(code)
        await settled()
        assert len(company.lives("a")) == 2
        assert company["a"] is not first
        assert first.closed
        assert company.refs["a"].status().restarts == 1
        company["a"].starts()
        await settled()
        assert company.supervisor.unready() is None
    assert clock().passed < 1


async def test_the_log_says_how_a_child_ended(caplog: pytest.LogCaptureFixture) -> None:
    async with actor() as company:
        for code in (CRASH, -11, -9):
            company["a"].exits(code)
            await settled()
    said = [record.getMessage() for record in caplog.records if "has ended:" in record.getMessage()]
    assert [line.partition("ended: ")[2].partition(" (")[0] for line in said] == ["exit code 70", "signal 11", "killed"]


async def test_a_death_of_one_actor_is_no_matter_of_the_others() -> None:
    lives = {"a": Lives(), "b": Lives()}
    async with Company(ref("a", lives["a"]), ref("b", lives["b"]), plot=Play(), lives=lives) as company:
        company.post("b", job(1))
        await settled()
        company["a"].exits(CRASH)
        await settled()
        assert len(company.lives("a")) == 2
        assert len(company.lives("b")) == 1
        assert company["b"].hears() == [job(1)]


async def test_what_a_dead_child_had_in_hand_is_delivered_again_first_and_in_order() -> None:
    async with actor(capacity=3) as company:
        company.post("a", *map(job, range(5)))
        await settled()
        assert company["a"].hears() == [job(0), job(1), job(2)]
        company["a"].is_done_with(job(1))
        await settled()
        assert company["a"].hears() == [job(3)]
        company["a"].exits(CRASH)
        await settled()

        again = company["a"].reads()
        assert [(envelope.message, envelope.attempt) for envelope in again] == [(job(0), 2), (job(2), 2), (job(3), 2)]


async def test_a_job_that_the_child_never_read_is_delivered_again() -> None:
    async with actor() as company:
        company.post("a", job(1))
        await settled()
        company["a"].exits(CRASH)
        await settled()
        assert company["a"].hears() == [job(1)]


async def test_a_job_that_was_done_is_not_delivered_again() -> None:
    async with actor() as company:
        company.post("a", job(1))
        await settled()
        company["a"].reads()
        company["a"].is_done_with(job(1))
        await settled()
        company["a"].exits(CRASH)
        await settled()
        assert company["a"].hears() == []


async def test_done_from_a_life_that_is_over_is_not_taken_for_this_lifes() -> None:
    play = Play()
    async with actor(play) as company:
        company.post("a", job(1))
        await settled()
        [first] = company["a"].reads()
        company["a"].exits(CRASH)
        await settled()
        [second] = company["a"].reads()
        assert first.number != second.number


async def test_a_job_that_is_moot_by_now_is_not_delivered_again() -> None:
    play = Play(moot=[job(0)])
    async with actor(play, capacity=2) as company:
        company.post("a", job(0), job(1))
        await settled()
        company["a"].exits(CRASH)
        await settled()
        assert company["a"].hears() == [job(1)]
        assert play.dead_letters == []


async def test_a_job_that_three_lives_died_with_is_set_aside_and_the_others_go_on() -> None:
    play = Play()
    async with actor(play) as company:
        company.post("a", job(0), job(1))
        for attempt in range(1, MOST_DELIVERIES + 1):
            await settled()
            [envelope] = company["a"].reads()
            assert (envelope.message, envelope.attempt) == (job(0), attempt)
            company["a"].exits(CRASH)
        await settled()
        [(letter, reason, again_after_s)] = play.dead_letters
        assert letter == job(0)
        assert "a died 3 times" in reason
        assert again_after_s >= company.refs["a"].intensity.period_s, "or it would make the pod sick"
        assert company["a"].hears() == [job(1)]


async def test_words_that_were_on_their_way_when_the_plot_was_made_to_wait_are_lost_with_the_life_and_harm_nothing() -> None:
    play = Play()
    async with actor(play) as company:
        play.may_speak.clear()
        company["a"].says(news(1))
        await settled()
        company["a"].exits(CRASH)
        await settled()
        play.may_speak.set()
        company["a"].says(news(2))
        await settled()
        assert play.heard == [("a", news(2))]


# --- Too many deaths ---


async def dies(company: Company, times: int) -> None:
    for _ in range(times):
        company["a"].exits(CRASH)
        await settled()


async def test_five_deaths_within_a_minute_are_borne_and_the_sixth_makes_the_pod_sick() -> None:
    async with actor() as company:
        await dies(company, 5)
        assert company.supervisor.sick() is None
        assert len(company.lives("a")) == 6

        await dies(company, 1)

        assert company.supervisor.sick() == "a died more than 5 times within 60 s"
        assert company.refs["a"].status().state is ActorState.GAVE_UP
        assert len(company.lives("a")) == 6, "it is not started again"
        assert company.supervisor.unready() is not None


async def test_deaths_that_are_far_apart_are_borne_for_ever() -> None:
    async with actor() as company:
        for _ in range(50):
            company["a"].starts()
            await dies(company, 1)
            await asyncio.sleep(13)
        assert company.supervisor.sick() is None
        assert company.refs["a"].restarts == 50


async def test_a_sick_pod_stays_sick_and_the_other_actors_go_on() -> None:
    lives = {"a": Lives(), "b": Lives()}
    async with Company(ref("a", lives["a"]), ref("b", lives["b"]), plot=Play(), lives=lives) as company:
        await dies(company, 6)
        reason = company.supervisor.sick()
        await asyncio.sleep(3600)
        assert company.supervisor.sick() == reason
        company.post("b", job(1))
        await settled()
        assert company["b"].hears() == [job(1)]


@pytest.mark.parametrize("message", [job(1), news(1)])
async def test_a_child_that_leaves_its_channel_before_it_is_told_something_is_replaced(message: Message) -> None:
    async with actor() as company:
        company["a"].exits(CRASH)
        company.post("a", message)
        await settled()
        assert len(company.lives("a")) == 2
        assert company["a"].alive
