"""The staged copy as the Uploader reads it: whatever is wrong with it is one kind of trouble, which staging anew ends. Local disk."""

import hashlib
import os

from nfsw.actors.crc64 import crc64
from nfsw.actors.manifest import Block


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

    def read(self, block: Block) -> bytes:
        parts, read = [], 0
        while read < block.length:  # one pread(2) ends at 2 GiB
            parts.append(self.read_some(block.length - read, block.offset + read))
            read += len(parts[-1])
        return b"".join(parts)

    def check(self, block: Block) -> bytes:
        """The block, if it still is what was read from NFS. After the service has refused it: is the copy to blame, or was it the way?"""
        data = self.read(block)
        if crc64(data) != block.crc64:
            raise self._trouble(f"has changed between byte {block.offset} and {block.offset + block.length}")
        return data

    def md5(self, block: Block) -> bytes:
        """Of the block as it was read from NFS, for a service that does not take its CRC64."""
        return hashlib.md5(self.check(block), usedforsecurity=False).digest()

    def _trouble(self, what: str) -> StagedCopyBroken:
        self.broken = StagedCopyBroken(f"the staged copy {what}")
        return self.broken
