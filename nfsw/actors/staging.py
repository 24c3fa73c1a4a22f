"""Staging: one read of each NFS byte, hashed on the way, into a copy on local disk. Claimer process, one thread a file.

The copy grows block by block, and each block's hash goes to the proof file behind it, so the Uploader can follow while the
copy grows, and another life of the Claimer can go on from the last proven block. Page cache that nobody will read again is
given back, because it counts against the pod's memory.
"""

import contextlib
import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nfsw.actors.files import FileRef, Fingerprint
from nfsw.actors.nfs import Nfs, said
from nfsw.actors.proof import BadProof, Proof, ProofReader, fitting_block_size
from nfsw.actors.tree import StagingTree

#: Bytes read, hashed and written at a time. The hash finds them in the processor's cache, and a reader waits for few of them.
PIECE = 1024 * 1024


class SourceChanged(Exception):
    """The source is not the file that was asked for, or has changed while it was read."""


class StagingDiskTroubled(Exception):
    """The local disk would not take the copy. The message says why."""

    def __init__(self, message: str, *, full: bool) -> None:
        super().__init__(message)
        self.full = full  # for want of room


class Stager:
    """Copies files into `staging`. Threads share it."""

    def __init__(self, nfs: Nfs, staging: StagingTree, block_size: int) -> None:
        self._nfs = nfs
        self._staging = staging
        self._block_size = block_size
        self._own = threading.local()

    def stage(self, file: FileRef, expected: Fingerprint, grew: Callable[[int], None]) -> None:
        """Returns once the copy is whole and the source was the same before and after.

        `grew` is called with the bytes that are proven so far, first as soon as there is a proof to follow. Raises
        SourceChanged, StagingDiskTroubled, and OSError for NFS.
        """
        with self._source(file, expected) as source, self._opened(file, expected) as (proof, whole, copy, proofs):
            grew(proof.staged)
            while proof.staged < expected.size:
                self._copy_block(source, file, copy, proofs, proof, whole)
                grew(proof.staged)
            if proof.md5 is None:
                self._compare(source, file, expected)
                with _local():
                    _append(proofs, proof.finish(whole.digest()))

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
    def _opened(self, file: FileRef, expected: Fingerprint) -> "Iterator[tuple[Proof, hashlib._Hash, int, int]]":
        """What is proven so far, the hash of it, and the copy and the proof open for the rest."""
        with contextlib.ExitStack() as opened:
            with _local():
                found = self._found(file, expected)
                if found is None:
                    discard(self._staging, file)
                    found = Proof(expected, fitting_block_size(expected.size, self._block_size)), hashlib.md5(usedforsecurity=False)
                proof, whole = found
                copy, proofs = (_create(path, opened) for path in (self._staging.copy(file), self._staging.proof(file)))
                if proof.md5 is None:
                    text = proof.header() + "".join(f"{block.length} {block.md5.hex()}\n" for block in proof.blocks)
                    _append(proofs, text)
                    os.ftruncate(proofs, len(text))
                    os.ftruncate(copy, proof.staged)
            yield proof, whole, copy, proofs

    def _found(self, file: FileRef, expected: Fingerprint) -> "tuple[Proof, hashlib._Hash] | None":
        """What an earlier life has staged of this very version, as far as the copy still is what was read; None: nothing."""
        whole = hashlib.md5(usedforsecurity=False)
        try:
            proof = ProofReader(self._staging.proof(file)).read_on(expected)
            with open(self._staging.copy(file), "rb", buffering=0) as copy:
                if proof is None:
                    return None
                if proof.md5 is not None and os.fstat(copy.fileno()).st_size == expected.size:
                    return proof, whole  # each block is checked against its hash when it is sent
                kept = Proof(expected, proof.block_size)
                for block in proof.blocks:
                    data = copy.read(block.length)
                    if hashlib.md5(data, usedforsecurity=False).digest() != block.md5:
                        break
                    whole.update(data)
                    kept.add(block.length, block.md5)
                return kept, whole
        except (FileNotFoundError, BadProof):
            return None

    def _copy_block(self, source: int, file: FileRef, copy: int, proofs: int, proof: Proof, whole: "hashlib._Hash") -> None:
        offset = proof.staged
        length = min(proof.block_size, proof.fingerprint.size - offset)
        path = self._nfs.tree.source(file)
        alone = length == proof.fingerprint.size  # one block is the whole file: one hash does for both
        digest = whole if alone else hashlib.md5(usedforsecurity=False)
        with self._nfs.call("fadvise", path):
            os.posix_fadvise(source, offset + length, proof.block_size, os.POSIX_FADV_WILLNEED)
        done = 0
        while done < length:
            piece = self._buffer()[: min(PIECE, length - done)]
            with self._nfs.call("read", path):
                read = os.preadv(source, [piece], offset + done)
            if read == 0:
                raise SourceChanged  # it was cut short
            piece = piece[:read]
            digest.update(piece)
            if not alone:
                whole.update(piece)
            with _local():
                _write(copy, piece, offset + done)
            done += read
        with self._nfs.call("fadvise", path):
            os.posix_fadvise(source, offset, length, os.POSIX_FADV_DONTNEED)
        with _local():
            _append(proofs, proof.add(length, digest.digest()))

    def _buffer(self) -> memoryview:
        buffer: memoryview | None = getattr(self._own, "buffer", None)
        if buffer is None:
            buffer = self._own.buffer = memoryview(bytearray(PIECE))
        return buffer


def staged_files(staging: StagingTree) -> list[tuple[str, str, str, int]]:
    """Date, session, name and size in bytes of each copy and each proof in staging, added up by file."""
    sizes: dict[tuple[str, str, str], int] = {}
    for top in (staging.copies, staging.proofs):
        for folder, _, names in os.walk(top):
            date, _, session = os.path.relpath(folder, top).partition("/")
            for name in names:
                key = (date, session, name)
                with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                    sizes[key] = sizes.get(key, 0) + os.lstat(f"{folder}/{name}").st_size
    return [(*key, size) for key, size in sizes.items()]


def discard(staging: StagingTree, file: FileRef) -> None:
    """Removes copy and proof, and the folders that this empties. Raises OSError. Any process; local disk."""
    for path in (staging.proof(file), staging.copy(file)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        prune(os.path.dirname(path), staging.root)


def prune(folder: str, root: str) -> None:
    """Removes `folder` and those above it, as far as they are empty, up to `root`, which stays."""
    while folder != root:
        try:
            os.rmdir(folder)
        except OSError:
            return  # not empty, or gone: somebody else's now
        folder = os.path.dirname(folder)


def _create(path: str, opened: contextlib.ExitStack) -> int:
    """Opens `path`, which need not exist, until `opened` is left."""
    for _ in range(2):
        with contextlib.suppress(FileNotFoundError):  # the Collector has just removed the folder, because it was empty
            return _create_once(path, opened)
    return _create_once(path, opened)


def _create_once(path: str, opened: contextlib.ExitStack) -> int:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    opened.callback(os.close, fd)
    return fd


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
        raise StagingDiskTroubled(f"staging disk: {said(error)}", full=full) from error
