"""Staging: one read of each NFS byte, checksummed on the way, into a copy on local disk. Claimer process, one thread a file.

The copy grows block by block, and each block's CRC64 goes to the manifest behind it, so the Uploader can follow while the
copy grows, and another life of the Claimer can go on from the last block in the manifest. Page cache that nobody will read again
is given back, because it counts against the pod's memory.
"""

import contextlib
import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nfsw.actors.block_size import block_size
from nfsw.actors.crc64 import combined, crc64
from nfsw.actors.files import FileRef, Fingerprint
from nfsw.actors.holes import is_hole
from nfsw.actors.manifest import BadManifest, Block, BlockManifest, Checksums, ManifestReader
from nfsw.actors.nfs import Nfs, describe
from nfsw.actors.staging_folder import discard
from nfsw.actors.tree import StagingTree

#: Bytes read, checksummed and written at a time. The checksum finds them in the processor's cache, and a reader waits for few of them.
PIECE = 1024 * 1024


class SourceChanged(Exception):
    """The source is not the file that was asked for, or has changed while it was read."""


class StagingDiskTroubled(Exception):
    """The local disk would not take the copy. The message says why."""

    def __init__(self, message: str, *, full: bool) -> None:
        super().__init__(message)
        self.full = full  # for want of room


@dataclass(slots=True)
class _Staged:
    """What is staged of one file so far, and where the rest goes."""

    manifest: BlockManifest
    md5: "hashlib._Hash | None"  # of what is staged; None: the blob is to have none
    copy: int = -1  # descriptor
    lines: int = -1  # descriptor of the manifest
    text: str = ""  # lines of the manifest that are not in its file yet

    def write_lines(self) -> None:
        with _local():
            _append(self.lines, self.text)
        self.text = ""

    def whole(self) -> Checksums:
        crc = 0
        for block in self.manifest.blocks:
            crc = combined(crc, block.crc64, block.length)
        return Checksums(crc, self.md5.digest() if self.md5 else None)


class Stager:
    """Copies files into `staging`. Threads share it. `content_md5`: the blobs are to have an MD5 of the whole file too.

    `chosen_block_size`: as for `block_size`. What an earlier life has begun in blocks of another size is finished in those.
    """

    def __init__(self, nfs: Nfs, staging: StagingTree, chosen_block_size: int | None, *, content_md5: bool) -> None:
        self._nfs = nfs
        self._staging = staging
        self._chosen_block_size = chosen_block_size
        self._content_md5 = content_md5
        self._own = threading.local()

    def stage(self, file: FileRef, expected: Fingerprint, grew: Callable[[int], None]) -> None:
        """Returns once the copy is whole and the source was the same before and after.

        `grew` is called with the bytes that are in copy and manifest so far, first as soon as there is a manifest to follow; once, at the
        end, for a file of one block, of which there is nothing to follow. Raises SourceChanged, StagingDiskTroubled, and OSError for NFS.
        """
        with self._source(file, expected) as source, self._opened(file, expected) as staged:
            manifest = staged.manifest
            in_parts = expected.size > manifest.block_size
            if in_parts:
                staged.write_lines()
                grew(manifest.staged)
            while manifest.staged < expected.size:
                self._copy_block(source, file, staged)
                if in_parts:
                    staged.write_lines()
                    grew(manifest.staged)
            if manifest.whole is None:
                self._compare(source, file, expected)
                staged.text += manifest.finish(staged.whole())
            staged.write_lines()
            if not in_parts:
                grew(manifest.staged)

    def discard(self, file: FileRef) -> None:
        """Removes what is staged of `file`. Raises StagingDiskTroubled."""
        with _local():
            discard(self._staging, file)

    @contextmanager
    def _source(self, file: FileRef, expected: Fingerprint) -> Iterator[int]:
        path = self._nfs.tree.source(file)
        with self._nfs.call("open", path):
            # Not blocking: the name may have become a FIFO's.
            source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._compare(source, file, expected)
            yield source
        finally:
            with self._nfs.call("close", path):
                os.close(source)

    def _compare(self, source: int, file: FileRef, expected: Fingerprint) -> None:
        """By name, past the attribute cache, and by descriptor: the name may have become another file's."""
        seen = self._nfs.observe(self._nfs.tree.source(file))
        with self._nfs.call("fstat", self._nfs.tree.source(file)):
            opened = os.fstat(source)
        if seen is None or seen.fingerprint != expected or opened.st_ino != expected.inode or not stat.S_ISREG(opened.st_mode):
            raise SourceChanged

    @contextmanager
    def _opened(self, file: FileRef, expected: Fingerprint) -> Iterator[_Staged]:
        """What is staged so far, with the copy and the manifest open for the rest."""
        with contextlib.ExitStack() as opened:
            with _local():
                found = self._found(file, expected)
                staged = found or self._nothing(expected, block_size(expected.size, self._chosen_block_size))
                staged.copy = _create(self._staging.copy(file), opened, anew=not found)
                staged.lines = _create(self._staging.manifest(file), opened, anew=not found)
                if staged.manifest.whole is None:
                    staged.text = staged.manifest.text()
                    if found:
                        os.ftruncate(staged.lines, 0)
                        os.ftruncate(staged.copy, staged.manifest.staged)
            yield staged

    def _nothing(self, expected: Fingerprint, size_of_blocks: int) -> _Staged:
        return _Staged(BlockManifest(expected, size_of_blocks), hashlib.md5(usedforsecurity=False) if self._content_md5 else None)

    def _found(self, file: FileRef, expected: Fingerprint) -> _Staged | None:
        """What an earlier life has staged of this very version, as far as the copy still is what was read; None: nothing.

        A hole is a block that Azure held (see `StagedCopy.give_back`), or one that the disk has lost, which the Uploader will find out.
        """
        try:
            manifest = ManifestReader(self._staging.manifest(file)).read_on(expected)
            with open(self._staging.copy(file), "rb", buffering=0) as copy:
                if manifest is None:
                    return None
                if self._is_enough(manifest.whole) and os.fstat(copy.fileno()).st_size == expected.size:
                    return _Staged(manifest, None)  # each block is checked against its CRC64 when it is sent
                kept = self._nothing(expected, manifest.block_size)
                for block in manifest.blocks:
                    md5 = kept.md5.copy() if kept.md5 else None
                    given_back = md5 is None and is_hole(copy.fileno(), block.offset, block.length)
                    if not given_back and self._checksum(copy.fileno(), block, md5) != block.crc64:
                        break
                    kept.md5 = md5
                    kept.manifest.add(block.length, block.crc64)
                return kept
        except (FileNotFoundError, BadManifest):
            return None

    def _is_enough(self, whole: Checksums | None) -> bool:
        return whole is not None and (whole.md5 is not None or not self._content_md5)

    def _checksum(self, copy: int, block: Block, md5: "hashlib._Hash | None") -> int | None:
        """CRC64 of the block as it is in the copy; None: the copy is too short."""
        crc, done = 0, 0
        while done < block.length:
            piece = self._buffer()[: min(PIECE, block.length - done)]
            read = os.preadv(copy, [piece], block.offset + done)
            if read == 0:
                return None
            crc = crc64(piece[:read], crc)
            if md5:
                md5.update(piece[:read])
            done += read
        return crc

    def _copy_block(self, source: int, file: FileRef, staged: _Staged) -> None:
        manifest = staged.manifest
        offset = manifest.staged
        length = min(manifest.block_size, manifest.fingerprint.size - offset)
        path = self._nfs.tree.source(file)
        if offset + length < manifest.fingerprint.size:
            with self._nfs.call("fadvise", path):
                os.posix_fadvise(source, offset + length, manifest.block_size, os.POSIX_FADV_WILLNEED)
        crc, done = 0, 0
        while done < length:
            piece = self._buffer()[: min(PIECE, length - done)]
            with self._nfs.call("read", path):
                read = os.preadv(source, [piece], offset + done)
            if read == 0:
                raise SourceChanged  # it was cut short
            piece = piece[:read]
            crc = crc64(piece, crc)
            if staged.md5:
                staged.md5.update(piece)
            with _local():
                _write(staged.copy, piece, offset + done)
            done += read
        if length >= PIECE:
            with self._nfs.call("fadvise", path):
                os.posix_fadvise(source, offset, length, os.POSIX_FADV_DONTNEED)
        staged.text += manifest.add(length, crc)

    def _buffer(self) -> memoryview:
        buffer: memoryview | None = getattr(self._own, "buffer", None)
        if buffer is None:
            buffer = self._own.buffer = memoryview(bytearray(PIECE))
        return buffer


def _create(path: str, opened: contextlib.ExitStack, *, anew: bool) -> int:
    """Opens `path`, which need not exist, until `opened` is left. `anew`: what is there now is somebody's who reads it still."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (os.O_EXCL if anew else 0)
    for tries_left in (3, 2, 1, 0):
        try:
            fd = os.open(path, flags, 0o600)
        except FileExistsError:
            os.unlink(path)
        except FileNotFoundError:  # the folder is not there yet, or the Collector has just removed it, because it was empty
            if not tries_left:
                raise
            with contextlib.suppress(FileNotFoundError):  # or one above it
                os.makedirs(os.path.dirname(path), exist_ok=True)
        else:
            opened.callback(os.close, fd)
            return fd
    raise FileExistsError(errno.EEXIST, "it comes again and again", path)


def _append(fd: int, text: str) -> None:
    """All of it or OSError: of a line that a full disk took half of, the rest must not be left out."""
    left = memoryview(text.encode())
    while left:
        left = left[os.write(fd, left) :]


def _write(fd: int, piece: memoryview, offset: int) -> None:
    while piece:
        written = os.pwrite(fd, piece, offset)
        piece = piece[written:]
        offset += written


@contextmanager
def _local() -> Iterator[None]:
    """Tells trouble of the local disk from trouble of NFS."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise StagingDiskTroubled(f"staging disk: {describe(error)}", full=full) from error
