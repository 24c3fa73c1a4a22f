"""The files that were finished last, in memory alone: NFS is the only state, so the list begins anew with the process. Main process."""

import time
from collections import deque
from datetime import UTC, datetime

from nfsw.actors.files import FileRef
from nfsw.actors.names import printable
from nfsw.supervisor.status import FileHistory, FinishedFile
from nfsw.supervisor.tracked_file import TrackedFile

#: Files that are remembered.
MOST_REMEMBERED = 100


class FinishedFiles:
    def __init__(self) -> None:
        self._since = _now()
        self._files: deque[FinishedFile] = deque(maxlen=MOST_REMEMBERED)
        self._count = 0

    def note(self, record: TrackedFile, at: float) -> None:
        """The file is in Azure and gone from NFS since `at` (seconds, CLOCK_MONOTONIC)."""
        file, size, seconds = record.file, record.version.size, at - record.first_attempt_at
        assert isinstance(file, FileRef)
        self._count += 1
        rate = size / seconds if seconds > 0 else 0.0
        self._files.append(
            FinishedFile(self._count, printable(file.name), file.session, file.date, size, seconds, rate, record.attempts, _now())
        )

    def history(self, after: int) -> FileHistory:
        """The newest first, without those whose number is not above `after`."""
        return FileHistory(self._since, tuple(file for file in reversed(self._files) if file.number > after))


def _now() -> datetime:
    return datetime.fromtimestamp(int(time.time()), UTC)
