"""Wait for a condition, with a generous limit, instead of for a time."""

import time
from collections.abc import Callable

#: How often a condition is looked at, in seconds.
GLANCE = 0.02


class NeverHappened(AssertionError):
    """The condition was not met in time. The message says which."""


def until[T](condition: Callable[[], T | None], *, within: float, what: str | Callable[[], str], every: float = GLANCE) -> T:
    """The first true value of `condition`, asked `every` so many seconds. `what` names it in the failure; a callable is called then."""
    deadline = time.monotonic() + within
    while not (met := condition()):
        if time.monotonic() > deadline:
            raise NeverHappened(f"not within {within:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(every)
    return met
