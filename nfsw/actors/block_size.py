"""How large the blocks of a file are: a pure function of the file's size. Any process.

Each block is a request, which is billed and has its round trip, so a large file has larger blocks. Not much larger: whatever breaks a
request makes its block go up again. Memory does not depend on it, because a block is read, checked and sent in pieces.
"""

_MIB = 1024 * 1024

#: Blocks that Azure takes for one blob.
_MOST_BLOCKS = 50_000
#: The SDK's default, and what an uplink of 1 MiB/s takes in a quarter of a minute.
_SMALLEST = 4 * _MIB
_LARGEST = 16 * _MIB
#: Between the two a file has at least so many blocks. Eight of them are on their way at a time: 1/32 of the file.
_BLOCKS = 256


def block_size(size: int, chosen: int | None) -> int:
    """In bytes, for a file of `size` bytes. `chosen`: APP_AZURE_MAX_BLOCK_SIZE; None: it is not set.

    Above 50,000 blocks it grows in whole MiB, whatever was chosen.
    """
    wanted = chosen or min(_LARGEST, max(_SMALLEST, _whole_mib(size // _BLOCKS)))
    least = -(-size // _MOST_BLOCKS)
    return wanted if least <= wanted else _whole_mib(least + _MIB - 1)


def most_blocks(size: int, chosen: int | None) -> int:
    """No file of at most `size` bytes has more of them."""
    return min(size // (chosen or _SMALLEST) + 1, _MOST_BLOCKS)


def _whole_mib(size: int) -> int:
    return size // _MIB * _MIB
