"""The folders of one run: what stands in for NFS, staging, logs; and the files that lie ready. The benchmark's process."""

import base64
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tools.bench.endpoint import Landed

SESSION = "bench"
PIECE = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """A file to be moved: its bytes are a part of the pool."""

    name: str
    offset: int
    size: int


class Pool:
    """Random bytes, made once, of which all files are parts: to make a file is to copy, and its MD5 is computed once."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size
        with path.open("wb") as pool:
            for start in range(0, size, PIECE):
                pool.write(os.urandom(min(PIECE, size - start)))
        self.md5 = cache(self._md5)

    def copy(self, piece: Piece, path: Path) -> None:
        with self.path.open("rb") as pool, path.open("wb") as file:
            done = 0
            while done < piece.size:
                done += os.sendfile(file.fileno(), pool.fileno(), piece.offset + done, piece.size - done)

    def _md5(self, offset: int, size: int) -> str:
        """Base64, as a Content-MD5 header has it."""
        digest = hashlib.md5(usedforsecurity=False)
        with self.path.open("rb") as pool:
            pool.seek(offset)
            while size and (part := pool.read(min(PIECE, size))):
                digest.update(part)
                size -= len(part)
        return base64.b64encode(digest.digest()).decode()


@dataclass(frozen=True, slots=True)
class Ground:
    """Fresh folders for one run of one side."""

    nfs: Path
    work: Path
    pool: Pool

    @property
    def incoming(self) -> Path:
        return self.nfs / "incoming" / SESSION

    @property
    def staging(self) -> Path:
        return self.work / "staging"

    def place(self, pieces: Sequence[Piece]) -> None:
        """Returns when they are written through, so that no write-back of ours falls into the run."""
        for piece in pieces:
            self.pool.copy(piece, self.incoming / piece.name)
        os.sync()

    def put(self, piece: Piece) -> None:
        """One file, there at once and whole, while the service watches."""
        hidden = self.nfs / f".{piece.name}"
        self.pool.copy(piece, hidden)
        hidden.rename(self.incoming / piece.name)

    def is_empty(self) -> bool:
        """Whether no file is left on NFS: neither one that waits nor one that was claimed. Cheap, for it is asked often."""
        return not _any_file(self.incoming) and not _any_file(self.nfs / ".processing")

    def check(self, pieces: Sequence[Piece], landed: dict[str, Landed]) -> None:
        """Every file is there under <date>/<session>/<name> with its size and, where the side sets it, its MD5; and is gone from NFS."""
        found = {name.split("/", 2)[2]: blob for name, blob in landed.items()}
        for piece in pieces:
            blob = found.get(piece.name)
            if blob is None or blob.size != piece.size or blob.md5 not in {None, self.pool.md5(piece.offset, piece.size)}:
                raise WentWrong(f"{piece.name} of {piece.size} bytes arrived as {blob}")
        if not self.is_empty():
            raise WentWrong(f"files are left in {self.nfs}")


class WentWrong(Exception):
    """A side did not do what it was to be measured at."""


@contextmanager
def fresh(nfs: Path, work: Path, pool: Pool) -> Iterator[Ground]:
    ground = Ground(nfs / "run", work / "run", pool)
    for folder in (ground.nfs, ground.work):
        shutil.rmtree(folder, ignore_errors=True)
    ground.incoming.mkdir(parents=True)
    ground.staging.mkdir(parents=True)
    yield ground
    for folder in (ground.nfs, ground.work):  # kept after a failure: it holds the logs
        shutil.rmtree(folder)


def _any_file(folder: Path) -> bool:
    """A folder may go while we look."""
    try:
        with os.scandir(folder) as entries:
            return any(_any_file(Path(entry.path)) if entry.is_dir(follow_symlinks=False) else True for entry in entries)
    except FileNotFoundError:
        return False
