"""How long to wait before the next attempt: growing, with full jitter, and no less than the service asks for. Pure, any process."""

import random
from collections.abc import Iterator


def pauses(first: float, cap: float, chance: random.Random) -> Iterator[float]:
    """Seconds, for ever. Each one is drawn evenly from half of a bound up to that bound, which doubles from `first` up to `cap`.

    The lower half is left out, so that a dead service is not called again at once; the spread keeps many files from
    coming back in step.
    """
    bound = first
    while True:
        yield chance.uniform(bound / 2, bound)
        bound = min(bound * 2, cap)
