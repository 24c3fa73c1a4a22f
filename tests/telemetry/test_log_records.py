"""Log lines as a collector receives them: those of stdout, from every process, each in the trace of its file."""

import json
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from nfsw.actors.logs import LONGEST
from tests.support.content import MIB, some_bytes
from tests.support.logs import LogLine, read_log
from tests.support.otlp import Collector, LogRecord, collector
from tests.support.service import Service
from tests.support.site import Site
from tests.support.waiting import until

NO_TRACE = "0" * 32
SEVERITIES = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}


@dataclass(frozen=True, slots=True)
class Moved:
    """A service that has moved one file, and the collector that has received its lines about it."""

    site: Site
    service: Service
    collector: Collector

    @property
    def records(self) -> list[LogRecord]:
        """So far: more may come at any time."""
        return list(self.collector.received.logs)


@pytest.fixture(scope="module")
def moved(module_site: Site) -> Iterator[Moved]:
    with collector() as running:
        own = Moved(module_site, module_site.serve(**running.settings, APP_LOG_LEVEL="DEBUG"), running)
        own.service.start_session("s")
        module_site.write("s", "a.bin", some_bytes(1, MIB))
        module_site.all_arrived()
        until(
            lambda: any(record.body.startswith("in Azure and deleted") for record in own.records),
            within=20,
            what=lambda: f"the file's last line is received\n{own.service.report()}",
        )
        yield own


def as_line(record: LogRecord) -> LogLine:
    """The line of stdout that it was."""
    attributes: dict[str, Any] = dict(record.attributes)
    return {
        "level": record.severity,
        "logger": record.logger,
        "message": record.body,
        "trace_id": record.trace_id or NO_TRACE,
        "span_id": record.span_id or NO_TRACE[:16],
        **attributes,
    }


def key(line: LogLine) -> str:
    return json.dumps({name: value for name, value in line.items() if name not in {"timestamp", "trace_flags"}}, sort_keys=True)


def test_every_line_of_every_process_is_received_as_it_is_on_stdout(moved: Moved) -> None:
    written = {key(line) for line in moved.service.log()}

    until(
        lambda: written <= {key(as_line(record)) for record in moved.records},
        within=20,
        what=lambda: f"what was written is received: {written - {key(as_line(record)) for record in moved.records}}",
    )
    assert {record.attributes.get("actor") for record in moved.records} == {None, "keeper", "scanner", "claimer", "uploader", "collector"}
    assert {record.severity for record in moved.records} <= SEVERITIES


def test_lines_about_a_file_are_in_the_trace_of_the_file(moved: Moved) -> None:
    trace = until(lambda: moved.collector.received.trace("file", file_name="a.bin"), within=20, what="the file's trace is received")

    about = [record for record in moved.records if record.attributes.get("file_name") == "a.bin"]
    assert {record.attributes.get("actor") for record in about} >= {"claimer", None}, "the main process has the last word"
    assert {record.trace_id for record in about} == {trace[0].trace_id}
    assert {record.span_id for record in about} == {trace[0].span_id}


def test_what_is_logged_for_a_request_is_in_the_trace_of_the_request(moved: Moved) -> None:
    trace = until(lambda: moved.collector.received.trace("POST /v1/watch/start"), within=20, what="the request's trace is received")

    (held,) = [record for record in moved.records if record.body == "session held"]
    assert held.attributes["actor"] == "keeper"
    assert held.trace_id == trace[0].trace_id


def test_a_record_has_the_time_of_its_line(moved: Moved) -> None:
    (line,) = [line for line in moved.service.log() if line["message"] == "claimed"]
    (record,) = [record for record in moved.records if record.body == "claimed"]
    assert abs(record.time / 1e9 - datetime.fromisoformat(line["timestamp"]).timestamp()) < 0.001


def test_stdout_marks_that_the_trace_is_exported(moved: Moved) -> None:
    """W3C's flag, the lowest bit."""
    lines = [line for line in moved.service.log() if line.get("file_name") == "a.bin"]
    assert {int(line["trace_flags"], 16) & 1 for line in lines} == {1}


def test_stdout_has_the_lines_though_the_main_process_is_stuck(moved: Moved) -> None:
    moved.service.send(signal.SIGSTOP)
    (moved.site.incoming("s") / "a.completed").write_bytes(b"no name for a file")

    until(
        lambda: any(line["message"].startswith("refused") for line in moved.service.log()),
        within=20,
        what=lambda: f"the scanner says that it refuses the file\n{moved.service.report()}",
    )
    moved.service.send(signal.SIGCONT)
    until(
        lambda: any(record.body.startswith("refused") for record in moved.records),
        within=20,
        what="what waited meanwhile is received",
    )


def test_an_exporter_that_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    """Far more lines than the socket holds: they are all on stdout, and those that did not fit are dropped."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, (tmp_path / "stdout").open("wb") as stdout:
        command = [sys.executable, "-c", TALKER, str(theirs.fileno()), str(LINES)]
        subprocess.run(command, stdout=stdout, pass_fds=[theirs.fileno()], check=True, timeout=60)
        received = drained(ours)

    assert [line["message"] for line in read_log(tmp_path / "stdout")] == [f"line {number}" for number in range(LINES)]
    assert 0 < received < LINES


def drained(sock: socket.socket) -> int:
    """How many packets were in it."""
    count = 0
    while select.select([sock], [], [], 0)[0]:
        sock.recv(LONGEST)
        count += 1
    return count


LINES = 3000
TALKER = """
import logging, sys
from nfsw.actors import logs
logs.configure("INFO", "talker", int(sys.argv[1]))
for number in range(int(sys.argv[2])):
    logging.getLogger("talker").info("line %d", number)
"""
