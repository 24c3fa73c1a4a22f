"""CRC-64/NVME as its definition has it, byte by byte: what the service computes, without the code under test."""

from collections.abc import Iterator

#: The polynomial with its bits in reverse order (catalogue of parametrised CRC algorithms, CRC-64/NVME).
_POLYNOMIAL = 0x9A6C9329AC4BC9B5
_ONES = 0xFFFF_FFFF_FFFF_FFFF


def _table() -> Iterator[int]:
    for value in range(256):
        remainder = value
        for _ in range(8):
            remainder = remainder >> 1 ^ (_POLYNOMIAL if remainder & 1 else 0)
        yield remainder


_TABLE = tuple(_table())


def plain_crc64(data: bytes) -> int:
    remainder = _ONES
    for byte in data:
        remainder = remainder >> 8 ^ _TABLE[(remainder ^ byte) & 0xFF]
    return remainder ^ _ONES
