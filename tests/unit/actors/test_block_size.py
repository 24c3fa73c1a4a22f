"""The size of blocks: it grows with the file, and keeps Azure's limits whatever was chosen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfsw.actors.block_size import block_size, most_blocks

MIB = 1024 * 1024
GIB = 1024 * MIB
TIB = 1024 * GIB
SIZES = st.integers(0, 180 * TIB)
CHOSEN = st.integers(1, 4000 * MIB)
#: What Azure takes of one block.
LARGEST = 4000 * MIB


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, 4 * MIB),
        (1, 4 * MIB),
        (GIB, 4 * MIB),
        (1280 * MIB - 1, 4 * MIB),
        (1280 * MIB, 5 * MIB),
        (2 * GIB, 8 * MIB),
        (4 * GIB, 16 * MIB),
        (10 * GIB, 16 * MIB),
        (50_000 * 16 * MIB, 16 * MIB),
        (50_000 * 16 * MIB + 1, 17 * MIB),
    ],
)
def test_a_large_file_has_larger_blocks(size: int, expected: int) -> None:
    assert block_size(size, None) == expected


@given(SIZES, SIZES)
def test_a_larger_file_never_has_smaller_blocks(one: int, other: int) -> None:
    smaller, larger = sorted((one, other))
    assert block_size(smaller, None) <= block_size(larger, None)


@given(SIZES, st.none() | CHOSEN)
def test_azure_takes_as_many_and_as_large_ones(size: int, chosen: int | None) -> None:
    made = block_size(size, chosen)
    assert -(-size // made) <= 50_000
    assert made <= LARGEST


@given(SIZES, CHOSEN)
def test_what_was_chosen_holds_unless_that_would_be_too_many(size: int, chosen: int) -> None:
    made = block_size(size, chosen)
    assert made == chosen or (made > chosen and made % MIB == 0 and size > 50_000 * chosen)


@given(st.integers(2 * GIB, 700 * GIB))
def test_eight_blocks_are_a_small_part_of_a_file(size: int) -> None:
    """They are on their way at a time, and so what a crash may cost."""
    assert 8 * block_size(size, None) <= size / 32


@given(SIZES, SIZES, st.none() | CHOSEN)
def test_no_smaller_file_has_more_blocks_than_are_reckoned_with(one: int, other: int, chosen: int | None) -> None:
    smaller, larger = sorted((one, other))
    assert -(-smaller // block_size(smaller, chosen)) <= most_blocks(larger, chosen)
