"""A staged copy that grows by hand: what the Claimer does, block by block, when a test says so."""

import hashlib
from pathlib import Path

from nfsw.actors.files import FileRef, Fingerprint
from nfsw.actors.manifest import BlockManifest, Checksums
from nfsw.actors.tree import StagingTree
from tests.support.plain_crc64 import plain_crc64


class StagedCopy:
    def __init__(self, staging: StagingTree, file: FileRef, content: bytes, block_size: int, version: int = 1) -> None:
        self.file, self.content = file, content
        self.content_md5 = False
        self.fingerprint = Fingerprint(len(content), version, 42, version)
        self.copy, self.lines = Path(staging.copy(file)), Path(staging.manifest(file))
        self._manifest = BlockManifest(self.fingerprint, block_size)

    def begun(self) -> "StagedCopy":
        """There is a manifest to follow, without blocks yet."""
        for path in (self.copy, self.lines):
            path.parent.mkdir(parents=True, exist_ok=True)
        self.copy.write_bytes(b"")
        self.lines.write_text(self._manifest.text())
        return self

    def grown(self, blocks: int) -> "StagedCopy":
        """By so many blocks."""
        for _ in range(blocks):
            at = self._manifest.staged
            piece = self.content[at : at + self._manifest.block_size]
            with self.copy.open("ab") as copy, self.lines.open("a") as lines:
                copy.write(piece)
                copy.flush()
                lines.write(self._manifest.add(len(piece), plain_crc64(piece)))
        return self

    def finished(self) -> "StagedCopy":
        with self.lines.open("a") as lines:
            lines.write(self._manifest.finish(self.checksums))
        return self

    def whole(self) -> "StagedCopy":
        return self.begun().grown(-(-len(self.content) // self._manifest.block_size)).finished()

    @property
    def checksums(self) -> Checksums:
        return Checksums(plain_crc64(self.content), hashlib.md5(self.content).digest() if self.content_md5 else None)

    @property
    def ids(self) -> list[str]:
        """Of the blocks in the manifest."""
        return [block.id for block in self._manifest.blocks]

    def flip(self, at: int) -> None:
        """One byte of the copy is another one than was read from NFS."""
        with self.copy.open("r+b") as copy:
            copy.seek(at)
            byte = copy.read(1)[0]
            copy.seek(at)
            copy.write(bytes([byte ^ 1]))
