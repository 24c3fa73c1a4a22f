"""The manifest of a staged copy: the CRC64 of each block as it was read from NFS, in a text file that grows with the copy.

A block's checksum is taken in the memory into which NFS delivered the block, and goes up with it, so the service itself checks
that it holds the very bytes that were read, whatever became of the staged copy in between. Claimer and Uploader share the file:
one appends, the other reads on. It outlives both, so staging and uploading go on after a crash from where they were.

    nfsw-manifest 1 <size> <mtime_ns> <inode> <ctime_ns> <block size>
    <length> <crc64>                    a block, in order; written after its bytes are in the copy
    end <crc64> <md5 or ->              of the whole file; written after the source was found unchanged
    completed <ctime_ns>                written after the source was renamed to `.completed`, which has changed its ctime

Each line ends in a checksum of its own (CRC32 of what stands before it), since a flipped digit would make another value of it.
"""

import re
import zlib
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Self

from nfsw.actors.block_size import most_blocks
from nfsw.actors.files import Fingerprint

_MAGIC = "nfsw-manifest 1"
#: What the kernel tells of a time is 64 bits of seconds, which are up to 28 digits of nanoseconds.
_TIME = "(-?[0-9]{1,28})"
_NUMBER = "([0-9]{1,20})"
_HEADER = re.compile(rf"{_MAGIC} {_NUMBER} {_TIME} {_NUMBER} {_TIME} ([1-9][0-9]{{0,19}})")
_BLOCK = re.compile(r"([1-9][0-9]{0,19}) ([0-9a-f]{16})")
_END = re.compile(r"end ([0-9a-f]{16}) (-|[0-9a-f]{32})")
_COMPLETED = re.compile(rf"completed {_TIME}")
#: At least as much as a manifest takes on disk, in bytes: what it counts for against the staging limit.
_BYTES = 272
_BLOCK_BYTES = 48


class BadManifest(Exception):
    """The file is no manifest, or not of this version of the file. What is staged is worthless."""


@dataclass(frozen=True, slots=True)
class Block:
    index: int
    offset: int  # bytes
    length: int  # bytes
    crc64: int

    @property
    def id(self) -> str:
        """Bound to this very content: what Azure holds under it needs not be sent.

        Of the same length for every block of every file, and as long as those of older releases (37 characters), whose blocks may
        lie under the name still: ids of two lengths do not go together there.
        """
        return f"{self.index:05d}{self.length:016x}{self.crc64:016x}"


@dataclass(frozen=True, slots=True)
class Checksums:
    """Of the whole file, as it was read from NFS."""

    crc64: int
    md5: bytes | None = None  # APP_CONTENT_MD5


@dataclass(slots=True)
class BlockManifest:
    """What is known so far. Reading on with `feed` adds to it."""

    fingerprint: Fingerprint  # of the source, since its claim
    block_size: int  # bytes; the last block may be shorter
    blocks: list[Block] = field(default_factory=list)
    whole: Checksums | None = None  # once it is staged
    completed_ns: int | None = None  # the source's ctime since it was marked as `.completed`

    @property
    def staged(self) -> int:
        """Bytes whose checksums are known."""
        return self.blocks[-1].offset + self.blocks[-1].length if self.blocks else 0

    @property
    def completed(self) -> Fingerprint | None:
        """Of the source since it was marked as `.completed`; None: it was not, or nobody came to note it."""
        return None if self.completed_ns is None else self.fingerprint._replace(ctime_ns=self.completed_ns)

    def text(self) -> str:
        """Header and blocks."""
        source = self.fingerprint
        header = _line(f"{_MAGIC} {source.size} {source.mtime_ns} {source.inode} {source.ctime_ns} {self.block_size}")
        return header + "".join(map(_block_line, self.blocks))

    def add(self, length: int, crc64: int) -> str:
        """One more block; returns its line."""
        self.blocks.append(Block(len(self.blocks), self.staged, length, crc64))
        return _block_line(self.blocks[-1])

    def finish(self, whole: Checksums) -> str:
        """All blocks are there; returns the line that says so."""
        self.whole = whole
        return _line(f"end {whole.crc64:016x} {whole.md5.hex() if whole.md5 else '-'}")

    def feed(self, line: str) -> None:
        """One line as it was read. Raises BadManifest."""
        content = _checked(line)
        left = self.fingerprint.size - self.staged
        if block := _BLOCK.fullmatch(content):
            fits = self.whole is None and int(block[1]) == min(self.block_size, left)
            self.add(int(block[1]), int(block[2], 16))
        elif end := _END.fullmatch(content):
            fits = self.whole is None and left == 0
            self.finish(Checksums(int(end[1], 16), None if end[2] == "-" else bytes.fromhex(end[2])))
        elif completed := _COMPLETED.fullmatch(content):
            fits = self.whole is not None
            self.completed_ns = int(completed[1])
        else:
            raise BadManifest(f"unreadable line {line[:80]!r}")
        if not fits:
            raise BadManifest(f"line {line!r} does not fit with {left} bytes left")

    @classmethod
    def parse_header(cls, line: str) -> Self:
        """`line`: without its end. Raises BadManifest."""
        match = _HEADER.fullmatch(_checked(line))
        if match is None:
            raise BadManifest(f"unreadable header {line[:80]!r}")
        size, mtime_ns, inode, ctime_ns, block_size = map(int, match.groups())
        return cls(Fingerprint(size, mtime_ns, inode, ctime_ns), block_size)


class ManifestReader:
    """Follows a manifest while it grows. Any process; local disk."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._offset = 0
        self.manifest: BlockManifest | None = None

    def read_on(self, fingerprint: Fingerprint | None) -> BlockManifest | None:
        """All that is there by now; None while not even the header is. `fingerprint`: of the version that it has to be of; None: of any.

        Raises BadManifest, also when lines that were there are not any more, and OSError (FileNotFoundError: wiped).
        """
        with open(self._path, "rb") as file:
            if file.seek(0, 2) < self._offset:
                raise BadManifest("the manifest has become shorter")
            file.seek(self._offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.decode("ascii", "replace").split("\n")[:-1]:
            if self.manifest is not None:
                self.manifest.feed(line)
                continue
            self.manifest = BlockManifest.parse_header(line)
            if fingerprint and self.manifest.fingerprint != fingerprint:
                raise BadManifest("the manifest is of another version of the file")
        return self.manifest


def completed_line(ctime_ns: int) -> str:
    """To be added to a whole manifest when its source is `.completed`, with the ctime that it has since."""
    return _line(f"completed {ctime_ns}")


def manifest_bytes(size: int, chosen_block_size: int | None) -> int:
    """What the manifest of a file of at most `size` bytes takes at most. `chosen_block_size`: as for `block_size`."""
    return _BYTES + _BLOCK_BYTES * most_blocks(size, chosen_block_size)


def largest_staged(limit: int, chosen_block_size: int | None) -> int:
    """The size of the largest file of which copy and manifest fit into `limit` bytes; 0 if none does."""
    return max(0, bisect_right(range(limit), limit, key=lambda size: size + manifest_bytes(size, chosen_block_size)) - 1)


def _block_line(block: Block) -> str:
    return _line(f"{block.length} {block.crc64:016x}")


def _line(content: str) -> str:
    return f"{content} {zlib.crc32(content.encode()):08x}\n"


def _checked(line: str) -> str:
    """The line without its checksum. Raises BadManifest."""
    content, _, checksum = line.rpartition(" ")
    if checksum != f"{zlib.crc32(content.encode('ascii', 'replace')):08x}":
        raise BadManifest(f"damaged line {line[:80]!r}")
    return content
