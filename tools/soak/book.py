"""The writers' book: every version of every file, known by its SHA-256 before it can be read by anybody else.

The checker's only source of what has to be in Azure. It lies in memory and, for whoever wants to know what happened, line by
line in a file outside of the share.
"""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.support.content import Content

type Name = tuple[str, str]  # session and file name


class State(StrEnum):
    #: Its writer is at it. Nobody may rely on it, but its bytes are known.
    WRITING = "writing"
    #: Finished: on the share or in Azure from now on, and for ever.
    FINISHED = "finished"
    #: Its own writer took it back before it was claimed, or wrote over it in place.
    TAKEN_BACK = "taken back"
    #: Its last bytes went into a file that the service had sent and deleted already: no program can notice that.
    OVERTAKEN = "overtaken"


@dataclass(slots=True, eq=False)
class Version:
    name: Name
    number: int  # of this name, in the order of writing
    content: Content
    inode: int
    style: str
    state: State = State.WRITING
    finished_at: float = 0.0  # seconds, monotonic
    #: The checker has seen it committed: its bytes were read back from Azure.
    committed: bool = False

    def __str__(self) -> str:
        return f"{'/'.join(self.name)} version {self.number} ({self.style}, {self.content.size} bytes, inode {self.inode}, {self.state})"


class Book:
    """Writers' threads, the witness's and the checker's share it."""

    def __init__(self, journal: Path) -> None:
        self._lock = threading.Lock()
        self._versions: dict[Name, list[Version]] = {}
        self._journal = journal.open("w", buffering=1)
        self._begun = time.monotonic()

    def close(self) -> None:
        self._journal.close()

    def note(self, what: str) -> None:
        """Into the file alone."""
        self._journal.write(f"{time.monotonic() - self._begun:10.4f} {what}\n")

    def begin(self, name: Name, content: Content, inode: int, style: str) -> Version:
        with self._lock:
            versions = self._versions.setdefault(name, [])
            version = Version(name, len(versions) + 1, content, inode, style)
            versions.append(version)
        self.note(f"{version} {content.sha256}")
        return version

    def finish(self, version: Version) -> None:
        version.finished_at = time.monotonic()
        self.set(version, State.FINISHED)

    def set(self, version: Version, state: State) -> None:
        version.state = state
        self.note(str(version))

    def latest(self, name: Name) -> Version | None:
        with self._lock:
            versions = self._versions.get(name)
            return versions[-1] if versions else None

    def of_inode(self, name: Name, inode: int) -> Version | None:
        """The newest version of the name that lies in this inode."""
        return next((version for version in reversed(self.versions(name)) if version.inode == inode), None)

    def versions(self, name: Name) -> list[Version]:
        with self._lock:
            return list(self._versions.get(name, ()))

    def with_bytes(self, name: Name, content: Content) -> Version | None:
        """The newest version of the name that has these bytes."""
        return next((version for version in reversed(self.versions(name)) if version.content == content), None)

    def names(self) -> list[Name]:
        with self._lock:
            return list(self._versions)

    def all(self) -> list[Version]:
        with self._lock:
            return [version for versions in self._versions.values() for version in versions]

    def owed(self) -> list[Version]:
        """Finished, and not yet seen in Azure."""
        return [version for version in self.all() if self.is_owed(version)]

    def is_owed(self, version: Version) -> bool:
        return version.state is State.FINISHED and not version.committed


def final(versions: Iterable[Version]) -> Version | None:
    """Of one name's versions the one that has to be in Azure in the end: the last that was finished."""
    return next((version for version in reversed(list(versions)) if version.state is State.FINISHED), None)
