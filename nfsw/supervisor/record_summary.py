"""The summary of all records: what one pass over them finds for the status and the health. Main process; pure.

There may be 100,000 of them, so there is one pass, and it calls nothing where it need not.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from nfsw.actors.files import FileRef
from nfsw.supervisor.status import FileState
from nfsw.supervisor.tracked_file import Stage, TrackedFile


@dataclass(frozen=True, slots=True)
class RecordSummary:
    in_flight: list[TrackedFile]
    staging: int  # of these
    refused: list[TrackedFile]
    left_in_place: int  # of the refused ones; an operator has given up on the others
    first_left: TrackedFile | None
    waiting: int  # for their next attempt
    failed: int  # attempts, and have not succeeded since
    error: str | None  # of one of them
    queued: int  # arrivals
    queued_size: int  # bytes
    claimed: int
    unsent: int  # bytes of claimed files that have not left


def summary(records: Iterable[TrackedFile]) -> RecordSummary:
    unseen, in_queue, at_staging = Stage.UNSEEN, Stage.QUEUED, FileState.STAGING
    in_flight: list[TrackedFile] = []
    refused: list[TrackedFile] = []
    staging = left_in_place = waiting = failed = queued = queued_size = claimed = unsent = 0
    first_left: TrackedFile | None = None
    error: str | None = None
    for record in records:
        stage = record.stage
        if record.refused:
            refused.append(record)
            if not record.abandoned:
                left_in_place += 1
                first_left = first_left or record
        elif record.error is not None:
            failed += 1
            error = error or record.error
        if stage is unseen:
            continue
        if record.not_before is not None:
            waiting += 1
        if isinstance(record.file, FileRef):
            claimed += 1
            unsent += record.version.size - record.left
        else:
            queued += 1
            queued_size += record.version.size
        if stage is not in_queue:
            in_flight.append(record)
            staging += state_of(record) is at_staging
    return RecordSummary(
        in_flight, staging, refused, left_in_place, first_left, waiting, failed, error, queued, queued_size, claimed, max(0, unsent)
    )


def state_of(record: TrackedFile) -> FileState:
    """Of a file in flight, as the status shows it."""
    stage = record.stage
    return FileState.STAGING if stage is Stage.STAGING or (stage is Stage.WAITING and not record.attempts) else FileState.UPLOADING
