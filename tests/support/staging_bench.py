"""One claimed file and its staged copy, through as many lives of a Claimer as a test wants."""

import hashlib
from pathlib import Path

import pytest

from nfsw.actors.board import Board
from nfsw.actors.files import FileRef, Fingerprint
from nfsw.actors.proof import Block, Proof, ProofReader
from nfsw.actors.staging import Stager
from nfsw.actors.tree import NfsTree, StagingTree
from tests.support.mortal_nfs import EventfulNfs, Killed
from tests.support.share import DATE, Share

FILE = FileRef(DATE, "s", "a")
BLOCK = 1000
SIZE = 4 * BLOCK + 500


class StagingBench:
    """One claimed file, and a Stager for each life of a Claimer. `grown`: what was said while it staged."""

    def __init__(self, share: Share, tree: NfsTree, staging: StagingTree, board: Board) -> None:
        self.share, self.staging = share, staging
        self._tree, self._board = tree, board
        self.grown: list[int] = []
        self.content = b""
        self.expected = Fingerprint(0, 0, 0, 0)

    def claimed(self, content: bytes) -> None:
        self.content = content
        self.expected = self.share.written(self.share.claimed("a"), content)

    def life(self) -> tuple[Stager, EventfulNfs]:
        nfs = EventfulNfs(self._tree, self._board)
        return Stager(nfs, self.staging, BLOCK), nfs

    def stage(self) -> EventfulNfs:
        self.grown.clear()
        stager, nfs = self.life()
        stager.stage(FILE, self.expected, self.grown.append)
        return nfs

    def killed_after(self, blocks: int) -> None:
        """A life that ends when so many blocks are proven."""

        def grew(staged: int) -> None:
            if staged >= min(blocks * BLOCK, len(self.content)):
                raise Killed

        with pytest.raises(Killed):
            self.life()[0].stage(FILE, self.expected, grew)

    @property
    def copy(self) -> Path:
        return Path(self.staging.copy(FILE))

    @property
    def proof(self) -> Path:
        return Path(self.staging.proof(FILE))

    def read_proof(self) -> Proof:
        proof = ProofReader(str(self.proof)).read_on(self.expected)
        assert proof is not None
        return proof

    def check(self) -> None:
        """The copy is the source, and the proof that of both, computed without the code under test."""
        assert self.copy.read_bytes() == self.content
        proof = self.read_proof()
        pieces = [self.content[at : at + proof.block_size] for at in range(0, len(self.content), proof.block_size)]
        assert proof.blocks == [
            Block(number, number * proof.block_size, len(piece), hashlib.md5(piece).digest()) for number, piece in enumerate(pieces)
        ]
        assert proof.md5 == hashlib.md5(self.content).digest()
