"""How far a file is: counted in bytes that have left, honest about what failed, and told seldom."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfsw.actors.manifest import Block
from nfsw.actors.messages import UploadProgress
from nfsw.actors.progress import EVERY_S, Progress
from tests.support.faketime import FakeTimeLoop
from tests.support.told import Told

ONE, TWO = Block(0, 0, 100, 1), Block(1, 100, 100, 2)


@pytest.fixture
async def progress(told: Told) -> AsyncIterator[Progress]:
    """During an attempt."""
    progress = Progress()
    with progress.told(told):
        yield progress


class Counter:
    """Of the bytes of one request that have left."""

    left = 0

    def __call__(self) -> int:
        return self.left


def request(progress: Progress, block: Block, *sizes: int, error: Exception | None = None) -> None:
    """One request that carries the block: it sends so far, further, and then fails or is answered."""
    with progress.request(block) as body:
        body.follow(counter := Counter())
        for counter.left in sizes:
            body.look()
        if error:
            raise error


def latest(told: Told) -> UploadProgress:
    return told.of(UploadProgress)[-1]


async def test_bytes_count_as_they_leave_and_not_only_when_their_block_is_taken(progress: Progress, told: Told) -> None:
    with progress.request(ONE) as body:
        body.follow(counter := Counter())
        counter.left = 40
        progress.tell()
        assert latest(told) == UploadProgress(held=0, left=40, sent=40, resent=0, blocks=0)
        counter.left = 100
    progress.tell()
    assert latest(told) == UploadProgress(held=100, left=100, sent=60, resent=0, blocks=1)


async def test_what_a_failed_request_had_sent_is_taken_back_and_counts_as_sent_again_when_it_leaves_again(
    progress: Progress, told: Told
) -> None:
    with pytest.raises(ConnectionResetError):
        request(progress, ONE, 60, error=ConnectionResetError())
    progress.tell()
    assert latest(told) == UploadProgress(held=0, left=0, sent=60, resent=0, blocks=0)
    request(progress, ONE, 50, 100)
    progress.tell()
    assert latest(told) == UploadProgress(held=100, left=100, sent=100, resent=60, blocks=1)


async def test_a_request_that_fails_before_a_byte_has_left_makes_nothing_sent_again(progress: Progress, told: Told) -> None:
    """A connection that was kept, and that the server has closed meanwhile."""
    with pytest.raises(ConnectionResetError):
        request(progress, ONE, error=ConnectionResetError())
    request(progress, ONE, 100)
    progress.tell()
    assert (latest(told).sent, latest(told).resent) == (100, 0)


async def test_what_azure_holds_already_is_done_and_not_sent(progress: Progress, told: Told) -> None:
    progress.holds(100)
    with progress.request(TWO) as body:
        body.follow(lambda: 30)
        progress.tell()
    assert latest(told) == UploadProgress(held=100, left=130, sent=30, resent=0)


async def test_another_attempt_counts_what_is_held_from_the_start_and_remembers_what_has_left(progress: Progress, told: Told) -> None:
    request(progress, ONE, 100)
    progress.begin()
    progress.tell()
    assert latest(told).left == 0
    request(progress, ONE, 100)
    progress.tell()
    assert (latest(told).held, latest(told).resent) == (100, 100)


async def test_however_many_pieces_leave_it_is_told_twice_a_second(progress: Progress, told: Told) -> None:
    with progress.request(ONE) as body:
        body.follow(counter := Counter())
        for counter.left in range(100):
            await asyncio.sleep(0.05)
    assert len(told) == 5 / EVERY_S
    assert all(one.left < two.left for one, two in zip(told.of(UploadProgress), told.of(UploadProgress)[1:], strict=False))


async def test_the_last_bytes_before_a_standstill_are_told_too(progress: Progress, told: Told) -> None:
    with progress.request(ONE) as body:
        body.follow(counter := Counter())
        counter.left = 10
        await asyncio.sleep(EVERY_S)
        counter.left = 20
        await asyncio.sleep(100)
    assert latest(told).left == 20
    assert len(told) == 2


async def test_nothing_new_is_not_told(progress: Progress, told: Told) -> None:
    progress.tell()
    progress.begin()
    await asyncio.sleep(10)
    assert told == []


async def test_the_rest_is_told_at_the_end_of_an_attempt_and_nothing_after_it(told: Told) -> None:
    progress = Progress()
    with progress.told(told):
        request(progress, ONE, 100)
    assert told.taken() == [UploadProgress(held=100, left=100, sent=100, resent=0, blocks=1)]
    request(progress, TWO, 100)
    await asyncio.sleep(10)
    assert told == []


async def test_another_attempt_tells_of_its_own(told: Told) -> None:
    """Each answers another job."""
    progress, later = Progress(), Told()
    with progress.told(told):
        request(progress, ONE, 100)
    told.clear()
    with progress.told(later):
        progress.begin()
        request(progress, ONE, 100)
    assert told == []
    assert later == [UploadProgress(held=100, left=100, sent=100, resent=100, blocks=1)]


async def test_a_request_that_takes_the_place_of_another_sends_the_block_again(progress: Progress, told: Told) -> None:
    """The blob was another one than was looked at."""
    with progress.request(ONE) as body:
        body.follow(lambda: 100)
        progress.tell()
        body.follow(counter := Counter())
        progress.tell()
        assert latest(told).left == 0
        counter.left = 100
    progress.tell()
    assert sum(grew.sent for grew in told.of(UploadProgress)) == 200
    assert sum(grew.resent for grew in told.of(UploadProgress)) == 100


STEPS = st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(1, 40), max_size=4), st.sampled_from(["taken", "failed"])), max_size=30)


@given(steps=STEPS)
def test_done_is_never_above_the_size_and_what_is_sent_twice_never_above_what_is_sent(
    steps: list[tuple[int, list[int], str]],
) -> None:
    async def play() -> None:
        told = Told()
        progress = Progress()
        taken: set[int] = set()
        with progress.told(told):
            for index, pieces, outcome in steps:
                if index in taken:
                    continue
                with suppress(OSError), progress.request(Block(index, 100 * index, 100, 0)) as body:
                    body.follow(counter := Counter())
                    for piece in pieces:
                        counter.left = min(100, counter.left + piece)
                        progress.tell()
                    if outcome == "failed":
                        raise OSError
                    counter.left = 100
                    taken.add(index)
        grew = told.of(UploadProgress)
        assert all(message.held <= message.left <= 400 for message in grew)
        assert all(0 <= message.resent <= message.sent for message in grew)
        assert not grew or grew[-1].held == grew[-1].left == 100 * len(taken)
        assert sum(message.sent - message.resent for message in grew) <= 400

    with asyncio.Runner(loop_factory=FakeTimeLoop) as runner:
        runner.run(play())
