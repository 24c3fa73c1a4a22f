"""A stdout that nobody reads, as when the container runtime's copier of logs stands still: nothing waits for it."""

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.content import some_bytes
from tests.support.figures import Figure
from tests.support.logs import LogLine
from tests.support.prober import Times, probing
from tests.support.site import Site
from tests.support.waiting import until

#: For how long. NFSW_STDOUT_S=60 is what a closing note quotes.
SECONDS = float(os.environ.get("NFSW_STDOUT_S", "5"))
#: A probe's own patience is a second or more.
SLOWEST_MS = 1000


@dataclass
class Pipe:
    """`write_end` is full from the beginning. What is read from it later is kept."""

    read_end: int
    write_end: int
    text: bytearray = field(default_factory=bytearray)

    @contextmanager
    def read(self) -> Iterator[None]:
        over = threading.Event()

        def copy() -> None:
            while not over.is_set():
                self.text += os.read(self.read_end, 1 << 20)

        reader = threading.Thread(target=copy)
        reader.start()
        try:
            yield
        finally:
            over.set()
            os.write(self.write_end, b"\n")  # wakes the reader
            reader.join()

    def has(self, words: str) -> bool:
        return words.encode() in self.text

    def lines(self) -> list[LogLine]:
        return [json.loads(line) for line in self.text.lstrip(FILLER).decode().splitlines() if line]


FILLER = b" "


@pytest.fixture
def full_pipe() -> Iterator[Pipe]:
    read_end, write_end = os.pipe()
    size = fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 1 << 16)
    os.write(write_end, FILLER * size)
    yield Pipe(read_end, write_end)
    os.close(read_end)
    os.close(write_end)


def test_while_nobody_reads_stdout_files_go_on_and_probes_are_answered(site: Site, full_pipe: Pipe, tmp_path: Path, figure: Figure) -> None:
    service = site.launch_onto(full_pipe.write_end, APP_LOG_LEVEL="DEBUG").ready()
    service.start_session("s")
    # More lines than may wait: one for each of these.
    refused = {site.incoming("s") / f"{number}.completed" for number in range(1500)}
    for path in refused:
        path.touch()
    count = 0
    with probing(service.port, "/healthz", tmp_path / "probes") as prober:
        begun = time.monotonic()
        while time.monotonic() - begun < SECONDS:
            site.write("s", f"{count}.bin", some_bytes(count, 10_000))
            count += 1
            time.sleep(0.05)
        site.all_arrived(left=refused)
        looks = prober.looks()
    times = Times.of(looks)
    figure(f"/healthz in ms, {count} files sent in {time.monotonic() - begun:.0f} s with stdout blocked", str(times))
    assert {look.status for look in looks} == {200}
    assert times.p90 < SLOWEST_MS

    with full_pipe.read():
        until(lambda: full_pipe.has("log lines were dropped"), within=20, what="it says how many lines were dropped")
        service.call("POST", "/v1/watch/stop")
        until(lambda: full_pipe.has("session ended"), within=20, what="the log goes on")
    [said] = [line["message"] for line in full_pipe.lines() if "log lines were dropped" in line["message"]]
    figure("it says when stdout is read again", said)
    lines = [line for line in full_pipe.lines() if line["message"].startswith("refused")]
    assert len(lines) + int(said.split()[0]) >= len(refused), "each line was written or counted"


def test_a_blocked_stdout_does_not_hold_up_the_end(site: Site, full_pipe: Pipe) -> None:
    service = site.launch_onto(full_pipe.write_end, APP_LOG_LEVEL="DEBUG").ready()
    assert service.stop() == 0


def test_the_last_lines_come_out_where_stdout_is_read(site: Site) -> None:
    service = site.serve()
    service.stop()
    assert "listening" in service.stdout.read_text()
