"""Writers that leave a marker: a file is taken as soon as it has its own, and never before; with the real service."""

import os
import random
import signal
import threading
import time

import pytest

from tests.support.content import KIB
from tests.support.figures import Figure
from tests.support.marked_writers import MarkedWriter, mark_anew
from tests.support.service import run_nfsw
from tests.support.site import Site
from tests.support.waiting import until

FULL = bool(os.environ.get("NFSW_FULL"))
MARKED = {"APP_DONE_SUFFIX": ".done"}
IN_BLOCKS = {"APP_AZURE_MAX_SINGLE_PUT_SIZE": str(64 * KIB), "APP_AZURE_MAX_BLOCK_SIZE": str(256 * KIB)}


def mark(site: Site, name: str) -> None:
    (site.incoming("s") / f"{name}.done").touch()


def test_a_file_is_taken_with_its_marker_however_young_and_never_without(site: Site) -> None:
    service = site.serve(**MARKED, APP_MIN_FILE_AGE_S="3600", APP_FILE_EXTENSIONS=".bin")
    service.start_session("s")
    site.write("s", "a.bin", b"has its marker")
    mark(site, "a.bin")
    waiting = site.incoming("s") / "b.bin"
    waiting.write_bytes(b"has none yet")
    site.has_arrived("s", "a.bin")
    assert not (site.incoming("s") / "a.bin.done").exists()
    until(lambda: service.status()["files"]["waiting_for_marker"] == 1, within=10, what=site.report)
    [reason] = service.status()["waiting_for"]
    assert reason.startswith("the markers of 1 file, the oldest since ")
    assert reason.endswith(": s/b.bin")
    assert "1 waiting for their marker" in run_nfsw(site.folder, "status", "--url", service.url).stdout
    assert service.status()["refused"] == []
    site.write("s", "b.bin", waiting.read_bytes())
    mark(site, "b.bin")
    site.all_arrived()


def test_a_marker_that_was_left_behind_says_nothing_of_the_next_version(site: Site) -> None:
    service = site.serve(**MARKED)
    service.start_session("s")
    (site.incoming("s") / "a.bin.done").touch()
    site.write("s", "a.bin", b"the next version")
    until(lambda: "older than the file" in "".join(service.status()["waiting_for"]), within=10, what=site.report)
    for name in ("b.bin", "c.bin", "d.bin"):  # each one is found by a scan that passes it over
        site.write("s", name, b"has its marker")
        mark(site, name)
        site.has_arrived("s", name)
    assert (site.incoming("s") / "a.bin").exists()
    mark(site, "a.bin")
    site.all_arrived()


@pytest.mark.timeout(1800 if FULL else 300)
def test_files_and_markers_that_are_written_while_processes_are_killed_arrive_whole(site: Site, figure: Figure) -> None:
    """`NFSW_FULL=1`: 12 writers of 250 files each."""
    writers, files, pause_s = (12, 250, 0.6) if FULL else (4, 16, 0.6)
    marked = [MarkedWriter(site, number, 4, pause_s) for number in range(writers)]
    settings = {**MARKED, **IN_BLOCKS, "APP_HANG_TIMEOUT_S": "10"}
    service = site.serve(**settings)
    service.start_session("s")
    begun = time.monotonic()
    writing = [threading.Thread(target=writer.write, args=(files,)) for writer in marked]
    for thread in writing:
        thread.start()
    chance, ends, actors = random.Random(9), 0, 0
    while any(thread.is_alive() for thread in writing):
        time.sleep(chance.uniform(0.2, 2.0))
        if chance.random() < 0.2 or service.exit_code() is not None:
            ends += 1
            service.crash() if chance.random() < 0.5 else service.leave_nothing()
            service = site.serve(**settings)
        elif victims := service.actors():
            actors += 1
            name = chance.choice(["claimer", *victims])
            os.kill(victims[name].pid, signal.SIGKILL)
    took = time.monotonic() - begun
    anew = 0

    def nothing_is_left() -> bool:
        nonlocal anew
        anew += mark_anew(site, waiting_s=30)
        return not site.files_held()

    until(nothing_is_left, within=300, what=lambda: f"left: {sorted(site.files_held())}\n{site.report()}")
    site.all_arrived()
    assert not [name for name in site.container.names() if name.endswith(".done")]
    figure("markers: versions written, seconds of writing", (sum(writer.versions for writer in marked), round(took, 1)))
    figure("markers: actors killed, services killed, markers made anew", (actors, ends, anew))
    figure("markers: seconds until all was in Azure and nothing was left", round(time.monotonic() - begun, 1))
