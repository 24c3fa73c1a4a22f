"""What the writers write: bytes that differ in every version and at every place, and cost next to nothing to make."""

import random
from collections.abc import Iterator

from tests.support.content import KIB, MIB, PIECE

#: Sizes from which a writer chooses, in bytes from and to, and how often.
SIZES = (
    (0, 0, 10),
    (1, 4 * KIB, 38),
    (4 * KIB, 300 * KIB, 27),
    (300 * KIB, 4 * MIB, 18),
    (4 * MIB, 12 * MIB, 5),
    (16 * MIB, 32 * MIB, 2),
)


class Noise:
    """One pool for all; a version is a header of its own and slices of the pool from places of its own."""

    def __init__(self, chance: random.Random) -> None:
        self._pool = chance.randbytes(3 * PIECE)

    def pieces(self, seed: int, size: int) -> Iterator[bytes]:
        places = random.Random(seed)
        piece = f"{seed:016x}\n".encode()[:size]
        while size > 0:
            yield piece
            size -= len(piece)
            place = places.randrange(2 * PIECE)
            piece = self._pool[place : place + min(PIECE, size)]


def some_size(chance: random.Random) -> int:
    ((least, most),) = chance.choices([(least, most) for least, most, _ in SIZES], [weight for *_, weight in SIZES])
    return chance.randint(least, most)
