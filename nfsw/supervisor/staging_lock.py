"""The lock on the staging folder: one service at a time works in it. Main process.

Each service takes what lies in staging and is not its own for leftovers, and deletes it; so two of them on one folder would
delete each other's copies. The lock is flock(2) on the folder itself, so that nothing has to be written into it or cleaned up.
The kernel holds it for as long as the process lives, and not a moment longer: a restart is never delayed by its predecessor.
"""

import fcntl
import os
from pathlib import Path


class StagingTaken(Exception):
    """Another service works in the staging folder."""


def lock_staging(folder: Path) -> int:
    """Locks `folder`, and makes it if it is not there. The lock lasts until the process ends, or the descriptor returned is closed.

    Children do not inherit the descriptor, so a child that outlives this process does not keep the lock. Raises StagingTaken, and
    OSError where the folder cannot be made or locked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StagingTaken from error
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
