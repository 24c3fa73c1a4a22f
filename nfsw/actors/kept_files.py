"""Which files are kept on the share, and which of them are due: what the Collector remembers between two sweeps.

The notes are listed in each sweep, of all sessions, whoever holds them. A file is looked at when its note is new to this process, when it
is due, and otherwise now and then, to see whether it has changed. So a sweep makes few calls, however many files are kept.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Set
from heapq import nsmallest
from itertools import islice
from typing import NamedTuple

from nfsw.actors.files import FileRef
from nfsw.actors.kept import folders_with_notes, noted_files
from nfsw.actors.nfs import Nfs

#: Files that are remembered, each with about 300 bytes. Of more than that, the others are looked at in turn, until there is room.
MOST_REMEMBERED = 100_000
#: Files that one step of a sweep looks at, each a round trip on NFS.
LOOKS = 1_000
#: Files of which a sweep finds out whether they have changed since they were marked.
LOOKS_AGAIN = 1_000

_NS = 1_000_000_000


class Mark(NamedTuple):
    """What was seen of a mark."""

    ctime_ns: int  # since when it is kept (ns since the epoch, the server's clock)
    size: int  # bytes


class KeptFiles:
    """`note` is told what NFS refuses; it holds no other file up. Threads share it."""

    def __init__(self, nfs: Nfs, keep_s: float, note: Callable[[OSError], None]) -> None:
        self.count = 0
        self.size = 0  # bytes of the files that are remembered
        self._nfs = nfs
        self._keep_ns = round(keep_s * _NS)
        self._note = note
        self._lock = threading.Lock()  # guards the five below
        self._marks: dict[tuple[str, str], dict[str, Mark]] = {}  # by date and session, and by name
        self._remembered = 0
        self._unseen: list[FileRef] = []  # they have a note, and are to be looked at
        self._again = 0  # how many have been looked at again in this turn

    @property
    def unseen(self) -> bool:
        """Whether there are files to be looked at before it is known which one is due next."""
        return bool(self._unseen)

    def read_names(self) -> list[tuple[str, str]]:
        """Reads the names of all notes. Returns the folders in which there is none, by date and session. Raises OSError."""
        folders = folders_with_notes(self._nfs)
        unseen: list[FileRef] = []
        empty: list[tuple[str, str]] = []
        count = 0
        for date, session in folders:
            try:
                names = noted_files(self._nfs, date, session)
            except OSError as error:
                self._note(error)
                continue
            count += len(names)
            if not names:
                empty.append((date, session))
            unseen += self._compared(date, session, names)
        with self._lock:
            for date, session in self._marks.keys() - set(folders):
                self._forget(date, session, list(self._marks[date, session]))
            self._unseen, self.count = unseen, count
        return empty

    def look(self, now_ns: int) -> list[FileRef]:
        """One step: looks at some files that are new here. Returns those that have a note and no mark. Raises OSError."""
        with self._lock:
            some, self._unseen = self._unseen[:LOOKS], self._unseen[LOOKS:]
        return [file for file in some if not self._look_at(file, self.due_ns(now_ns))]

    def add(self, file: FileRef) -> None:
        """It is kept from now on. Raises OSError."""
        with self._lock:
            self.count += file.name not in self._marks.get((file.date, file.session), {})
        self._look_at(file)

    def forget(self, file: FileRef) -> int:
        """It is not kept any more. Returns its size in bytes."""
        with self._lock:
            size = self._forget(file.date, file.session, [file.name])
            self.count = max(0, self.count - 1)
        return size

    def is_empty(self, date: str, session: str) -> bool:
        """Whether no file is kept there, as far as is known."""
        return (date, session) not in self._marks and not any((one.date, one.session) == (date, session) for one in self._unseen)

    def due_ns(self, now_ns: int) -> int:
        """What was marked then, or before, is due now."""
        return now_ns - self._keep_ns

    def due(self, now_ns: int, most: int) -> list[FileRef]:
        """At most `most` files that are due, the oldest first."""
        latest = self.due_ns(now_ns)
        with self._lock:
            return [FileRef(*name) for _, *name in nsmallest(most, (one for one in self._all() if one[0] <= latest))]

    def next_due_s(self, now_ns: int) -> float | None:
        """In how many seconds the oldest is due; None: nothing is kept."""
        with self._lock:
            oldest = min((mark.ctime_ns for marks in self._marks.values() for mark in marks.values()), default=None)
        return None if oldest is None else max(0.0, (oldest - self.due_ns(now_ns)) / _NS)

    def changed(self) -> list[FileRef]:
        """Of some files, others at each call: those that are not what they were when they were looked at first. Raises OSError."""
        with self._lock:
            some = list(islice(self._all(), self._again, self._again + LOOKS_AGAIN))
            self._again = self._again + LOOKS_AGAIN if len(some) == LOOKS_AGAIN else 0
        return [file for ctime_ns, *name in some if self._is_changed(file := FileRef(*name), ctime_ns)]

    def _all(self) -> Iterator[tuple[int, str, str, str]]:
        """ctime, date, session and name."""
        return ((mark.ctime_ns, *folder, name) for folder, marks in self._marks.items() for name, mark in marks.items())

    def _is_changed(self, file: FileRef, ctime_ns: int) -> bool:
        seen = self._nfs.observe(self._nfs.tree.completed(file))
        return seen is None or seen.fingerprint.ctime_ns != ctime_ns

    def _look_at(self, file: FileRef, due_ns: int | None = None) -> bool:
        """Whether there is such a mark. What is due is remembered in any case: it is about to be deleted."""
        seen = self._nfs.observe(self._nfs.tree.completed(file))
        if seen is None:
            return False
        mark = Mark(seen.fingerprint.ctime_ns, seen.fingerprint.size)
        with self._lock:
            known = self._marks.get((file.date, file.session), {}).get(file.name)
            if known or self._remembered < MOST_REMEMBERED or (due_ns is not None and mark.ctime_ns <= due_ns):
                self._marks.setdefault((file.date, file.session), {})[file.name] = mark
                self._remembered += known is None
                self.size += mark.size - (known.size if known else 0)
        return True

    def _compared(self, date: str, session: str, names: Set[str]) -> list[FileRef]:
        """Forgets what has no note any more; returns what is new."""
        with self._lock:
            known = self._marks.get((date, session), {}).keys()
            self._forget(date, session, list(known - names))
            return [FileRef(date, session, name) for name in sorted(names - known)]

    def _forget(self, date: str, session: str, names: Iterable[str]) -> int:
        marks = self._marks.get((date, session), {})
        gone = [mark.size for name in names if (mark := marks.pop(name, None))]
        if not marks:
            self._marks.pop((date, session), None)
        self._remembered -= len(gone)
        self.size -= sum(gone)
        return sum(gone)
