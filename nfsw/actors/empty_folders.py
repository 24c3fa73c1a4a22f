"""Folders that writers have left empty in `incoming`: removed once they have been quiet. Collector process.

The Collector removes them because it is the one that takes away, in its sweeps, what nothing stands for any more; the Scanner only looks.
Nothing but rmdir is used, which never removes a folder that holds anything, and never on the session's own folder. A writer that makes a
folder and puts nothing into it for a while may find it gone, and gets ENOENT: that is why a folder has to be quiet first.
"""

import logging
import os
import time
from collections import Counter
from collections.abc import Callable

from nfsw.actors.files import Fingerprint
from nfsw.actors.folder_walk import WalkedFolder, WritersWalk
from nfsw.actors.logs import about
from nfsw.actors.nfs import Nfs

log = logging.getLogger("nfsw.collector")

#: Folders that one sweep looks at, and so the most of which it remembers anything.
MOST_FOLDERS = 10_000


class EmptyFolders:
    def __init__(self, nfs: Nfs) -> None:
        self._nfs = nfs
        #: Folders that hold no file, by path: as the sweep before saw them, and since when (seconds, CLOCK_MONOTONIC).
        self._quiet: dict[str, tuple[Fingerprint, float]] = {}

    def forget(self) -> None:
        """No session is active."""
        self._quiet.clear()

    def sweep(self, session: str, age_s: float, note: Callable[[OSError], None]) -> None:
        """Removes what has been empty, and has not changed, for `age_s` seconds between two sweeps. `note` is told what NFS refuses."""
        bare = self._bare(session, note)
        before, self._quiet = self._quiet, {}
        gone: Counter[str] = Counter()  # folders removed, by the path of the one above
        for place, seen, folders, looked_at in reversed(bare):  # those inside come before the one that they are in
            kept = before.get(place.path)
            same = kept is not None and kept[0] == seen
            since = kept[1] if kept and same else time.monotonic()
            try:
                removed = same and looked_at - since >= age_s and gone[place.path] == folders and self._remove(place, session)
            except OSError as error:
                note(error)
                continue
            if removed:
                gone[os.path.dirname(place.path)] += 1
            else:
                self._quiet[place.path] = seen, since

    def _bare(self, session: str, note: Callable[[OSError], None]) -> list[tuple[WalkedFolder, Fingerprint, int, float]]:
        """The folders with nothing in them but folders: what each one is, how many it holds, and a time before it was looked at."""
        walk = WritersWalk(self._nfs, session, lambda *_: None)  # the Scanner says what is refused
        bare: list[tuple[WalkedFolder, Fingerprint, int, float]] = []
        for _ in range(MOST_FOLDERS):
            if (place := walk.next()) is None:
                break
            try:
                looked_at, seen = time.monotonic(), self._nfs.observe(place.path)
                entries = self._nfs.listing(place.path)
            except OSError as error:
                if not walk.cannot_list(place, error):
                    note(error)
                continue
            walk.enter(place, entries)
            if place.below and seen and all(entry.is_dir(follow_symlinks=False) for entry in entries):
                bare.append((place, seen.fingerprint, len(entries), looked_at))
        return bare

    def _remove(self, place: WalkedFolder, session: str) -> bool:
        removed = self._nfs.remove_folder(place.path)
        if removed:
            log.info("removed from incoming: the folder was empty and quiet", extra=about(session, place.below[:-1], "sweep"))
        return removed
