"""Markers on a real hard mount: whose ctimes they are compared by is the server's, whichever client has written what."""

import time
from pathlib import Path

import pytest

from tests.support.content import KIB, Content, some_bytes
from tests.support.figures import Figure
from tests.support.site import QUICK, Site

#: Long beside what a marker takes. A file that gets no second lease once it is claimed has to be quiet for that long: an NFS server gives
#: none for a while after it had to call one back.
MARKED = {**QUICK, "APP_DONE_SUFFIX": ".done", "APP_MIN_FILE_AGE_S": "30"}


def _written(path: Path, content: bytes) -> None:
    """In three parts, closed in between, as if it were complete."""
    part = len(content) // 3 or 1
    for start in range(0, len(content), part):
        with path.open("r+b" if start else "wb") as file:
            file.seek(start)
            file.write(content[start : start + part])


@pytest.mark.parametrize("node", ["this", "another"])
def test_files_are_taken_with_their_markers_whoever_writes_them(site: Site, node: str, figure: Figure) -> None:
    site.serve(**MARKED).start_session("s")
    folder = site.seen_at / "incoming/s" if node == "this" else site.incoming("s")
    folder.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    for number in range(8):
        content = some_bytes(number, 3 * (100, 4 * KIB, 200 * KIB)[number % 3])
        name = f"{number % 4}.bin"  # each one twice
        if number >= 4:
            site.has_arrived("s", name)
            (folder / f"{name}.done").touch()  # it was left behind
        site.expect("s", name, Content.of([content]))
        _written(folder / name, content)
        (folder / f"{name}.done").touch()
    site.all_arrived(within=150)
    figure(f"8 files and markers, written on {node} node: seconds until all are in Azure", round(time.monotonic() - begun, 1))
