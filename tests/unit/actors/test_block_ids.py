"""Ids for our blocks that go together with whatever lies under the name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfsw.actors.block_ids import BlockIds
from nfsw.actors.manifest import Block

BLOCKS = [Block(index, 10 * index, 10, index % 3) for index in (0, 1, 2, 9, 10, 49_999)]
OURS = len(BLOCKS[0].id)


def test_where_nothing_lies_or_what_goes_with_ours_they_are_as_they_are() -> None:
    ids = BlockIds()
    for there in ([], ["x" * OURS], [BLOCKS[0].id]):
        assert ids.fit(there)
        assert [ids.of(block) for block in BLOCKS] == [block.id for block in BLOCKS]
        assert ids.name_content
        assert ids.length is None


@given(length=st.integers(5, 64))
def test_they_have_the_length_of_the_others_and_are_all_different(length: int) -> None:
    ids = BlockIds()
    assert ids.fit(["x" * length])
    assert {len(ids.of(block)) for block in BLOCKS} == {length}
    assert len({ids.of(block) for block in BLOCKS}) == len(BLOCKS)
    assert ids.name_content == (length >= OURS)


@pytest.mark.parametrize("length", [1, 4])
def test_where_the_others_are_too_short_none_fit(length: int) -> None:
    assert not BlockIds().fit(["x" * length])


def test_what_fitted_before_is_forgotten_when_the_others_have_gone() -> None:
    ids = BlockIds()
    assert ids.fit(["x" * 8])
    assert ids.fit([])
    assert ids.of(BLOCKS[0]) == BLOCKS[0].id


def test_the_length_is_that_of_the_bytes() -> None:
    ids = BlockIds()
    assert ids.fit(["\N{GRINNING FACE}" * 2])
    assert len(ids.of(BLOCKS[0])) == 8
