"""What the Scanner has to know of kept files: they are in nobody's way, and a session of which nothing else is left is over."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from nfsw.actors.files import Fingerprint
from nfsw.actors.kept import folders_with_notes, holds_kept_files_alone, noted_marks
from nfsw.actors.lock import noted
from nfsw.actors.names import COMPLETED
from nfsw.actors.nfs import Nfs

#: What two looks at a folder that are so many seconds apart found alike has not changed since the first: no clock of a server is coarser.
_SETTLED_S = 5.0

type _Looks = tuple[Fingerprint | None, Fingerprint | None]


@dataclass(slots=True)
class _Undisturbed:
    """How folder and notes have looked for a while."""

    looks: _Looks
    since: float  # seconds, CLOCK_MONOTONIC
    kept_alone: bool = False  # they were read after that had settled, there are kept files, and nothing else


class KeptMarks:
    def __init__(self, nfs: Nfs) -> None:
        self._nfs = nfs
        self._folders: frozenset[tuple[str, str]] = frozenset()  # date and session
        self._looks: dict[tuple[str, str], _Undisturbed] = {}

    def look(self) -> None:
        """Which folders have notes. One call while there is none. Raises OSError; then what was known before stays so."""
        self._folders = frozenset(folders_with_notes(self._nfs))
        for folder in self._looks.keys() - self._folders:
            del self._looks[folder]

    def has(self, date: str, session: str) -> bool:
        """Whether files of the session were kept on that day."""
        return (date, session) in self._folders

    def is_over(self, session: str) -> bool:
        """Whether the session, which this pod does not hold, had ended, and its folders stay for its kept files' sake. Raises OSError."""
        if not any(name == session for _, name in self._folders):
            return False
        note = noted(self._nfs, session)
        return note is None or note.draining

    def among(self, date: str, session: str, below: str) -> Callable[[str], bool]:
        """Tells the names of kept files from others, in one folder. The first time, it reads the notes, and may raise OSError.

        `below`: the folder's path below the session's own, with a slash at its end.
        """
        if not self.has(date, session):
            return lambda _: False
        read = cache(lambda: noted_marks(self._nfs, date, session, below))
        return lambda name: name.endswith(COMPLETED) and name in read()

    def is_undisturbed(self, date: str, session: str) -> bool:
        """Whether the folder is known to hold kept files alone, so that it need not be read. Raises OSError."""
        if not self.has(date, session):
            return False
        looks = self._look_at(date, session)
        known = self._looks.get((date, session))
        if known is None or known.looks != looks:
            self._looks[date, session] = _Undisturbed(looks, time.monotonic())
            return False
        return known.kept_alone

    def settle(self, date: str, session: str) -> None:
        """The folder was found to hold kept files alone. Once it has settled it is read once more, and then no more. Raises OSError."""
        known = self._looks.get((date, session))
        if known and time.monotonic() - known.since >= _SETTLED_S and not self._nfs.folders(self._nfs.tree.claimed(date, session)):
            known.kept_alone = holds_kept_files_alone(self._nfs, date, session)

    def _look_at(self, date: str, session: str) -> _Looks:
        tree = self._nfs.tree
        folder, notes = self._nfs.observe(tree.claimed(date, session)), self._nfs.observe(tree.kept_notes(date, session))
        return folder.fingerprint if folder else None, notes.fingerprint if notes else None
