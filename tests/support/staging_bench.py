"""One claimed file and its staged copy, through as many lives of a Claimer as a test wants."""

import hashlib
from pathlib import Path

import pytest

from nfsw.actors.call_board import CallBoard
from nfsw.actors.files import FileRef, Fingerprint
from nfsw.actors.manifest import Block, BlockManifest, Checksums, ManifestReader
from nfsw.actors.staging import Stager
from nfsw.actors.tree import NfsTree, StagingTree
from tests.support.mortal_nfs import EventfulNfs, Killed
from tests.support.plain_crc64 import plain_crc64
from tests.support.share import DATE, Share

FILE = FileRef(DATE, "s", "a")
BLOCK = 1000
SIZE = 4 * BLOCK + 500


class StagingBench:
    """One claimed file, and a Stager for each life of a Claimer. `grown`: what was said while it staged."""

    def __init__(self, share: Share, tree: NfsTree, staging: StagingTree, board: CallBoard) -> None:
        self.share, self.staging = share, staging
        self._tree, self._board = tree, board
        self.grown: list[int] = []
        self.content = b""
        self.expected = Fingerprint(0, 0, 0, 0)
        self.content_md5 = False
        self.block_size = BLOCK

    def claimed(self, content: bytes) -> None:
        self.content = content
        self.expected = self.share.written(self.share.claimed("a"), content)

    def life(self) -> tuple[Stager, EventfulNfs]:
        nfs = EventfulNfs(self._tree, self._board)
        return Stager(nfs, self.staging, self.block_size, content_md5=self.content_md5), nfs

    def stage(self) -> EventfulNfs:
        self.grown.clear()
        stager, nfs = self.life()
        stager.stage(FILE, self.expected, self.grown.append)
        return nfs

    def killed_after(self, blocks: int) -> None:
        """A life that ends when so many blocks are in the manifest."""

        def grew(staged: int) -> None:
            if staged >= min(blocks * self.block_size, len(self.content)):
                raise Killed

        with pytest.raises(Killed):
            self.life()[0].stage(FILE, self.expected, grew)

    @property
    def copy(self) -> Path:
        return Path(self.staging.copy(FILE))

    @property
    def lines(self) -> Path:
        return Path(self.staging.manifest(FILE))

    def manifest(self) -> BlockManifest:
        manifest = ManifestReader(str(self.lines)).read_on(self.expected)
        assert manifest is not None
        return manifest

    def check(self) -> None:
        """The copy is the source, and the manifest that of both, computed without the code under test."""
        assert self.copy.read_bytes() == self.content
        manifest = self.manifest()
        pieces = [self.content[at : at + manifest.block_size] for at in range(0, len(self.content), manifest.block_size)]
        assert manifest.blocks == [
            Block(number, number * manifest.block_size, len(piece), plain_crc64(piece)) for number, piece in enumerate(pieces)
        ]
        md5 = hashlib.md5(self.content).digest() if self.content_md5 else None
        assert manifest.whole == Checksums(plain_crc64(self.content), md5)
