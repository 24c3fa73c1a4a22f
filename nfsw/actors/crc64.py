"""CRC-64/NVME, the checksum by which Azure checks each body (`x-ms-content-crc64`). Pure functions; any process.

The library is imported by the first call: it takes 5 MB of a process, and only those that read or check blocks need it.
"""

from collections.abc import Buffer


def crc64(data: Buffer, before: int = 0) -> int:
    """Of `data`. `before`: of the bytes that come in front of it. Lets other threads run meanwhile."""
    from awscrt.checksums import crc64nvme  # type: ignore[import-untyped]  # noqa: PLC0415 - see above

    checksum: int = crc64nvme(data, before)
    return checksum


def combined(first: int, second: int, length: int) -> int:
    """Of two pieces together, from the checksum of each. `length`: of the second piece, in bytes."""
    from awscrt.checksums import combine_crc64nvme  # noqa: PLC0415 - see above

    checksum: int = combine_crc64nvme(first, second, length)
    return checksum


def wire(checksum: int) -> bytes:
    """As the service takes it: 8 bytes, the least significant first."""
    return checksum.to_bytes(8, "little")
