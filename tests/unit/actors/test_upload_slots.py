"""The slots: never more at work than there are, none lost whatever is cancelled, and failed files behind fresh ones."""

import asyncio
from collections.abc import Awaitable, Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from nfsw.actors.send_window import Place
from nfsw.actors.upload_slots import Turn, UploadSlots
from tests.support.faketime import FakeTimeLoop, settled

#: By whether the file has failed before. All are of one age, so that the first come is the first served.
PLACES = {failed: Place(failed, 0, "") for failed in (False, True)}


class Worker:
    """A file that takes a slot, works until it is told, and may step aside."""

    def __init__(self, slots: UploadSlots, *, again: bool = False) -> None:
        self.at_work = False
        self._done = asyncio.Event()
        self._aside: asyncio.Event | None = None
        self._step = asyncio.Event()
        self.task = asyncio.create_task(self._work(slots, PLACES[again]))

    async def _work(self, slots: UploadSlots, place: Place) -> None:
        async with slots.turn(place) as turn:
            self.at_work = True
            while not self._done.is_set():
                await self._step.wait()
                self._step.clear()
                if self._aside:
                    await self._wait_aside(turn, self._aside)
        self.at_work = False

    async def _wait_aside(self, turn: Turn, until: asyncio.Event) -> None:
        self.at_work = False
        self._aside = None
        await turn.step_aside(until.wait)
        self.at_work = True

    def finish(self) -> None:
        self._done.set()
        self._step.set()

    def step_aside(self, until: asyncio.Event) -> None:
        self._aside = until
        self._step.set()

    def cancel(self) -> None:
        self.at_work = False
        self.task.cancel()


async def test_no_more_work_than_there_are_slots_and_the_first_come_is_the_first_served() -> None:
    slots = UploadSlots(2)
    workers = [Worker(slots) for _ in range(4)]
    await settled()
    assert [worker.at_work for worker in workers] == [True, True, False, False]
    workers[1].finish()
    await settled()
    assert [worker.at_work for worker in workers] == [True, False, True, False]


async def test_files_that_have_failed_step_back_behind_those_that_have_not() -> None:
    slots = UploadSlots(1)
    first = Worker(slots)
    await settled()
    failed = Worker(slots, again=True)
    await settled()
    fresh = Worker(slots)
    await settled()
    first.finish()
    await settled()
    assert (failed.at_work, fresh.at_work) == (False, True)
    fresh.finish()
    await settled()
    assert failed.at_work


async def test_whoever_steps_aside_leaves_its_slot_and_queues_again() -> None:
    slots = UploadSlots(1)
    one, other, staged = Worker(slots), Worker(slots), asyncio.Event()
    await settled()
    one.step_aside(staged)
    await settled()
    assert (one.at_work, other.at_work) == (False, True)
    staged.set()
    await settled()
    assert (one.at_work, other.at_work) == (False, True)
    other.finish()
    await settled()
    assert one.at_work


async def test_a_slot_that_was_handed_to_a_cancelled_waiter_goes_on_to_the_next() -> None:
    """In the same turn of the loop: the slot is given, and its receiver is cancelled before it runs."""
    slots = UploadSlots(1)
    await slots.acquire(PLACES[False])
    doomed, next_one = (asyncio.create_task(slots.acquire(PLACES[False])) for _ in range(2))
    await settled()
    slots.release()
    doomed.cancel()
    await settled()
    assert next_one.done()
    assert doomed.cancelled()


type Move = tuple[str, int]
MOVES = st.lists(
    st.tuples(st.sampled_from(["come", "come again", "finish", "cancel", "aside", "back", "together"]), st.integers(0, 30)), max_size=40
)


@settings(max_examples=150)
@given(size=st.integers(1, 3), moves=MOVES)
def test_whatever_comes_goes_and_is_cancelled_no_slot_is_lost_and_none_is_made(size: int, moves: list[Move]) -> None:
    """`together`: the next move is made in the same turn of the loop."""

    async def test() -> None:
        slots, workers, events = UploadSlots(size), list[Worker](), list[asyncio.Event]()
        settle = True
        for move, number in moves:
            chosen = workers[number % len(workers)] if workers else None
            match move:
                case "come" | "come again":
                    workers.append(Worker(slots, again=move == "come again"))
                case "finish" if chosen:
                    chosen.finish()
                case "cancel" if chosen:
                    chosen.cancel()
                case "aside" if chosen and chosen.at_work:
                    events.append(asyncio.Event())
                    chosen.step_aside(events[-1])
                case "back" if events:
                    events.pop(number % len(events)).set()
            if settle:
                await settled()
                assert sum(worker.at_work for worker in workers) <= size
            settle = move != "together"
        for event in events:
            event.set()
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*(worker.task for worker in workers), return_exceptions=True)
        await _all_free(slots, size)

    _in_fake_time(test)


async def _all_free(slots: UploadSlots, size: int) -> None:
    workers = [Worker(slots) for _ in range(size + 1)]
    await settled()
    assert [worker.at_work for worker in workers] == [True] * size + [False]
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*(worker.task for worker in workers), return_exceptions=True)


def _in_fake_time(test: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await test()

    with asyncio.Runner(loop_factory=FakeTimeLoop) as runner:
        runner.run(run())


async def test_the_oldest_file_that_waits_is_the_next_one() -> None:
    slots = UploadSlots(1)
    await slots.acquire(Place(False, 5, "a"))
    order: list[str] = []

    async def work(place: Place) -> None:
        async with slots.turn(place):
            order.append(place.name)

    waiting = [asyncio.create_task(work(Place(False, age, name))) for age, name in ((9, "b"), (3, "d"), (3, "c"))]
    await settled()
    slots.release()
    await asyncio.gather(*waiting)

    assert order == ["c", "d", "b"]
