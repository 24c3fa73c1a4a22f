"""Writers that keep their files open and add a line now and then, as instruments do. A process of its own, on any mount.

Nothing asks for the data to reach the server before the close, so that on NFS it does not for as long as the client likes.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.azurite import CHECKOUT
from tests.support.children import Child, child
from tests.support.content import Content

LINE_BYTES = 100


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
        return Content.of(line(name, number) for number in range(self._lines))


def line(name: str, number: int) -> bytes:
    return f"{name} {number}".encode().ljust(LINE_BYTES - 1) + b"\n"


@contextmanager
def slow_writers(folder: Path, prefix: str, count: int, *, every_s: float, seconds: float) -> Iterator[SlowWriters]:
    """`count` of them, each with a file of its own, from now on."""
    names = [f"{prefix}{number:02}" for number in range(count)]
    lines = round(seconds / every_s)
    program = f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); from tests.support.slow_writers import main; main(*sys.argv[1:])"
    with child(program, folder, str(every_s), str(lines), *names) as process:
        yield SlowWriters(names, lines, seconds, process)


def main(folder: str, every_s: str, lines: str, *names: str) -> None:
    """Each begins a little after the one before, and all go on at the same pace."""
    with ExitStack() as stack:
        files = [stack.enter_context(Path(folder, name).open("wb", buffering=0)) for name in names]
        begun = time.monotonic()
        for number in range(int(lines)):
            for writer, (name, file) in enumerate(zip(names, files, strict=True)):
                _sleep_until(begun + float(every_s) * (number + writer / len(names)))
                file.write(line(name, number))
                if number == int(lines) - 1:
                    file.close()
                    print(json.dumps({"name": name, "closed": time.monotonic()}), flush=True)
        sys.stdin.readline()


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))
