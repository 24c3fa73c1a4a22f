"""The staged copy as the Uploader reads it: whatever is wrong with it is one kind of trouble, which staging anew ends. Local disk."""

import hashlib
import os
from collections.abc import Iterator

from nfsw.actors.crc64 import crc64
from nfsw.actors.manifest import Block

#: Bytes that are in memory at a time while a block is checked.
_PIECE = 1024 * 1024


class StagedCopyBroken(Exception):
    """The staged copy is not what was read from NFS, or is not there. The message says which."""


class StagedCopy:
    """Open until `close`. Every method raises StagedCopyBroken."""

    def __init__(self, path: str) -> None:
        #: What was found wrong with it. Kept, because a request whose body ends early looks like trouble of the connection.
        self.broken: StagedCopyBroken | None = None
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise self._trouble(f"cannot be opened: {error.strerror}") from error

    def close(self) -> None:
        """A request that is on its way still reads no other file: the descriptor's number may soon be another's."""
        fd, self._fd = self._fd, -1
        os.close(fd)

    def read_some(self, size: int, offset: int) -> bytes:
        """At most `size` bytes, at least one."""
        try:
            data = os.pread(self._fd, size, offset)
        except OSError as error:
            raise self._trouble(f"cannot be read: {error.strerror}") from error
        if not data:
            raise self._trouble("is too short")
        return data

    def check(self, block: Block) -> None:
        """Whether the block still is what was read from NFS. After the service has refused it: is the copy to blame, or was it the way?"""
        self.md5(block)

    def md5(self, block: Block) -> bytes:
        """Of the block as it was read from NFS, for a service that does not take its CRC64."""
        checksum, md5 = 0, hashlib.md5(usedforsecurity=False)
        for piece in self._pieces(block):
            checksum = crc64(piece, checksum)
            md5.update(piece)
        if checksum != block.crc64:
            raise self._trouble(f"has changed between byte {block.offset} and {block.offset + block.length}")
        return md5.digest()

    def _pieces(self, block: Block) -> Iterator[bytes]:
        offset, end = block.offset, block.offset + block.length
        while offset < end:
            piece = self.read_some(min(_PIECE, end - offset), offset)
            yield piece
            offset += len(piece)

    def _trouble(self, what: str) -> StagedCopyBroken:
        self.broken = StagedCopyBroken(f"the staged copy {what}")
        return self.broken
