"""The line writer: nobody who puts a line waits for whoever reads stdout, and what was dropped is told of."""

import fcntl
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from nfsw.actors import line_writer
from nfsw.actors.line_writer import LineWriter

PATIENCE_S = 30.0
MOST = 20


@dataclass
class Stdout:
    """A pipe, whose other end is read when the test says so."""

    writer: LineWriter
    read_end: int
    write_end: int

    def reads(self, count: int) -> list[bytes]:
        """The next `count` lines."""
        text = b""
        while text.count(b"\n") < count:
            text += os.read(self.read_end, 100_000)
        return text.splitlines()


@pytest.fixture
def stdout(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stdout]:
    monkeypatch.setattr(line_writer, "_MOST", MOST)
    monkeypatch.setattr(line_writer, "_FEW", MOST // 2)
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    writer = LineWriter(write_end)
    handler = Puts(writer)
    line_writer.log.addHandler(handler)
    try:
        yield Stdout(writer, read_end, write_end)
    finally:
        line_writer.log.removeHandler(handler)
        os.set_blocking(read_end, False)
        writer.close()
        while writer._thread.is_alive():
            drain(read_end)
            writer._thread.join(0.01)
        os.close(read_end)
        os.close(write_end)


class Puts(logging.Handler):
    """What the process does with the writer's own lines."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        self._writer.put(record.getMessage().encode() + b"\n")


def drain(fd: int) -> None:
    try:
        while os.read(fd, 100_000):
            pass
    except BlockingIOError:
        return


def line(number: int, length: int = 1000) -> bytes:
    return b"%d " % number + b"x" * length + b"\n"


def numbers(lines: list[bytes]) -> list[int]:
    return [int(one.partition(b" ")[0]) for one in lines]


def test_lines_come_in_order(stdout: Stdout) -> None:
    for number in range(10):
        stdout.writer.put(line(number, 10))
    assert stdout.writer.flush(PATIENCE_S)
    assert numbers(stdout.reads(10)) == list(range(10))


def test_a_pipe_that_nobody_reads_holds_up_nobody_who_puts(stdout: Stdout) -> None:
    begun = time.monotonic()
    for number in range(10_000):
        stdout.writer.put(line(number))
    assert time.monotonic() - begun < 5 * line_writer._PATIENCE_S + 1.0
    assert stdout.writer._waiting.qsize() <= MOST


def test_what_was_dropped_is_told_of_in_one_line_once_the_pipe_is_read_again(stdout: Stdout) -> None:
    for number in range(1000):
        stdout.writer.put(line(number))
    first = stdout.reads(1)
    while b"dropped" not in (lines := first + stdout.reads(1))[-1]:
        first = lines
    kept = numbers(lines[:-1])
    assert kept == list(range(len(kept))), "the first ones"
    assert lines[-1] == b"%d log lines were dropped, because stdout was not read or failed" % (1000 - len(kept))

    stdout.writer.put(line(1000))
    assert numbers(stdout.reads(1)) == [1000]


def test_a_burst_of_lines_is_written_whole_to_a_pipe_that_is_read(stdout: Stdout) -> None:
    """The one that puts them holds the interpreter; a queue that is full for that reason alone is waited for."""
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.extend(stdout.reads(5000)))
    reader.start()
    for number in range(5000):
        stdout.writer.put(line(number, 10))
    reader.join(PATIENCE_S)
    assert numbers(read) == list(range(5000))


def test_the_last_lines_are_waited_for_no_longer_than_asked(stdout: Stdout) -> None:
    for number in range(10):
        stdout.writer.put(line(number))
    begun = time.monotonic()
    assert not stdout.writer.flush(0.1)
    assert 0.1 <= time.monotonic() - begun < 2.0


def test_a_pipe_that_somebody_has_made_non_blocking_loses_nothing(stdout: Stdout) -> None:
    os.set_blocking(stdout.write_end, False)
    for number in range(15):
        stdout.writer.put(line(number))
    assert numbers(stdout.reads(15)) == list(range(15))


def test_lines_that_cannot_be_written_are_lost_and_counted(stdout: Stdout) -> None:
    null = os.open("/dev/null", os.O_RDONLY)  # writing to it is EBADF
    pipe = os.dup(stdout.write_end)
    try:
        os.dup2(null, stdout.write_end)
        for number in range(7):
            stdout.writer.put(line(number))
        assert stdout.writer.flush(PATIENCE_S)
        os.dup2(pipe, stdout.write_end)
        stdout.writer.put(line(7, 10))
        assert stdout.reads(2) == [line(7, 10).strip(), b"7 log lines were dropped, because stdout was not read or failed"]
    finally:
        os.close(null)
        os.close(pipe)


def test_a_signal_handler_may_put_lines_and_wait_for_them_wherever_it_comes(stdout: Stdout) -> None:
    """SIGTERM ends the service from its handler, which may come in the middle of a line that is being put."""
    handled: list[bool] = []

    def handle(*_: object) -> None:
        stdout.writer.put(line(-1, 10))
        handled.append(stdout.writer.flush(PATIENCE_S))

    reading = threading.Event()

    def read() -> None:
        reading.set()
        while b"the end" not in os.read(stdout.read_end, 100_000):
            pass

    before = signal.signal(signal.SIGVTALRM, handle)
    reader = threading.Thread(target=read)
    reader.start()
    reading.wait(PATIENCE_S)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.001, 0.001)
        while len(handled) < 20:
            stdout.writer.put(line(0, 10))
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    stdout.writer.put(b"the end\n")
    reader.join(PATIENCE_S)
    assert all(handled)
