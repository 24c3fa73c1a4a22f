"""How long to wait before the next attempt: growing, with full jitter. Pure, any process."""

import random


def pause_s(failures: int, first: float, longest: float, rng: random.Random) -> float:
    """Seconds to wait after so many failures in a row, counted from 1. `first`, `longest`: bounds of the pauses, in seconds.

    A pause is drawn evenly from half of a bound up to that bound, which doubles from `first` up to `longest`. The lower half is
    left out, so that a dead service is not called again at once; the spread keeps many files from coming back in step.
    """
    bound = min(first * 2.0 ** min(failures - 1, 64), longest)
    return rng.uniform(bound / 2, bound)
