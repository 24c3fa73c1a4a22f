"""Open files of this process, told by where they are: the number of all of them changes whenever anybody's garbage is collected."""

import os
from pathlib import Path


def open_below(folder: Path | str) -> list[str]:
    """What this process has open below `folder`, removed files too, sorted."""
    targets = (_target(fd) for fd in os.listdir("/proc/self/fd"))
    return sorted(target for target in targets if target.startswith(f"{folder}/"))


def _target(fd: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except FileNotFoundError:  # it was closed since we listed them, the listing's own descriptor for one
        return ""
