"""The proof of a staged copy: the MD5 of each block as it was read from NFS, in a text file that grows with the copy.

The chain: a block is hashed in the memory into which NFS delivered it, and its hash goes up with it as Content-MD5, so
the service itself checks that it holds the very bytes that were read, whatever became of the staged copy in between.
Claimer and Uploader share the file: one appends, the other reads on. It outlives both, so staging and uploading go on
after a crash from where they were.

    nfsw-proof 2 <size> <mtime_ns> <inode> <ctime_ns> <block size>
    <length> <md5>              a block, in order; written after its bytes are in the copy
    end <md5 of the whole file> written after the source was found unchanged
"""

import re
from dataclasses import dataclass, field
from typing import Self

from nfsw.actors.files import Fingerprint

_MAGIC = "nfsw-proof 2"
_HEADER = re.compile(rf"{_MAGIC} ([0-9]{{1,20}}) (-?[0-9]{{1,20}}) ([0-9]{{1,20}}) (-?[0-9]{{1,20}}) ([1-9][0-9]{{0,19}})")
_LINE = re.compile(r"(?:end|([1-9][0-9]{0,19})) ([0-9a-f]{32})")
#: At least as much as a proof takes on disk, in bytes: what it counts for against the staging limit.
_HEADER_BYTES = 128
_BLOCK_BYTES = 48


class BadProof(Exception):
    """The file is no proof, or not of this version of the file. What is staged is worthless."""


@dataclass(frozen=True, slots=True)
class Block:
    index: int
    offset: int  # bytes
    length: int  # bytes
    md5: bytes

    @property
    def id(self) -> str:
        """The same length for every block of every file, and bound to this very content: what Azure holds under it needs not be sent."""
        return f"{self.index:05d}{self.md5.hex()}"


@dataclass(slots=True)
class Proof:
    """What is known so far. Reading on with `feed` adds to it."""

    fingerprint: Fingerprint
    block_size: int  # bytes; the last block may be shorter
    blocks: list[Block] = field(default_factory=list)
    md5: bytes | None = None  # of the whole file, once it is staged

    @property
    def staged(self) -> int:
        """Bytes that are proven."""
        return self.blocks[-1].offset + self.blocks[-1].length if self.blocks else 0

    def header(self) -> str:
        source = self.fingerprint
        return f"{_MAGIC} {source.size} {source.mtime_ns} {source.inode} {source.ctime_ns} {self.block_size}\n"

    def add(self, length: int, md5: bytes) -> str:
        """One more block; returns its line."""
        self.blocks.append(Block(len(self.blocks), self.staged, length, md5))
        return f"{length} {md5.hex()}\n"

    def finish(self, md5: bytes) -> str:
        self.md5 = md5
        return f"end {md5.hex()}\n"

    def feed(self, line: str) -> None:
        """One line as it was read. Raises BadProof."""
        match = _LINE.fullmatch(line)
        if match is None:
            raise BadProof(f"unreadable line {line[:80]!r}")
        length, md5 = match[1], bytes.fromhex(match[2])
        left = self.fingerprint.size - self.staged
        if self.md5 is not None or int(length or 0) != min(self.block_size, left):
            raise BadProof(f"line {line!r} does not fit with {left} bytes left")
        if length:
            self.add(int(length), md5)
        else:
            self.md5 = md5

    @classmethod
    def parse_header(cls, line: str) -> Self:
        """`line`: with or without its end. Raises BadProof."""
        match = _HEADER.fullmatch(line.removesuffix("\n"))
        if match is None:
            raise BadProof(f"unreadable header {line[:80]!r}")
        size, mtime_ns, inode, ctime_ns, block_size = map(int, match.groups())
        return cls(Fingerprint(size, mtime_ns, inode, ctime_ns), block_size)


class ProofReader:
    """Follows a proof file while it grows. Uploader and Claimer; local disk."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._offset = 0
        self.proof: Proof | None = None

    def read_on(self, fingerprint: Fingerprint) -> Proof | None:
        """All that is there by now; None while not even the header is. Raises BadProof, OSError (FileNotFoundError: wiped)."""
        with open(self._path, "rb") as file:
            file.seek(self._offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.decode("ascii", "replace").split("\n")[:-1]:
            if self.proof is not None:
                self.proof.feed(line)
                continue
            self.proof = Proof.parse_header(line)
            if self.proof.fingerprint != fingerprint:
                raise BadProof("the proof is of another version of the file")
        return self.proof


def proof_bytes(size: int, block_size: int) -> int:
    """What the proof of a file of `size` bytes takes at most."""
    return _HEADER_BYTES + _BLOCK_BYTES * (size // fitting_block_size(size, block_size) + 2)


def fitting_block_size(size: int, wanted: int) -> int:
    """`wanted`, or what it takes to stay below Azure's 50,000 blocks a blob, in whole MiB."""
    least = -(-size // 50_000)
    return wanted if least <= wanted else -(-least // 1_048_576) * 1_048_576
