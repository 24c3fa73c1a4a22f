"""The checker: every finished version of every file is on the share or in Azure, with the right bytes, at every moment.

It knows the writers' book, the commits as the witness read them back, and what lies below the share's root: nothing of the
service, and none of its code. Files are told by their inodes, so that it does not matter which names they have just now.
A thread of the harness.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.blobs import Container
from tests.support.content import PIECE, Content
from tools.soak.book import Book, Name, State, Version, final
from tools.soak.witness import name_of

#: Seconds between two looks.
_LOOK_S = 0.5
#: A file may be renamed while its folder is being read, and then is missed. So it is looked for that often before it is lost,
#: with so many seconds in between. What is lost never comes back.
_LOOKS, _BETWEEN_S = 6, 0.4

type Place = tuple[int, int, int]  # inode, size, mtime: as long as they are the same the bytes are


@dataclass(slots=True)
class Found:
    path: Path
    place: Place


@dataclass(slots=True)
class Checker:
    share: Path
    book: Book
    complain: Callable[[str], None]
    #: Returns once every commit of before is in the book.
    catch_up: Callable[[], None]
    looks: int = 0
    lost: list[Version] = field(default_factory=list)
    #: On the share in the end, where nobody sends them.
    stuck: list[Version] = field(default_factory=list)
    #: Versions whose bytes are others than its writer's, on the share or in Azure.
    differing: list[str] = field(default_factory=list)
    _hashed: dict[Place, Content] = field(default_factory=dict)

    def run(self, enough: threading.Event) -> None:
        while not enough.wait(_LOOK_S):
            self.look()

    def look(self) -> None:
        """Once over everything that is owed."""
        missing = self.book.owed()
        found: dict[int, Found] = {}
        for number in range(_LOOKS):
            if number:
                time.sleep(_BETWEEN_S)
            found = self._share()
            self.catch_up()  # after the share: a file goes from there to Azure, never back
            missing = [version for version in missing if not self._is_safe(version, found)]
            if not missing:
                break
        for version in missing:
            if there := found.get(version.inode):
                self._differs(f"{there.path} is not {version}")
            elif version not in self.lost:
                self.lost.append(version)
                self.complain(f"LOST: {version}")
        self.looks += 1

    def _is_safe(self, version: Version, found: dict[int, Found]) -> bool:
        if not self.book.is_owed(version):
            return True
        there = found.get(version.inode)
        content = self._content(there) if there else None
        return content == version.content or not self.book.is_owed(version)  # its writer may have begun to write over it meanwhile

    def _content(self, found: Found) -> Content | None:
        if found.place in self._hashed:
            return self._hashed[found.place]
        try:
            content = _content(found.path)
            after = found.path.stat()
        except FileNotFoundError:
            return None  # it has another name by now
        if (after.st_ino, after.st_size, after.st_mtime_ns) != found.place:
            return None
        self._hashed[found.place] = content
        return content

    def _share(self) -> dict[int, Found]:
        """All files below the root, by inode. Folders in the order in which files pass through them."""
        found: dict[int, Found] = {}
        for top in ("incoming", ".nfsw", ".processing"):
            for entry in _files(self.share / top):
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                found[status.st_ino] = Found(Path(entry.path), (status.st_ino, status.st_size, status.st_mtime_ns))
        return found

    def _differs(self, what: str) -> None:
        if what not in self.differing:
            self.differing.append(what)
            self.complain(f"DIFFERS: {what}")

    def compare(self, container: Container) -> int:
        """When all has come to rest: the last version of each name is in Azure, read once more, and no blob is there besides. Blobs."""
        found = self._share()
        blobs: dict[Name, str] = {}
        names = sorted(container.names())
        for blob in names:
            blobs[name_of(blob)] = blob  # the latest day's, when midnight has passed
        for name in self.book.names():
            versions = self.book.versions(name)
            last = final(versions)
            overtaken = versions[-1].state is State.OVERTAKEN
            if last is None or overtaken:
                continue
            if name not in blobs and last.inode in found:
                self.stuck.append(last)
                self.complain(f"STUCK: not in Azure in the end, but on the share: {last}")
                continue
            if name not in blobs:
                self.lost.append(last)
                self.complain(f"LOST: not in Azure in the end: {last}")
                continue
            there = container.read(blobs[name])
            if there.content != last.content or there.misstated:
                self._differs(f"{blobs[name]} is in the end not {last}")
        for name in blobs.keys() - set(self.book.names()):
            self._differs(f"{blobs[name]}: nobody wrote a file of that name")
        return len(names)


def _content(path: Path) -> Content:
    with path.open("rb") as file:
        return Content.of(iter(lambda: file.read(PIECE), b""))


def _files(folder: Path) -> "Iterator[os.DirEntry[str]]":
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            yield entry
