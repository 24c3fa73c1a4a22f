"""The census: which claimed files this process has taken on, and what became of them. Main process; pure.

    taken on = completed + given up + in flight

holds at any time, and each of the four is exported, so that somebody outside can see that no file was lost sight of. A file
that waits, for its next attempt or for the Scanner to find it again, is in flight.
"""

from dataclasses import dataclass, field

from nfsw.actors.files import File, FileRef


@dataclass(slots=True)
class Census:
    _in_flight: set[FileRef] = field(default_factory=set)

    def __len__(self) -> int:
        """Files in flight."""
        return len(self._in_flight)

    def take_on(self, file: FileRef) -> bool:
        """It was claimed, or found claimed. Whether that is news."""
        if file in self._in_flight:
            return False
        self._in_flight.add(file)
        return True

    def close(self, file: File) -> bool:
        """It was completed, or is no longer ours to complete. Whether it was in flight."""
        if not isinstance(file, FileRef) or file not in self._in_flight:
            return False
        self._in_flight.remove(file)
        return True
