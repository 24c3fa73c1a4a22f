"""Which files somebody has open for writing, as far as that can be known: asked with a read lease. Scanner process.

A file that is quiet, but open, is asked about again and again. Each time costs an `open`, so a scan asks about a few of them.
"""

import errno
import logging
import time
from collections.abc import Callable

from nfsw.actors.marked_files import MarkedFiles
from nfsw.actors.nfs import Nfs, describe, is_gone
from nfsw.actors.scanned_folder import Folder, Waiting
from nfsw.actors.stability import StabilityTracker

log = logging.getLogger("nfsw.scanner")

#: Files that were open for writing, or whose names were taken, and that one scan asks about again. The others have their turn later.
OPEN_LEASES = 100


class OpenFiles:
    """`marked`: None: files need no marker. `note` is told what NFS refuses."""

    def __init__(self, nfs: Nfs, writeback_age_s: float, marked: MarkedFiles | None, note: Callable[[OSError], None]) -> None:
        self._nfs = nfs
        self._writeback_age = writeback_age_s
        self._marked = marked
        self._note = note
        self._left = 0
        self._said_untold: set[int | None] = set()  # errno

    def begin(self) -> None:
        """A scan begins."""
        self._left = OPEN_LEASES

    def may_ask(self, folder: Folder, name: str) -> bool:
        """Whether this scan may ask about the file. One that waits already takes one of the few askings."""
        if name not in folder.opened and name not in folder.taken:
            return True
        self._left -= 1
        return self._left >= 0

    def is_closed(self, folder: Folder, name: str, quiet: StabilityTracker) -> bool:
        """Whether nobody has the file or its marker open for writing, and they are still as they were seen a moment ago."""
        asked, unchanged = [(f"{folder.path}/{name}", quiet)], True
        if self._marked and (marker := folder.markers.get(name)):
            asked.append((self._marked.path(folder, name), marker))
        for path, tracker in asked:
            try:
                with self._nfs.lease(path) as lease:
                    if lease.impossible:
                        self._cannot_tell(quiet, lease.impossible)
                        return False
                    closed = lease.held()
            except OSError as error:
                self._cannot_open(quiet, error)
                return False
            now, before = time.monotonic(), tracker.fingerprint
            if not closed or lease.seen is None:
                folder.opened.setdefault(name, Waiting(time.time(), now, now)).asked_at = now
                return False
            tracker.see_fresh(lease.seen, now)
            unchanged = unchanged and lease.seen == before
        folder.opened.pop(name, None)
        return unchanged

    def _cannot_open(self, quiet: StabilityTracker, error: OSError) -> None:
        if error.errno in (errno.EACCES, errno.EPERM):
            self._cannot_tell(quiet, error)
        elif not is_gone(error) and error.errno not in (errno.ELOOP, errno.ENXIO):  # these two: it is a link or a socket by now
            self._note(error)

    def _cannot_tell(self, quiet: StabilityTracker, error: OSError) -> None:
        """Logged once for each reason."""
        quiet.untold = True
        if error.errno not in self._said_untold:
            self._said_untold.add(error.errno)
            log.warning(
                "cannot tell whether some files are open for writing: %s; each has to be quiet for %.0f s instead",
                describe(error),
                self._writeback_age,
                extra={"action": "scan"},
            )
