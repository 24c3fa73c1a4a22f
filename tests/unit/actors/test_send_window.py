"""The send window: files in turn, as much at a time as the uplink takes, and no small file behind a large one for long."""

import asyncio
from collections import Counter

import pytest

from nfsw.actors.send_window import Place, SendWindow
from tests.support.faketime import clock, settled

MB = 1_000_000


def place(age: int, *, failed: bool = False) -> Place:
    return Place(failed, age, f"{age}.bin")


class Uplink:
    """Sends the bodies of all blocks that may leave, a piece of each in turn, at `rate` bytes per second."""

    def __init__(self, rate: float, *, answer_s: float = 0.0, held: int = 0) -> None:
        """`held`: bytes of a block that the kernel takes at once, whatever the rate is."""
        self.window = SendWindow(lambda: clock().now())
        self.begun: list[str] = []  # names of files, a block each
        self.most = 0  # blocks on their way at a time
        self.ended: dict[str, float] = {}
        self._rate = rate
        self._answer_s = answer_s
        self._held = held
        self._wire = asyncio.Lock()
        self._blocks = 0

    async def send(self, place: Place, size: int, *, block: int = 4 * MB, concurrency: int = 8) -> None:
        """A file, its blocks `concurrency` at a time."""
        free = asyncio.Semaphore(concurrency)
        async with asyncio.TaskGroup() as group:
            for offset in range(0, size, block):
                await free.acquire()
                leaving = group.create_task(self._block(place, min(block, size - offset), size - offset))
                leaving.add_done_callback(lambda _: free.release())
        self.ended[place.name] = clock().passed

    async def _block(self, place: Place, length: int, left: int) -> None:
        leaving = await self.window.enter(place, length, left)
        self.begun.append(place.name)
        self._blocks += 1
        self.most = max(self.most, self._blocks)
        try:
            at_once = min(self._held, length)
            leaving.sent(at_once)
            pieces = -(-length // (MB // 2))
            for _ in range(pieces):
                async with self._wire:
                    await asyncio.sleep(length / pieces / self._rate)
                leaving.sent(-(-(length - at_once) // pieces))
            await asyncio.sleep(self._answer_s)
        finally:
            self._blocks -= 1
            leaving.done()


@pytest.mark.parametrize("held", [0, MB // 2], ids=["", "though the kernel takes much at once"])
async def test_on_a_slow_uplink_files_end_one_after_the_other_the_oldest_first(held: int) -> None:
    uplink = Uplink(8 * MB, held=held)

    await asyncio.gather(*(uplink.send(place(age), 96 * MB) for age in (3, 1, 4, 2)))

    assert sorted(uplink.ended, key=uplink.ended.__getitem__) == ["1.bin", "2.bin", "3.bin", "4.bin"]
    mean = sum(uplink.ended.values()) / 4 / 12
    assert mean < 2.8, f"in units of one file's time: {mean:.2f}; 2.5 is the best there is, 4 when all end together"


async def test_a_slow_uplink_has_no_more_on_its_way_than_leaves_in_some_seconds() -> None:
    uplink = Uplink(8 * MB)

    await uplink.send(place(1), 96 * MB)

    assert uplink.most <= 6


@pytest.mark.parametrize("answer_s", [0.0, 0.5])
async def test_a_fast_uplink_is_given_all_blocks_that_there_are(answer_s: float) -> None:
    uplink = Uplink(1000 * MB, answer_s=answer_s)

    await asyncio.gather(*(uplink.send(place(age), 512 * MB) for age in range(4)))

    assert uplink.most == 32


async def test_the_next_file_is_sent_while_the_oldest_waits_for_answers() -> None:
    uplink = Uplink(100 * MB, answer_s=2.0)

    await asyncio.gather(uplink.send(place(1), 320 * MB), uplink.send(place(2), 320 * MB))

    assert "2.bin" in uplink.begun[:16]


async def test_a_small_file_does_not_wait_for_a_large_one_that_is_older() -> None:
    uplink = Uplink(8 * MB)
    large = asyncio.create_task(uplink.send(place(1), 2000 * MB))
    await asyncio.sleep(60)
    begun = clock().passed

    await uplink.send(place(2), 4 * MB)

    assert clock().passed - begun < 10
    large.cancel()


async def test_a_small_file_does_not_even_wait_for_a_large_block_that_is_on_its_way() -> None:
    uplink = Uplink(2 * MB)
    large = asyncio.create_task(uplink.send(place(1), 2000 * MB, block=16 * MB))
    await asyncio.sleep(60)
    begun = clock().passed

    for age in (2, 3, 4):
        await uplink.send(place(age), 4000)

    assert clock().passed - begun < 4, "two blocks of the large file take 16 s"
    large.cancel()


async def test_small_files_that_never_end_leave_a_large_one_seven_eighths_of_the_uplink() -> None:
    uplink = Uplink(8 * MB)

    async def small_ones() -> None:
        for age in range(2, 2000):
            await asyncio.gather(*(uplink.send(place(age * 10 + number), MB) for number in range(5)))

    others = asyncio.create_task(small_ones())
    await uplink.send(place(1), 400 * MB)

    assert uplink.ended["1.bin"] < 50 * 8 / 7 * 1.1
    others.cancel()


async def test_larger_blocks_have_their_share_too() -> None:
    """A file of large blocks that is nearly through, beside an older one of small blocks."""
    uplink = Uplink(8 * MB)
    older = asyncio.create_task(uplink.send(place(1), 2000 * MB))

    await uplink.send(place(2), 32 * MB, block=16 * MB)

    assert clock().passed < 32 / (8 / 8) * 1.5
    older.cancel()


async def test_a_file_that_has_failed_lets_others_go_first() -> None:
    uplink = Uplink(8 * MB)

    await asyncio.gather(uplink.send(place(1, failed=True), 96 * MB), uplink.send(place(2), 96 * MB))

    assert uplink.ended["2.bin"] < uplink.ended["1.bin"]


async def test_whoever_is_cancelled_while_it_waits_leaves_no_room_taken() -> None:
    uplink = Uplink(8 * MB)
    sending = [asyncio.create_task(uplink.send(place(age), 40 * MB)) for age in range(4)]
    await asyncio.sleep(1)
    for task in sending[:3]:
        task.cancel()
    await settled()

    await sending[3]

    assert Counter(uplink.begun)["3.bin"] == 10
    leaving = [await uplink.window.enter(place(1), 1, 1) for _ in range(2)]
    for block in leaving:
        block.done()


async def test_files_that_are_given_up_all_at_once_end_without_an_error() -> None:
    """Those that leave make room while those that wait have not heard yet that they are cancelled."""
    uplink = Uplink(8 * MB)
    sending = [asyncio.create_task(uplink.send(place(age), 40 * MB)) for age in range(4)]
    await asyncio.sleep(1)
    for task in sending:
        task.cancel()

    ended = await asyncio.gather(*sending, return_exceptions=True)

    assert [type(end) for end in ended] == [asyncio.CancelledError] * 4


async def test_blocks_that_have_stalled_hold_up_no_other_file() -> None:
    uplink = Uplink(8 * MB)
    stalled = [await uplink.window.enter(place(0), 4 * MB, 4 * MB) for _ in range(2)]
    begun = clock().passed

    await uplink.send(place(1), 40 * MB)

    assert clock().passed - begun < 9
    for block in stalled:
        block.done()
