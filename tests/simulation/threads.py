"""Threads of simulated child processes: the actors' own blocking code, one step at a time, in an order that the seed decides.

Each is a greenlet, so all of them share the one real thread of the fake clock, and a switch happens nowhere but at a system
call. A thread that is killed ends at its current call, as a process does on SIGKILL: the call is not made, nothing after it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from greenlet import getcurrent, greenlet

if TYPE_CHECKING:
    from tests.simulation.child import SimulatedChild


class Killed(BaseException):
    """The process of this thread has ended. Unwinds the code of the actor, which must not catch it."""


class ActorThread(greenlet):
    """`work` runs until it returns, or its process ends. Made and resumed by the event loop alone."""

    def __init__(self, child: SimulatedChild, number: int, work: Callable[[], None]) -> None:
        super().__init__(self._guarded)
        self.child = child
        self.number = number
        self._work = work
        self._timer: asyncio.TimerHandle | None = None

    @staticmethod
    def current() -> ActorThread | None:
        """The thread whose code runs; None in the event loop."""
        here = getcurrent()
        return here if isinstance(here, ActorThread) else None

    def resume_after(self, seconds: float) -> None:
        self.cancel_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.resume)

    def resume(self) -> None:
        """From the event loop."""
        self.cancel_timer()
        if not self.dead:
            self.switch()

    def pause(self) -> None:
        """From the thread itself: the event loop runs until something resumes it. Raises Killed."""
        assert getcurrent() is self
        assert self.parent is not None
        self.parent.switch()
        if not self.child.alive:
            raise Killed

    def sleep(self, seconds: float) -> None:
        self.resume_after(seconds)
        self.pause()

    def kill(self) -> None:
        """From the event loop."""
        self.cancel_timer()
        if self.gr_frame is not None:
            self.throw(Killed)

    def cancel_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None

    def _guarded(self) -> None:
        try:
            self._work()
        except Killed:
            return
        except BaseException as error:  # noqa: BLE001 - let it crash, as the real host does
            self.child.crashed(error)


class SimulatedCondition:
    """Stands for `threading.Condition`. Nobody runs in between where no system call is made, so there is nothing to lock."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def wait_for(self, predicate: Callable[[], bool]) -> bool:
        while not predicate():
            thread = ActorThread.current()
            assert thread
            thread.sleep(0.001)
        return True

    def notify_all(self) -> None:
        pass
