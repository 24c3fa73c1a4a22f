"""The pauses between attempts."""

import random

from hypothesis import given
from hypothesis import strategies as st

from nfsw.actors.backoff import pause_s


@given(st.floats(0.01, 10), st.floats(10, 1000), st.integers())
def test_pauses_grow_to_the_cap_and_stay_within_their_half(first: float, cap: float, seed: int) -> None:
    rng, bound = random.Random(seed), first
    for failures in range(1, 31):
        assert bound / 2 <= pause_s(failures, first, cap, rng) <= bound
        bound = min(2 * bound, cap)
    assert bound == cap


def test_however_often_a_file_has_failed_there_is_a_pause() -> None:
    assert 150 <= pause_s(1_000_000, 1, 300, random.Random(1)) <= 300


def test_two_files_do_not_come_back_in_step() -> None:
    one, other = ([pause_s(failures, 1, 300, rng) for failures in range(1, 21)] for rng in (random.Random(1), random.Random(2)))
    assert all(a != b for a, b in zip(one, other, strict=True))
