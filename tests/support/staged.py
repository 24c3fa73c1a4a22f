"""A staged copy that grows by hand: what the Claimer does, block by block, when a test says so."""

import hashlib
from pathlib import Path

from nfsw.actors.files import FileRef, Fingerprint
from nfsw.actors.proof import Proof
from nfsw.actors.tree import StagingTree


class StagedCopy:
    def __init__(self, staging: StagingTree, file: FileRef, content: bytes, block_size: int, version: int = 1) -> None:
        self.file, self.content = file, content
        self.fingerprint = Fingerprint(len(content), version, 42, version)
        self.copy, self.proof = Path(staging.copy(file)), Path(staging.proof(file))
        self._proof = Proof(self.fingerprint, block_size)

    def begun(self) -> "StagedCopy":
        """There is a proof to follow, of nothing yet."""
        for path in (self.copy, self.proof):
            path.parent.mkdir(parents=True, exist_ok=True)
        self.copy.write_bytes(b"")
        self.proof.write_text(self._proof.header())
        return self

    def grown(self, blocks: int) -> "StagedCopy":
        """By so many blocks."""
        for _ in range(blocks):
            at = self._proof.staged
            piece = self.content[at : at + self._proof.block_size]
            with self.copy.open("ab") as copy, self.proof.open("a") as proof:
                copy.write(piece)
                copy.flush()
                proof.write(self._proof.add(len(piece), hashlib.md5(piece).digest()))
        return self

    def finished(self) -> "StagedCopy":
        with self.proof.open("a") as proof:
            proof.write(self._proof.finish(hashlib.md5(self.content).digest()))
        return self

    def whole(self) -> "StagedCopy":
        return self.begun().grown(-(-len(self.content) // self._proof.block_size)).finished()

    @property
    def ids(self) -> list[str]:
        """Of the blocks that are proven."""
        return [block.id for block in self._proof.blocks]

    def flip(self, at: int) -> None:
        """One byte of the copy is another one than was read from NFS."""
        with self.copy.open("r+b") as copy:
            copy.seek(at)
            byte = copy.read(1)[0]
            copy.seek(at)
            copy.write(bytes([byte ^ 1]))
