"""What a file holds: made from a seed in pieces, so that a large one never lies in memory, and known by its hashes."""

import hashlib
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from awscrt.checksums import crc64nvme  # type: ignore[import-untyped]

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
PIECE = MIB


@dataclass(frozen=True, slots=True)
class Content:
    size: int
    sha256: str
    md5: bytes
    crc64: bytes  # as the service writes it

    @staticmethod
    def of(pieces: Iterable[bytes]) -> "Content":
        sha256, md5, crc64, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0, 0
        for piece in pieces:
            sha256.update(piece)
            md5.update(piece)
            crc64 = crc64nvme(piece, crc64)
            size += len(piece)
        return Content(size, sha256.hexdigest(), md5.digest(), crc64.to_bytes(8, "little"))


def pieces(seed: int, size: int) -> Iterator[bytes]:
    """`size` bytes that depend on `seed` and on their place: a block in another's place, or sent twice, changes the hash."""
    noise = random.Random(seed)
    while size > 0:
        piece = noise.randbytes(min(PIECE, size))
        yield piece
        size -= len(piece)


def some_bytes(seed: int, size: int) -> bytes:
    return b"".join(pieces(seed, size))


def write(path: Path, seed: int, size: int) -> Content:
    """A plain writer: from the first byte to the last without a pause."""

    def written() -> Iterator[bytes]:
        with path.open("wb") as file:
            for piece in pieces(seed, size):
                file.write(piece)
                yield piece

    return Content.of(written())
