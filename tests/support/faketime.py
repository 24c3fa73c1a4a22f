"""Time that passes only when nothing else is left to do: for tests of code that waits, of which none may really wait.

A `FakeTimeLoop` runs whatever is ready; once nothing is, its clock jumps to the next timer. While the loop is open (or a
`FakeClock` is entered), `time.monotonic` and `time.monotonic_ns` tell that clock, for the code under test and for asyncio.
Everything must happen in this one thread: a real descriptor has no part in such time, and other threads (a server that other
tests share, whose loop would sleep for hours) go on with the real one.
"""

import asyncio
import math
import selectors
import threading
import time
from collections.abc import Callable
from typing import Self

#: Not zero: code that takes zero for "never" would go unnoticed.
_BEGIN_NS = 1_000_000_000_000
#: A test that lets more time pass, in seconds, waits for something that does not come.
MOST_S = 7 * 24 * 3600.0
#: Less than any time that the code under test knows of, in seconds; the clock's resolution is a nanosecond.
INSTANT_S = 1e-6


class Stuck(AssertionError):
    """The test waits for what will never happen."""


class FakeClock:
    """The clock. Entered, it is the process's monotonic one."""

    def __init__(self) -> None:
        self._now_ns = _BEGIN_NS
        self._real: tuple[Callable[[], float], Callable[[], int]] | None = None

    def __enter__(self) -> Self:
        self._real = real, real_ns = time.monotonic, time.monotonic_ns
        here = threading.get_ident()
        time.monotonic = lambda: self.now() if threading.get_ident() == here else real()
        time.monotonic_ns = lambda: self.now_ns() if threading.get_ident() == here else real_ns()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._real is not None
        time.monotonic, time.monotonic_ns = self._real

    def now(self) -> float:
        return self._now_ns / 1e9

    def now_ns(self) -> int:
        return self._now_ns

    @property
    def passed(self) -> float:
        """Seconds since the beginning."""
        return (self._now_ns - _BEGIN_NS) / 1e9

    def advance(self, seconds: float) -> None:
        self._now_ns += math.ceil(seconds * 1e9)
        if self.passed > MOST_S:
            raise Stuck(f"{MOST_S:.0f} s have passed and the test still waits: {_waiting()}")


class FakeTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.clock.__enter__()
        super().__init__(_Selector(self.clock))

    def close(self) -> None:
        if not self.is_closed():
            self.clock.__exit__()
        super().close()


class _Selector(selectors.SelectSelector):
    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise Stuck(f"nothing is left to happen, and the test still waits: {_waiting()}")
        self._clock.advance(timeout)
        return ready


async def settled() -> None:
    """Returns when all has happened that can happen without time passing."""
    await asyncio.sleep(INSTANT_S)


def clock() -> FakeClock:
    """The clock of the loop that runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, FakeTimeLoop), "this test needs the loop of tests.support.faketime"
    return loop.clock


def _waiting() -> str:
    """Each task and the line in which it waits."""
    return "; ".join(sorted(f"{task.get_name()} in {_line(task)}" for task in asyncio.all_tasks()))


def _line(task: "asyncio.Task[object]") -> str:
    frames = task.get_stack(limit=1)
    return f"{frames[0].f_code.co_filename}:{frames[0].f_lineno}" if frames else "no line"
