"""By what the service checks a body: the header that states it, how it is computed, and what a mismatch is called. Sink process."""

import hashlib
from collections.abc import Buffer

from nfsw.actors.crc64 import crc64
from tools.bench.sink.http import Checksum


class Crc64:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: Buffer, /) -> None:
        self._value = crc64(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(8, "little")


def md5() -> Checksum:
    return hashlib.md5(usedforsecurity=False)


BY_HEADER = {"content-md5": md5, "x-ms-content-crc64": Crc64}
MISMATCH = {"content-md5": "Md5Mismatch", "x-ms-content-crc64": "Crc64Mismatch"}
