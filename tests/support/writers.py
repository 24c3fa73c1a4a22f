"""Writers as they are met in the field. Each ends with exactly `content` at `path`; on the way the file looks finished when it is not.

Their pauses are their nature, not a wait for the service: `PAUSE` is well below the quiet time that the tests ask of the service.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

type Writer = Callable[[Path, bytes], None]

PAUSE = 0.4
STEPS = 8
#: Seconds that a file must be quiet in the tests that use these writers.
QUIET = 2.0
HOUR = 3600.0
LONG_AGO = 978_307_200.0  # 2001


def appends_with_pauses(path: Path, content: bytes) -> None:
    with path.open("wb", buffering=0) as file:
        for part in _parts(content):
            file.write(part)
            time.sleep(PAUSE)


def preallocates_and_fills(path: Path, content: bytes) -> None:
    """The size is the final one from the first moment; only mtime tells."""
    with path.open("wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, len(content))
        for part in _parts(content):
            file.write(part)
            time.sleep(PAUSE)


def keeps_an_old_mtime(path: Path, content: bytes) -> None:
    """As `cp -p` and `rsync -t` do, but after every part: only the size tells."""
    with path.open("wb", buffering=0) as file:
        for part in _parts(content):
            file.write(part)
            os.utime(file.fileno(), (LONG_AGO, LONG_AGO))
            time.sleep(PAUSE)


def keeps_an_mtime_an_hour_ahead(path: Path, content: bytes) -> None:
    with path.open("wb", buffering=0) as file:
        for part in _parts(content):
            file.write(part)
            ahead = time.time() + HOUR
            os.utime(file.fileno(), (ahead, ahead))
            time.sleep(PAUSE)


def cp_p_of_an_old_file(path: Path, content: bytes) -> None:
    subprocess.run(["cp", "-p", _old_file(path, content), path], check=True)


def rsync_inplace(path: Path, content: bytes) -> None:
    """Slowed down to a few seconds; writes under the final name all the while, sets the old mtime at the end."""
    slowly = len(content) // 1024 // 3
    subprocess.run(["rsync", "--inplace", "--times", f"--bwlimit={slowly}", _old_file(path, content), path], check=True)


def replaces_by_rename(path: Path, content: bytes) -> None:
    """Several versions, each complete, each put over the one before it; the last one is `content`."""
    for part in [*_parts(content), content]:
        hidden = path.with_name(f".{path.name}.new")
        hidden.write_bytes(part)
        hidden.replace(path)
        time.sleep(PAUSE)


WRITERS: tuple[Writer, ...] = (
    appends_with_pauses,
    preallocates_and_fills,
    keeps_an_old_mtime,
    keeps_an_mtime_an_hour_ahead,
    cp_p_of_an_old_file,
    rsync_inplace,
    replaces_by_rename,
)


def why_not(writer: Writer) -> str | None:
    """Why this writer cannot run here."""
    if writer is rsync_inplace and shutil.which("rsync") is None:
        return "rsync is not installed; `make test` installs it on Debian"
    return None


def _parts(content: bytes) -> Iterator[bytes]:
    step = max(1, -(-len(content) // STEPS))
    for begin in range(0, len(content), step):
        yield content[begin : begin + step]


def _old_file(path: Path, content: bytes) -> Path:
    """Beside the share's `incoming`, of the same name, last changed long ago."""
    source = path.parents[2] / "originals" / path.name
    source.parent.mkdir(exist_ok=True)
    source.write_bytes(content)
    os.utime(source, (LONG_AGO, LONG_AGO))
    return source
