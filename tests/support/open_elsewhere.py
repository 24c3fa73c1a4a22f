"""A file that another process has open for writing, as a writer does that has not finished yet."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Opens its argument to append to it, says so, and keeps it open until its input ends. A shell starts within some milliseconds.
_KEEP_OPEN = 'exec 3>>"$1" && echo open && read -r _'


class Writer:
    """Its `open` may have to wait: `opened` returns once it has the file open."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(["/bin/sh", "-c", _KEEP_OPEN, "sh", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def opened(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"open\n"

    def close(self) -> None:
        """Returns once it has closed the file."""
        self._process.communicate()


@contextmanager
def open_elsewhere(path: Path) -> Iterator[Writer]:
    """Another process has `path` open for writing, until the block ends or the writer closes it."""
    writer = Writer(path)
    try:
        writer.opened()
        yield writer
    finally:
        writer.close()
