"""Logs: one JSON object a line from every process, with the fields of the contract; a file's lines share one trace."""

import re
from datetime import datetime

import pytest

from tests.support.content import MIB, some_bytes
from tests.support.logs import FIELDS, LogLine
from tests.support.service import Service
from tests.support.site import Site
from tests.support.waiting import until

NO_TRACE = "0" * 32
FILE = "a file.bin"
LIBRARIES = {"aiohttp", "asyncio", "azure", "opentelemetry", "urllib3"}


def one_file(site: Site, service: Service) -> None:
    service.start_session("s")
    site.write("s", FILE, some_bytes(1, MIB))
    site.all_arrived()
    until(lambda: service.status()["files"]["completed"] == 1, within=10, what="its last step is known")


@pytest.fixture(scope="module")
def log(module_site: Site) -> list[LogLine]:
    """All that an ordinary life says: start, probes, some bad requests, one file, the end."""
    service = module_site.serve()
    for path in ("/healthz", "/readyz", "/v1/nothing"):
        service.call("GET", path)
    assert service.call("POST", "/v1/watch/start", b"{").status == 400
    one_file(module_site, service)
    service.stop()
    return service.log()


def test_every_line_has_the_fields(log: list[LogLine]) -> None:
    for line in log:
        assert line.keys() >= FIELDS
        assert datetime.fromisoformat(line["timestamp"]).utcoffset() is not None, line
        assert line["level"] in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}, line
        assert re.fullmatch("[0-9a-f]{32}", line["trace_id"]), line
        assert re.fullmatch("[0-9a-f]{16}", line["span_id"]), line
        assert line["message"], line


def test_the_lines_of_a_file_name_it_and_share_one_trace(log: list[LogLine]) -> None:
    lines = [line for line in log if line.get("file_name") == FILE]
    assert {line["session_name"] for line in lines} == {"s"}
    assert len({line["trace_id"] for line in lines} - {NO_TRACE}) == 1, lines
    assert {int(line["trace_flags"], 16) & 1 for line in lines} == {0}, "W3C's flag: nothing is exported here"


def test_the_log_is_quiet_about_libraries_and_probes(log: list[LogLine]) -> None:
    assert not [line for line in log if line["logger"].partition(".")[0] in LIBRARIES or "/healthz" in line["message"]]


def test_an_ordinary_life_has_no_warning_and_no_error(log: list[LogLine]) -> None:
    assert {line["level"] for line in log} == {"INFO"}


def test_every_process_speaks_when_asked_for_detail(site: Site) -> None:
    service = site.serve(APP_LOG_LEVEL="DEBUG")
    one_file(site, service)
    assert {"scanner", "claimer", "uploader", "collector"} <= {line.get("actor") for line in service.log()}


def test_the_level_that_was_asked_for_is_kept(site: Site) -> None:
    service = site.serve(APP_LOG_LEVEL="WARNING")
    one_file(site, service)
    assert {line["level"] for line in service.log()} <= {"WARNING", "ERROR", "CRITICAL"}
