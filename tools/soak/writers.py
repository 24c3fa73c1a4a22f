"""Writers as they are met in the field, each with names of its own, without pause. Threads of the harness.

A version is in the book before anybody else can read it whole. Then its writer alone decides what becomes of it: when it is
finished, and whether it was taken back before the service claimed it. `swap` tells it exactly which file it has replaced.
"""

import contextlib
import io
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.content import Content
from tools.soak import swap
from tools.soak.book import Book, Name, State, Version
from tools.soak.noise import Noise, some_size

#: Seconds between two parts of a file: well below the quiet time that is asked of the service.
PAUSE_S = 0.15
#: Names that a writer uses again and again; besides these every file has a name of its own.
NAMES = 12
#: Finished files that may wait for the service, all writers together; then the writers wait for it.
BACKLOG = 150
#: A writer that keeps its file open waits at most this long for the claim, in seconds.
_CLAIMED_WITHIN_S = 6.0
_FOLDERS = ("", "", "run/", "run/camera/", "other run/")
_LONG_AGO = 978_307_200.0  # 2001


@dataclass(frozen=True, slots=True)
class Ground:
    incoming: Path
    scratch: Path  # on the same file system, outside of the share
    book: Book
    noise: Noise
    folders: bool = False  # some files lie in folders, which the service removes once they are empty

    def path(self, name: Name) -> Path:
        return self.incoming.joinpath(*name)


class Writer:
    def __init__(self, ground: Ground, sessions: Sequence[str], number: int, seed: int) -> None:
        self._ground = ground
        self._book = ground.book
        self._sessions = sessions
        self._number = number
        self._chance = random.Random(f"{seed} writer {number}")
        self._files = 0

    def run(self, enough: threading.Event) -> None:
        styles: list[Callable[[Name], None]] = [self._creates, self._appends, self._replaces, self._overwrites, self._stays_open]
        while not enough.wait(self._chance.uniform(0, 0.4)):
            if len(self._book.owed()) < BACKLOG:
                self._chance.choices(styles, [5, 2, 4, 2, 2])[0](self._some_name())

    def _creates(self, name: Name) -> None:
        """In one go; sometimes with an mtime of long ago, as `cp -p` leaves it."""
        pieces = self._pieces(name)
        if not (created := self._create(name, pieces, "creates")):
            return
        file, version = created
        with file:
            for piece in pieces:
                file.write(piece)
            if self._chance.random() < 0.2:
                os.utime(file.fileno(), (_LONG_AGO, _LONG_AGO))
            self._finish(version, file)

    def _appends(self, name: Name) -> None:
        """With pauses, in which the file looks finished."""
        pieces = self._pieces(name)
        if not (created := self._create(name, pieces, "appends")):
            return
        file, version = created
        with file:
            for number, piece in enumerate(pieces):
                file.write(piece)
                if number < 4:
                    time.sleep(PAUSE_S)
            self._finish(version, file)

    def _replaces(self, name: Name) -> None:
        """Written elsewhere, then put over the one before it by rename; now and then several in a row."""
        for _ in range(self._chance.choice((1, 1, 2, 4))):
            self._replace(name)

    def _overwrites(self, name: Name) -> None:
        """Truncates what has the name, if anything has, and writes the next version into the same file."""
        old = self._book.latest(name)
        if old is None or old.state is not State.FINISHED:
            self._creates(name)
            return
        try:
            file = self._ground.path(name).open("r+b", buffering=0)
        except FileNotFoundError:
            return
        with file:
            inode = os.fstat(file.fileno()).st_ino
            found = self._book.of_inode(name, inode)
            assert found is not None, f"{name} is no file of its writer"
            pieces = self._pieces(name)
            version = self._book.begin(name, Content.of(pieces), inode, "overwrites")
            self._book.set(found, State.TAKEN_BACK)
            file.truncate(0)
            for piece in pieces:
                file.write(piece)
            self._finish(version, file, instead=found)

    def _stays_open(self, name: Name) -> None:
        """Keeps its file open past the claim, and sometimes goes on writing then."""
        pieces = self._pieces(name)
        if not (created := self._create(name, pieces, "stays open")):
            return
        file, version = created
        with file:
            for piece in pieces:
                file.write(piece)
            self._finish(version, file)
            deadline = time.monotonic() + _CLAIMED_WITHIN_S
            while self._ground.path(name).exists() and time.monotonic() < deadline:
                time.sleep(0.002)
            if self._chance.random() < 0.5 or not os.fstat(file.fileno()).st_nlink:
                return
            more = self._pieces(name)
            longer = self._book.begin(name, Content.of([*pieces, *more]), version.inode, "writes on")
            self._book.set(version, State.TAKEN_BACK)
            for piece in more:
                file.write(piece)
            self._finish(longer, file, instead=version)

    def _replace(self, name: Name) -> None:
        path, scratch = self._ground.path(name), self._ground.scratch / f"{self._number}"
        pieces = self._pieces(name)
        scratch.write_bytes(b"".join(pieces))
        version = self._book.begin(name, Content.of(pieces), scratch.stat().st_ino, "replaces")
        if not _put(scratch, path):
            self._book.finish(version)
            return
        self._book.finish(version)
        old = scratch.stat()
        replaced = self._book.of_inode(name, old.st_ino)
        assert replaced is not None, f"{name} was no file of its writer"
        if old.st_nlink == 1:  # nobody has claimed it; else it has a name in .processing by now, and has to arrive
            self._book.set(replaced, State.TAKEN_BACK)
        scratch.unlink()

    def _create(self, name: Name, pieces: list[bytes], style: str) -> tuple[io.FileIO, Version] | None:
        """The file, empty, and its version in the book. None: the version before it is there still."""
        path = self._ground.path(name)
        try:
            file = path.open("xb", buffering=0)
        except FileExistsError:
            return None
        except FileNotFoundError:
            _make_folder(path)
            return self._create(name, pieces, style)
        return file, self._book.begin(name, Content.of(pieces), os.fstat(file.fileno()).st_ino, style)

    def _finish(self, version: Version, file: io.FileIO, instead: Version | None = None) -> None:
        """Unless the file was sent and deleted before the last bytes went into it; then `instead` is what was sent."""
        if os.fstat(file.fileno()).st_nlink:
            self._book.finish(version)
            return
        self._book.set(version, State.OVERTAKEN)
        if instead:
            self._book.set(instead, State.FINISHED)

    def _pieces(self, name: Name) -> list[bytes]:
        """Empty for names that are used once alone: two versions of a name must differ."""
        size = some_size(self._chance)
        if "again" in name[1]:
            size = max(size, 64)
        return list(self._ground.noise.pieces(self._chance.getrandbits(64), size))

    def _some_name(self) -> Name:
        session = self._chance.choice(self._sessions)
        folder = self._chance.choice(_FOLDERS) if self._ground.folders else ""
        if self._chance.random() < 0.5:
            return session, f"{folder}{self._number} again {self._chance.randrange(NAMES)}.bin"
        self._files += 1
        return session, f"{folder}{self._number} once {self._files}.bin"


def _put(scratch: Path, path: Path) -> bool:
    """Whether there was a file at `path`; `scratch` is its name then."""
    while True:
        try:
            swap.exchange(scratch, path)
        except FileNotFoundError:
            pass
        else:
            return True
        try:
            swap.move(scratch, path)
        except FileExistsError:
            continue  # it came back from the service's hands in between
        except FileNotFoundError:
            _make_folder(path)
            continue
        return False


def _make_folder(path: Path) -> None:
    """For a file at `path`. One above it may go in the same instant, because it is empty: whoever needs it asks again."""
    with contextlib.suppress(FileNotFoundError):
        path.parent.mkdir(parents=True, exist_ok=True)
