"""One real child process at a time: what passes the channel, how it ends, and what is seen of it while it hangs."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from nfsw.actors.envelope import Envelope, Message, Started
from nfsw.actors.host import CRASHED
from nfsw.actors.messages import ReportAgain
from nfsw.actors.start import HEARTBEAT_S
from nfsw.supervisor.child import ProcessChild
from tests.support import trial_child as trials
from tests.support.children import state_of
from tests.support.logs import FIELDS
from tests.support.real_actors import SLOTS, boots
from tests.support.stopwatch import Stopwatch
from tests.support.trial import Answer, Ask, Count, Leave, Raise, Read, Say, spoken

#: Far more than anything here takes, in seconds.
PATIENCE_S = 20.0
MANY = 10_000


@pytest.fixture(autouse=True)
def _spoken() -> Iterator[None]:
    with spoken():
        yield


@asynccontextmanager
async def child(*, one_hand: bool = False) -> AsyncIterator[ProcessChild]:
    """One that takes messages."""
    started = trials.start(one_hand=one_hand)
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert await hears(started, 1) == [Started()]
            yield started
    finally:
        with suppress(ProcessLookupError):
            os.kill(started.pid, signal.SIGCONT)
        started.kill()
        await started.gone()
        started.close()


async def envelopes(of: ProcessChild, count: int) -> list[Envelope]:
    """The next `count`, or fewer when it ends."""
    heard: list[Envelope] = []
    while len(heard) < count and (packet := await of.receive()) is not None:
        heard += packet
    return heard


async def hears(of: ProcessChild, count: int) -> list[Message]:
    """The messages of the next `count`."""
    return [envelope.message for envelope in await envelopes(of, count)]


async def tells(to: ProcessChild, *messages: Message) -> None:
    await to.send([Envelope(message) for message in messages])


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what another process does sets no event here
        await asyncio.sleep(0.01)


def beats(of: ProcessChild) -> bool:
    silent = of.board.silent_s()
    return silent is not None and silent < 2 * HEARTBEAT_S


# --- What passes ---


async def test_what_is_said_about_no_job_has_no_number() -> None:
    async with child() as trial_child:
        await tells(trial_child, Say("hello"))
        [envelope] = await envelopes(trial_child, 1)
        assert (envelope.message, envelope.number) == (Say("hello"), None)


async def test_a_job_gets_one_reply_behind_all_news_of_it_and_all_have_its_number() -> None:
    async with child() as trial_child:
        await trial_child.send([Envelope(Count(3), number=7, traceparent="00-a-b-01")])
        heard = await envelopes(trial_child, 4)
        assert [envelope.message for envelope in heard] == [Say(0), Say(1), Say(2), Answer(3)]
        assert {(envelope.number, envelope.traceparent) for envelope in heard} == {(7, "00-a-b-01")}


async def test_two_jobs_at_a_time_each_get_their_own_reply(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    async with child() as trial_child:
        await trial_child.send([Envelope(Read(str(fifo)), number=1), Envelope(Ask("other"), number=2)])
        [other] = await envelopes(trial_child, 1)
        assert (other.message, other.number) == (Answer("other"), 2)
        fifo.write_bytes(b"there")
        [read] = await envelopes(trial_child, 1)
        assert (read.message, read.number) == (Answer(b"there"), 1)


async def test_ten_thousand_messages_pass_both_ways_in_order() -> None:
    """Both ends send without waiting for the other: batches, full sockets and all."""
    async with child(one_hand=True) as trial_child:
        watch = Stopwatch()

        async def asks() -> None:
            for first in range(0, MANY, 32):
                await tells(trial_child, *(Say(number) for number in range(first, min(first + 32, MANY))))

        async with asyncio.TaskGroup() as group:
            group.create_task(asks())
            answers = group.create_task(hears(trial_child, MANY))
        assert answers.result() == [Say(number) for number in range(MANY)]
        assert watch.seconds < PATIENCE_S


async def test_a_child_whose_words_nobody_reads_waits_with_them_and_beats_on() -> None:
    async with child() as trial_child:
        await tells(trial_child, Count(MANY))
        await asyncio.sleep(2 * HEARTBEAT_S)  # long enough to have told all of it, if it had not to wait
        await until(lambda: beats(trial_child))
        assert await hears(trial_child, MANY + 1) == [*(Say(number) for number in range(MANY)), Answer(MANY)]


async def test_what_cannot_be_packed_is_an_error_of_whoever_sends_it_and_nothing_is_sent() -> None:
    async with child() as trial_child:
        with pytest.raises(TypeError):
            await tells(trial_child, Say("first"), Say(lambda: None))
        await tells(trial_child, Say("next"))
        assert await hears(trial_child, 1) == [Say("next")]


# --- How it ends ---


async def test_a_child_whose_channel_is_closed_leaves_at_once_and_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    trial_child = trials.start()
    await hears(trial_child, 1)
    watch = Stopwatch()
    trial_child._sock.close()
    assert await trial_child.gone() == 0
    assert watch.seconds < 1.0
    trial_child.board.close()
    assert capfd.readouterr().err == ""


async def test_a_child_that_is_in_the_middle_of_telling_leaves_too(capfd: pytest.CaptureFixture[str]) -> None:
    trial_child = trials.start()
    await hears(trial_child, 1)
    await tells(trial_child, Count(1_000_000))
    await trial_child.receive()
    watch = Stopwatch()
    trial_child._sock.close()
    assert await trial_child.gone() == 0
    assert watch.seconds < 1.0
    trial_child.board.close()
    assert "Traceback" not in "".join(capfd.readouterr())


async def test_a_child_whose_channel_closes_before_it_has_read_anything_leaves() -> None:
    trial_child = trials.start()
    trial_child._sock.close()
    assert await trial_child.gone() == 0
    trial_child.board.close()


@pytest.mark.parametrize("code", [0, 1, 3, 255])
async def test_the_exit_code_of_a_child_is_seen_and_its_channel_has_ended(code: int) -> None:
    async with child() as trial_child:
        await tells(trial_child, Leave(code))
        assert await hears(trial_child, 1) == []
        assert await trial_child.gone() == code
        assert state_of(trial_child.pid) is None, "reaped"


async def test_a_child_that_is_killed_is_seen_to_be() -> None:
    async with child() as trial_child:
        trial_child.kill()
        assert await trial_child.gone() == -signal.SIGKILL
        trial_child.kill()  # nobody else's process has its number by now


async def test_what_is_sent_to_a_child_that_has_ended_is_an_error_that_the_supervisor_knows() -> None:
    async with child() as trial_child:
        await tells(trial_child, Leave(0))
        await trial_child.gone()
        with pytest.raises(OSError, match=r"[Bb]roken pipe|reset"):
            await tells(trial_child, Say("anybody there?"))


async def test_a_crash_is_one_log_line_with_the_traceback_and_an_exit_code_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    async with child() as trial_child:
        capfd.readouterr()
        await tells(trial_child, Raise("a\nreason"))
        assert await trial_child.gone() == CRASHED
    out, err = capfd.readouterr()
    [text] = out.splitlines()
    line: dict[str, Any] = json.loads(text)
    assert line.keys() >= FIELDS
    assert (line["level"], line["actor"]) == ("CRITICAL", trials.NAME)
    assert "LookupError('a\\nreason')" in line["message"]
    assert line["exception"].startswith("Traceback")
    assert "on_message" in line["exception"]
    assert err == ""


async def test_a_real_actor_that_is_told_nonsense_crashes_with_one_log_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    scanner = ProcessChild.start("scanner", boots(tmp_path)["scanner"], SLOTS)
    await tells(scanner, ReportAgain("no file"))  # type: ignore[arg-type]
    assert await scanner.gone() == CRASHED
    scanner.close()
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    [crash] = [line for line in lines if line["level"] == "CRITICAL"]
    assert crash["actor"] == "scanner"
    assert "ValidationError" in crash["message"]


async def test_a_ctrl_c_in_the_terminal_is_the_main_processs_matter() -> None:
    async with child() as trial_child:
        os.kill(trial_child.pid, signal.SIGINT)
        await tells(trial_child, Say("still here"))
        assert await hears(trial_child, 1) == [Say("still here")]


# --- What is seen of one that hangs ---


async def test_a_child_that_hangs_in_a_call_shows_it_beats_answers_and_sees_the_end(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    async with child() as trial_child:
        assert trial_child.board.oldest() is None
        await tells(trial_child, Read(str(fifo)))
        await until(lambda: trial_child.board.oldest() is not None)
        await asyncio.sleep(2 * HEARTBEAT_S)
        await until(lambda: beats(trial_child))
        call = trial_child.board.oldest()
        assert call is not None
        assert call.what == f"read {fifo}"
        assert call.seconds >= 2 * HEARTBEAT_S
        await tells(trial_child, Say("another thread"))
        assert await hears(trial_child, 1) == [Say("another thread")]

        watch = Stopwatch()
        trial_child._sock.close()
        assert await trial_child.gone() == 0
        assert watch.seconds < 1.0


async def test_a_call_that_comes_back_after_all_is_counted_and_its_answer_told(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    async with child() as trial_child:
        await tells(trial_child, Read(str(fifo)))
        await until(lambda: trial_child.board.oldest() is not None)
        with fifo.open("wb") as writer:
            writer.write(b"at last")
        assert await hears(trial_child, 1) == [Answer(b"at last")]
        assert trial_child.board.oldest() is None
        assert trial_child.board.finished() == 1


async def test_a_process_that_is_stopped_does_not_beat_and_goes_on_where_it_was() -> None:
    async with child() as trial_child:
        os.kill(trial_child.pid, signal.SIGSTOP)
        await until(lambda: (trial_child.board.silent_s() or 0) > 2 * HEARTBEAT_S)
        await tells(trial_child, Say("wake up"))
        os.kill(trial_child.pid, signal.SIGCONT)
        assert await hears(trial_child, 1) == [Say("wake up")]
        await until(lambda: beats(trial_child))


# --- The real ones ---


@pytest.mark.parametrize("name", ["keeper", "scanner", "claimer", "collector"])
async def test_each_nfs_actor_starts_soon_beats_and_leaves_with_its_channel(name: str, tmp_path: Path) -> None:
    watch = Stopwatch()
    actor = ProcessChild.start(name, boots(tmp_path)[name], SLOTS)
    async with asyncio.timeout(PATIENCE_S):
        assert Started() in await hears(actor, 1)
        assert watch.seconds < 5.0
        assert actor.board.silent_s() is not None
        actor._sock.close()
        assert await actor.gone() == 0
    actor.board.close()
