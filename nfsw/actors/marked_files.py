"""Which arrivals have their marker, where files need one (APP_DONE_SUFFIX). Scanner process.

What a scan lists is sorted out by what the attribute cache has. What counts is one more look at the marker past the cache, after the
file itself was looked at. Besides, nobody may have either of them open for writing; where no lease tells, both have to have been quiet.
"""

import os
import time
from collections.abc import Callable

from nfsw.actors.files import Fingerprint
from nfsw.actors.nfs import Nfs, regular_file
from nfsw.actors.scanned_folder import Folder
from nfsw.actors.stability import Stability, StabilityTracker

#: Markers that one scan observes afresh on first sight where only time tells, each a round trip on NFS.
_FRESH_SIGHTS = 2_000


class MarkedFiles:
    """`note` is told what NFS refuses; it holds no other file up."""

    def __init__(self, nfs: Nfs, suffix: str, note: Callable[[OSError], None]) -> None:
        self._nfs = nfs
        self._suffix = suffix
        self._note = note
        self._fresh_left = 0
        self._displaced: dict[tuple[str, str], int] = {}  # by session and name of the file: ctime of its displaced marker (ns)

    def begin(self) -> None:
        """A scan of all folders begins."""
        self._fresh_left = _FRESH_SIGHTS
        self._displaced.clear()

    def found_displaced(self, session: str, name: str, path: str) -> None:
        """`name`, `path`: of the displaced marker."""
        if seen := regular_file(self._nfs, path, self._note):
            file = session, name.removesuffix(self._suffix)
            self._displaced[file] = max(seen.fingerprint.ctime_ns, self._displaced.get(file, 0))

    def sort_out(
        self, folder: Folder, listing: "list[os.DirEntry[str]]", wanted: "list[os.DirEntry[str]]", *, leased: bool
    ) -> "tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]":
        """Which of the wanted files have to become stable, and which have their marker. The others wait for theirs.

        `leased`: a lease tells who has a file open.
        """
        suffix = self._suffix
        markers = {entry.name: entry for entry in listing if entry.name.endswith(suffix) and entry.is_file(follow_symlinks=False)}
        files = [entry for entry in wanted if not entry.name.endswith(suffix)]
        marked = [entry for entry in files if entry.name + suffix in markers]
        self._look_at(folder, marked, [markers[entry.name + suffix] for entry in marked])
        to_be_stable: list[os.DirEntry[str]] = []
        with_marker: list[os.DirEntry[str]] = []
        now, before, folder.unmarked = time.time(), folder.unmarked, {}
        for entry in files:
            name, quiet = entry.name, folder.quiet.get(entry.name)
            if quiet:
                quiet.has_marker = False
            if tracker := folder.markers.get(name):
                if leased and not (quiet and quiet.untold):
                    with_marker.append(entry)
                else:
                    self._look_first(folder, name, tracker)
                    to_be_stable.append(entry)
            elif (folder.session, folder.below + name) in self._displaced:
                to_be_stable.append(entry)
            else:
                folder.unmarked[name] = before.get(name, now)
        return to_be_stable, with_marker

    def is_marked(self, folder: Folder, name: str, quiet: StabilityTracker, age: float) -> bool:
        """Whether a marker counts for the file as it was seen just now. `age`: seconds of quiet that are asked for if time has to tell."""
        begun = time.monotonic()
        tracker = folder.markers.get(name)
        if tracker is None:
            return quiet.fingerprint.ctime_ns <= self._displaced.get((folder.session, folder.below + name), -1)
        seen = regular_file(self._nfs, self.path(folder, name), self._note)
        if seen is None:
            return False
        tracker.see_fresh(seen.fingerprint, time.monotonic())
        stable = quiet.has_marker or tracker.verdict(begun, age, looked=True) is Stability.STABLE
        return stable and seen.fingerprint.is_as_new_as(quiet.fingerprint)

    def path(self, folder: Folder, name: str) -> str:
        """Of the marker of the file called `name`."""
        return f"{folder.path}/{name}{self._suffix}"

    def _look_at(self, folder: Folder, files: "list[os.DirEntry[str]]", markers: "list[os.DirEntry[str]]") -> None:
        """Notes the markers that count as far as the attribute cache knows. One that does not is looked at again in the next scan."""
        now, before = time.monotonic(), folder.markers
        folder.markers, folder.older_markers = {}, 0
        looks = zip(files, self._nfs.stats(folder.path, files), self._nfs.stats(folder.path, markers), strict=True)
        for entry, file, marker in looks:
            if isinstance(marker, OSError):
                self._note(marker)
            if not isinstance(file, tuple) or not isinstance(marker, tuple):
                continue
            version = Fingerprint(*marker)
            if not version.is_as_new_as(Fingerprint(*file)):
                folder.older_markers += 1
            elif tracker := before.get(entry.name):
                tracker.see(version, now)
                folder.markers[entry.name] = tracker
            else:
                folder.markers[entry.name] = StabilityTracker(version, now)

    def _look_first(self, folder: Folder, name: str, tracker: StabilityTracker) -> None:
        """The fresh observation from which the marker's age counts."""
        if not tracker.fresh and self._fresh_left > 0:
            self._fresh_left -= 1
            if seen := regular_file(self._nfs, self.path(folder, name), self._note):
                tracker.see_fresh(seen.fingerprint, time.monotonic())
