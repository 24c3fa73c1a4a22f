"""The staged copy as the Uploader reads it: whatever is wrong with it is one kind of trouble, which staging anew ends. Local disk.

A block that Azure holds is not needed here any more, so what it takes is given back at once: room on disk, which would have to be
written to, and page cache, which would have to be found anew for each block of the next files. Should Azure lose it again, it reads as
zeros, which the service refuses by their CRC64: the file is staged again.
"""

import asyncio
import hashlib
import logging
import os
from collections.abc import Iterator

from nfsw.actors.crc64 import crc64
from nfsw.actors.holes import punch_hole
from nfsw.actors.manifest import Block

log = logging.getLogger("nfsw.uploader")

#: Bytes that are in memory at a time while a block is checked.
_PIECE = 1024 * 1024
#: Bytes of a block below which it is not worth a call to give them back.
_LEAST_GIVEN_BACK = 1024 * 1024


class StagedCopyBroken(Exception):
    """The staged copy is not what was read from NFS, or is not there. The message says which."""


class StagedCopy:
    """Open until `close`. Every method raises StagedCopyBroken."""

    def __init__(self, path: str) -> None:
        #: What was found wrong with it. Kept, because a request whose body ends early looks like trouble of the connection.
        self.broken: StagedCopyBroken | None = None
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
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

    async def give_back(self, block: Block) -> None:
        """Azure holds the block. In a thread, since an older kernel writes out first what it is to forget. A file system that cannot do it
        keeps the block until the copy is removed.
        """
        if block.length < _LEAST_GIVEN_BACK:
            return
        own = os.dup(self._fd)  # which stays this file's if the copy is closed meanwhile
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, _give_back, own, block))

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


def _give_back(fd: int, block: Block) -> None:
    try:
        punch_hole(fd, block.offset, block.length)
    except OSError as error:
        log.debug("a block that Azure holds keeps its room in staging: %s", error)
    finally:
        os.close(fd)
