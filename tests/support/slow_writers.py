"""Writers that keep their files open and add a line now and then, as instruments do. A process of its own, on any mount.

Nothing asks for the data to reach the server before the close, so that on NFS it does not for as long as the client likes.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import slow_writers_child
from tests.support.children import Child, child
from tests.support.content import Content


@dataclass(frozen=True, slots=True)
class SlowWriters:
    names: list[str]
    _lines: int
    _seconds: float
    _process: Child

    def closed(self) -> dict[str, float]:
        """Waits for the last one. When each file's close returned, by time.monotonic()."""
        found = [json.loads(self._process.says(self._seconds + 60)) for _ in self.names]
        return {one["name"]: one["closed"] for one in found}

    def content(self, name: str) -> Content:
        """What the file holds in the end."""
        return Content.of(slow_writers_child.line(name, number) for number in range(self._lines))


@contextmanager
def slow_writers(folder: Path, prefix: str, count: int, *, every_s: float, seconds: float) -> Iterator[SlowWriters]:
    """`count` of them, each with a file of its own, from now on."""
    names = [f"{prefix}{number:02}" for number in range(count)]
    lines = round(seconds / every_s)
    program = Path(slow_writers_child.__file__).read_text()
    with child(program, folder, str(every_s), str(lines), *names) as process:
        yield SlowWriters(names, lines, seconds, process)
