"""The budget of the staging folder, in bytes: what each file holds of it or may grow to. Main process.

It only counts. What is removed to make room, and when, is the scheduler's matter.
"""

import time
from collections.abc import Iterator

from nfsw.actors.manifest import manifest_bytes
from nfsw.supervisor.tracked_file import UNDER_WAY, Stage, TrackedFile, TrackedFiles

#: What has lain in staging for this long while its file waits may be evicted for others, in seconds.
_EVICT_AFTER_S = 30.0


class StagingBudget:
    """`limit` in bytes."""

    def __init__(self, files: TrackedFiles, limit: int, block_size: int | None) -> None:
        self.limit = limit
        self.used = 0
        self._files = files
        self._block_size = block_size

    def need(self, record: TrackedFile) -> int:
        """Bytes that its staged copy and manifest take, from its next step on."""
        if record.uploaded:
            return record.reserved
        return record.version.size + manifest_bytes(record.version.size, self._block_size)

    def fits(self, record: TrackedFile) -> bool:
        return self.missing(record) <= 0

    def missing(self, record: TrackedFile) -> int:
        """Bytes that would have to be freed first; 0 or less: none."""
        return self.used - record.reserved + self.need(record) - self.limit

    def reserve(self, record: TrackedFile, size: int) -> None:
        """From now on the file's room is `size` bytes, whatever it was."""
        self.used += size - record.reserved
        record.reserved, record.reserved_since = size, time.monotonic()

    def release(self, record: TrackedFile) -> None:
        self.reserve(record, 0)

    def evictable(self) -> Iterator[TrackedFile]:
        """Files that hold room and do not use it just now; the first is missed least."""
        since = time.monotonic() - _EVICT_AFTER_S
        idle = [
            record
            for record in self._files
            if record.reserved and record.reserved_since <= since and record.stage not in UNDER_WAY and not record.staging
        ]
        return iter(sorted(idle, key=lambda record: record.stage is Stage.QUEUED))
