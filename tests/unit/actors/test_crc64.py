"""CRC-64/NVME: the published value, and the library against the definition."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfsw.actors.crc64 import combined, crc64, wire
from tests.support.plain_crc64 import plain_crc64

#: Of the digits 1 to 9, as the catalogue of parametrised CRC algorithms has it.
CHECK = 0xAE8B14860A799888


@pytest.mark.parametrize("compute", [crc64, plain_crc64])
def test_the_published_check_value(compute: Callable[[bytes], int]) -> None:
    assert compute(b"123456789") == CHECK
    assert compute(b"") == 0


def test_the_service_is_sent_the_least_significant_byte_first() -> None:
    assert wire(CHECK) == bytes.fromhex("8898790a86148bae")
    assert wire(1) == b"\x01" + bytes(7)


@given(st.binary(max_size=3000))
def test_it_is_what_the_definition_says(data: bytes) -> None:
    assert crc64(data) == crc64(memoryview(bytearray(data))) == plain_crc64(data)


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_pieces_give_what_the_whole_gives_one_after_the_other_and_combined(pieces: list[bytes]) -> None:
    after, together = 0, 0
    for piece in pieces:
        after = crc64(piece, after)
        together = combined(together, crc64(piece), len(piece))
    assert after == together == crc64(b"".join(pieces))
