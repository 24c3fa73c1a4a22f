"""The limit is kept, smoothly and by the clock; a change of it takes hold of those who wait."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nfsw.actors.throttle import LARGEST_PIECE, Throttle
from tests.support.faketime import FakeTimeLoop, settled

MIB = 1024 * 1024


class Line:
    """Who sends as fast as it may, and how much that was."""

    def __init__(self) -> None:
        self.clock = asyncio.get_running_loop().time
        self.throttle = Throttle(self.clock)
        self.sent = 0

    async def send_for_ever(self) -> None:
        while True:
            size = self.throttle.piece()
            await self.throttle.take(size)
            self.sent += size
            await asyncio.sleep(0)

    async def during(self, seconds: float) -> int:
        """Bytes that went in that time."""
        before = self.sent
        await asyncio.sleep(seconds)
        return self.sent - before


async def sending(line: Line, senders: int, test: Callable[[], Awaitable[None]]) -> None:
    tasks = [asyncio.create_task(line.send_for_ever()) for _ in range(senders)]
    try:
        await test()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("senders", [1, 32])
@pytest.mark.parametrize("rate", [20_000, 300_000, 2 * MIB, 100 * MIB])
async def test_the_limit_is_kept_within_five_per_cent_over_ten_seconds(rate: int, senders: int) -> None:
    line = Line()
    line.throttle.set(rate, paused=False)

    async def test() -> None:
        for _ in range(3):
            assert await line.during(10) == pytest.approx(10 * rate, rel=0.05)

    await sending(line, senders, test)


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(50_000, 20 * MIB), st.floats(0.1, 20)), min_size=1, max_size=6))
def test_no_change_of_the_limit_lets_more_through_than_its_burst(changes: list[tuple[int, float]]) -> None:
    async def test() -> None:
        line = Line()
        line.throttle.set(1, paused=False)

        async def changing() -> None:
            for rate, seconds in changes:
                line.throttle.set(rate, paused=False)
                sent = await line.during(seconds)
                assert sent <= rate * (seconds + 0.25) + 4 * LARGEST_PIECE
                line.throttle.set(rate, paused=False)  # to set it again gives no second burst

        await sending(line, 4, changing)

    with asyncio.Runner(loop_factory=FakeTimeLoop) as runner:
        runner.run(test())


async def test_without_a_limit_nobody_waits() -> None:
    line = Line()
    before = line.clock()
    await line.throttle.take(1_000_000 * MIB)
    assert line.clock() == before
    assert line.throttle.piece() == LARGEST_PIECE


async def test_a_pause_holds_at_once_and_its_end_too() -> None:
    line = Line()
    line.throttle.set(MIB, paused=False)

    async def test() -> None:
        await line.during(5)
        line.throttle.set(MIB, paused=True)
        assert line.throttle.paused
        assert await line.during(3600) == 0
        line.throttle.set(MIB, paused=False)
        assert await line.during(10) == pytest.approx(10 * MIB, rel=0.05), "what was not used while paused is not owed"

    await sending(line, 4, test)


async def test_a_higher_limit_wakes_who_waits() -> None:
    throttle = Throttle(asyncio.get_running_loop().time)
    throttle.set(1, paused=False)
    await throttle.take(1_000_000)
    waiting = asyncio.create_task(throttle.take(1))
    await settled()
    assert not waiting.done()
    throttle.set(None, paused=False)
    await settled()
    assert waiting.done()


async def test_opened_returns_when_the_pause_ends() -> None:
    throttle = Throttle(asyncio.get_running_loop().time)
    throttle.set(None, paused=True)
    waiting = asyncio.create_task(throttle.opened())
    await settled()
    assert not waiting.done()
    throttle.set(None, paused=False)
    await settled()
    assert waiting.done()


async def test_whoever_gives_up_waiting_takes_nothing() -> None:
    loop = asyncio.get_running_loop()
    throttle = Throttle(loop.time)
    throttle.set(1000, paused=False)
    await throttle.take(10_000)
    waiting = asyncio.create_task(throttle.take(1_000_000))
    await settled()
    waiting.cancel()
    before = loop.time()
    await throttle.take(1)
    assert loop.time() - before == pytest.approx(9.75, abs=0.01)
