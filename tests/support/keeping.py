"""Watches kept files from outside, without the service's code: how long each `.completed` was there, by its own ctime."""

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

#: Seconds between two looks. A file that is found gone was deleted after the look before.
_LOOK_S = 0.02

COMPLETED = ".completed"


@dataclass(slots=True)
class KeptWatch:
    """`with` it. Share and watch have one clock: both are on this machine."""

    share: Path
    keep_s: float
    deleted: int = 0  # files that were kept, and are gone from the share
    given_back: int = 0
    early: list[str] = field(default_factory=list)  # were deleted before they were due
    longest_s: float = 0.0  # that one was there after it was due
    _enough: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _there: dict[int, tuple[float, str]] = field(default_factory=dict)  # by inode: ctime (seconds since the epoch) and path

    def __enter__(self) -> "KeptWatch":
        self._thread = threading.Thread(target=self.run, args=(self._enough,), name="watch over kept files", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        if self._thread:
            self._thread.join(10)
        self.look()  # at what has gone since the last look

    def run(self, enough: threading.Event) -> None:
        while not enough.wait(_LOOK_S):
            self.look()

    def look(self) -> None:
        marked, others = self._files()
        now = time.time()
        for inode, (ctime, path) in self._there.items():
            if inode in marked:
                continue
            if inode in others or os.path.exists(path.removesuffix(COMPLETED)):
                self.given_back += 1
                continue
            self.deleted += 1
            if now < ctime + self.keep_s:
                self.early.append(f"{path} is gone after {now - ctime:.3f} s")
        for ctime, _ in marked.values():
            self.longest_s = max(self.longest_s, now - ctime - self.keep_s)
        self._there = marked

    def _files(self) -> tuple[dict[int, tuple[float, str]], set[int]]:
        """The marks; and the inodes of all other claimed files."""
        marked: dict[int, tuple[float, str]] = {}
        others: set[int] = set()
        for folder, _, names in (self.share / ".processing").walk():
            for name in names:
                with suppress(FileNotFoundError):
                    status = (folder / name).lstat()
                    if not name.endswith(COMPLETED):
                        others.add(status.st_ino)
                    elif status.st_nlink == 1:
                        marked[status.st_ino] = status.st_ctime_ns / 1e9, str(folder / name)
        return {inode: seen for inode, seen in marked.items() if inode not in others}, others
