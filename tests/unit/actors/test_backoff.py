"""The pauses between attempts."""

import random
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from nfsw.actors.backoff import pauses


@given(st.floats(0.01, 10), st.floats(10, 1000), st.integers())
def test_pauses_grow_to_the_cap_and_stay_within_their_half(first: float, cap: float, seed: int) -> None:
    bound = first
    for pause in islice(pauses(first, cap, random.Random(seed)), 30):
        assert bound / 2 <= pause <= bound
        bound = min(2 * bound, cap)
    assert bound == cap


def test_two_files_do_not_come_back_in_step() -> None:
    one, other = (list(islice(pauses(1, 300, random.Random(seed)), 20)) for seed in (1, 2))
    assert all(a != b for a, b in zip(one, other, strict=True))
