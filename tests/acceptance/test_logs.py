"""Logs: one JSON object a line from every process, with the fields of the contract; a file's lines share one trace."""

import re
from datetime import datetime

from tests.support.content import MIB, some_bytes
from tests.support.logs import FIELDS, LogLine
from tests.support.service import Service
from tests.support.site import Site
from tests.support.waiting import until

NO_TRACE = "0" * 32


def lines_of_one_file(site: Site, service: Service) -> list[LogLine]:
    service.start_session("s")
    site.write("s", "a file.bin", some_bytes(1, MIB))
    site.all_arrived()
    until(lambda: service.status()["files"]["completed"] == 1, within=10, what="its last step is known")
    return [line for line in service.log() if line.get("file_name") == "a file.bin"]


def test_every_line_has_the_fields_and_every_process_speaks(site: Site) -> None:
    service = site.serve(APP_LOG_LEVEL="DEBUG")
    lines_of_one_file(site, service)
    service.stop()
    for line in service.log():
        assert line.keys() >= FIELDS
        assert datetime.fromisoformat(line["timestamp"]).utcoffset() is not None, line
        assert line["level"] in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}, line
        assert re.fullmatch("[0-9a-f]{32}", line["trace_id"]), line
        assert re.fullmatch("[0-9a-f]{16}", line["span_id"]), line
        assert line["message"], line
    assert {"scanner", "claimer", "uploader", "collector"} <= {line.get("actor") for line in service.log()}


def test_the_lines_of_a_file_name_it_and_share_one_trace(site: Site) -> None:
    lines = lines_of_one_file(site, site.serve())
    assert lines
    assert {line["session_name"] for line in lines} == {"s"}
    assert len({line["trace_id"] for line in lines} - {NO_TRACE}) == 1, lines


def test_the_log_is_quiet_about_libraries_and_probes(site: Site) -> None:
    service = site.serve()
    for _ in range(5):
        service.call("GET", "/healthz")
    lines_of_one_file(site, service)
    noisy = [
        line for line in service.log() if line["logger"].split(".")[0] in {"azure", "aiohttp", "asyncio"} or "/healthz" in line["message"]
    ]
    assert not noisy


def test_the_level_that_was_asked_for_is_kept(site: Site) -> None:
    service = site.serve(APP_LOG_LEVEL="WARNING")
    lines_of_one_file(site, service)
    assert {line["level"] for line in service.log()} <= {"WARNING", "ERROR", "CRITICAL"}


def test_without_a_collector_nothing_is_said_of_telemetry(site: Site) -> None:
    service = site.serve()
    lines_of_one_file(site, service)
    assert not [line for line in service.log() if line["logger"].startswith("opentelemetry")]


def test_a_failed_request_is_no_traceback(site: Site) -> None:
    service = site.serve()
    assert service.call("POST", "/v1/watch/start", b"{").status == 400
    assert service.call("GET", "/v1/nothing").status == 404
    until(lambda: service.call("GET", "/healthz").status == 200, within=5, what="it lives")
    assert not [line for line in service.log() if line["level"] == "ERROR"]
