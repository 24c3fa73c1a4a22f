"""The whole service, and writers that it shares nothing with but the server: on another node, and on the export itself.

One service for all tests of this file. Its ages are shorter than the usual ones, which makes each of these harder.
"""

import os
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest

from tests.support.azurite import Endpoint
from tests.support.claim_races import Trials, all_gone, append_before_the_delete, open_while_leased, rename_over, while_uploaded
from tests.support.content import Content
from tests.support.figures import Figure
from tests.support.second_node import Nodes, two_nodes
from tests.support.service import Status
from tests.support.slow_writers import slow_writers
from tests.support.uml_client import writeback
from tests.support.uml_server import distant, without_leases
from tests.support.waiting import until

POLL_S, AGE_S = 0.5, 2.0
SETTINGS = {"APP_POLL_INTERVAL_S": str(POLL_S), "APP_MIN_FILE_AGE_S": str(AGE_S)}
#: From the moment in which nothing is in a file's way until it is in Azure and gone: two polls, the age, and a box with other work.
TAKEN_WITHIN_S = 30.0
#: The same for a file that our client held a promise of the server for when a writer opened it: for up to a minute there is no other.
PATIENCE_S = TAKEN_WITHIN_S + 60.0
#: To the server and back, in the tests that put writers between two calls of the service.
ROUND_TRIP_S = 0.010
#: A client that keeps what was written no longer than this, and the quiet time that follows from it.
EXPIRE_S, WRITEBACK_S = 4.0, 1.0
QUIET_S = EXPIRE_S + WRITEBACK_S + POLL_S + 1.0


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, azurite: Endpoint) -> Iterator[Nodes]:
    with two_nodes(tmp_path_factory.mktemp("site"), azurite, **SETTINGS) as own:
        yield own


@pytest.fixture(scope="module")
def instrument(nodes: Nodes) -> Iterator[FileIO]:
    """Of a file on another node that has its first bytes and stays open."""
    with (nodes.elsewhere / "instrument").open("wb", buffering=0) as file:
        file.write(b"measured in the morning")
        os.fsync(file.fileno())
        yield file


@pytest.fixture(scope="module")
def kept_mtime(nodes: Nodes) -> Path:
    """A file that is written again and again within its size, its old mtime put back each time, as `exiftool -P` does."""
    path = nodes.elsewhere / "kept-mtime"
    path.write_bytes(b"version 00")
    before = path.stat()
    for number in range(1, 11):
        with path.open("r+b") as file:  # fails where the name is gone
            file.write(f"version {number:02}".encode())
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        time.sleep(AGE_S / 4)
    return path


@pytest.fixture(scope="module")
def changed_late(nodes: Nodes) -> Trials:
    """Files that are changed while they are uploaded, or are about to be deleted. They arrive a minute later, see PATIENCE_S."""
    trials = Trials(["rewritten"])

    def rewrite(path: Path) -> None:
        before = path.stat()
        trials.wanted[path.name] = b"the other version of rewritten"
        assert len(trials.wanted[path.name]) == before.st_size
        path.write_bytes(trials.wanted[path.name])
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    while_uploaded(nodes, trials, trials.names, rewrite)
    return trials


@pytest.fixture(scope="module")
def appended(nodes: Nodes) -> Trials:
    """Takes as long to arrive."""
    with distant(5 * ROUND_TRIP_S):
        return append_before_the_delete(nodes, "appended", 4, step_s=5 * ROUND_TRIP_S, patience_s=1.5)


@pytest.mark.usefixtures("instrument", "kept_mtime", "changed_late", "appended")
def test_files_that_another_node_writes_slowly_arrive_whole(nodes: Nodes) -> None:
    with slow_writers(nodes.elsewhere, "slow", 12, every_s=0.5, seconds=8) as writers:
        closed = writers.closed()
    assert nodes.service.status()["stability"]["rule"] == "lease"
    all_gone(nodes.site, writers.names, within=TAKEN_WITHIN_S)
    assert [name for name in closed if nodes.in_azure(name) != writers.content(name)] == []


def test_a_file_that_stays_open_for_longer_than_any_age_is_waited_for_and_named(nodes: Nodes, instrument: FileIO) -> None:
    time.sleep(2 * AGE_S)  # its nature: an instrument that pauses
    status = until(lambda: _waits_for_a_writer(nodes), within=TAKEN_WITHIN_S, what=lambda: f"the status tells: {nodes.service.status()}")
    assert any("instrument" in reason for reason in status["waiting_for"]), f"the oldest is named: {status['waiting_for']}"
    assert (nodes.site.incoming("s") / "instrument").exists()

    instrument.write(b", and in the evening")
    instrument.close()

    all_gone(nodes.site, ["instrument"], within=TAKEN_WITHIN_S)
    assert nodes.in_azure("instrument") == Content.of([b"measured in the morning, and in the evening"])
    assert not any("instrument" in reason for reason in nodes.service.status()["waiting_for"])


def test_a_newer_version_that_is_renamed_over_the_name_in_the_instant_of_the_claim_arrives(nodes: Nodes) -> None:
    hits: set[str] = set()
    for attempt in range(3):
        with distant(ROUND_TRIP_S):
            trials = rename_over(nodes.site, f"renamed{attempt}-", 8, pause_s=0.6)
            all_gone(nodes.site, trials.names, within=TAKEN_WITHIN_S)
        assert trials.lost(nodes.site) == []
        if hits := trials.hits:
            break
    assert hits, "no writer met the instant"


def test_a_writers_open_does_not_wait_long_for_the_claim(nodes: Nodes, figure: Figure) -> None:
    with distant(ROUND_TRIP_S):
        trials = open_while_leased(nodes.site, nodes.site.incoming("s"), "opened", 8)
    figure("longest wait of a writer's open in the instant of a lease, in seconds (10 ms to the server)", max(trials.waited_s.values()))
    assert max(trials.waited_s.values()) < 20, "the server gives a holder of a lease 90 s to return it"


def test_where_the_server_grants_no_leases_files_have_to_be_quiet_for_as_long_as_a_client_keeps_data(
    tmp_path: Path, azurite: Endpoint, figure: Figure
) -> None:
    quiet = {"APP_WRITEBACK_AGE_S": str(QUIET_S)}
    with without_leases(), writeback(EXPIRE_S, WRITEBACK_S), two_nodes(tmp_path / "site", azurite, **SETTINGS, **quiet) as nodes:
        with slow_writers(nodes.elsewhere, "slow", 8, every_s=0.5, seconds=8) as writers:
            closed = writers.closed()
        figure("the status says", nodes.service.status()["stability"])
        assert nodes.service.status()["stability"]["rule"] == "time"
        all_gone(nodes.site, writers.names, within=TAKEN_WITHIN_S + QUIET_S)
        assert [name for name in closed if nodes.in_azure(name) != writers.content(name)] == []


def test_a_file_that_is_written_again_and_again_with_its_old_mtime_and_size_is_not_taken_in_between(nodes: Nodes, kept_mtime: Path) -> None:
    all_gone(nodes.site, [kept_mtime.name], within=PATIENCE_S)
    assert nodes.in_azure(kept_mtime.name) == Content.of([b"version 10"])


def test_a_file_that_is_written_with_its_old_mtime_and_size_after_its_claim_is_sent_again(nodes: Nodes, changed_late: Trials) -> None:
    all_gone(nodes.site, changed_late.names, within=PATIENCE_S)
    assert changed_late.lost(nodes.site) == []


def test_what_is_appended_between_the_last_look_and_the_delete_arrives(nodes: Nodes, appended: Trials) -> None:
    all_gone(nodes.site, appended.names, within=PATIENCE_S)
    assert appended.lost(nodes.site) == []


def _waits_for_a_writer(nodes: Nodes) -> Status | None:
    status = nodes.service.status()
    return status if status["files"].get("open_for_writing") else None
