"""The whole service, and writers that it shares nothing with but the server: on another node, and on the export itself.

One service for all tests of this file. Its ages are shorter than the usual ones, which makes each of these harder.
"""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support import uml
from tests.support.azurite import Endpoint
from tests.support.blobs import Container
from tests.support.claim_races import all_gone, append_before_the_delete, open_while_leased, rename_over
from tests.support.content import Content
from tests.support.figures import Figure
from tests.support.link import Link, link_to
from tests.support.seen_through import SeenThrough, site_seen_through
from tests.support.service import Service, Status
from tests.support.slow_writers import slow_writers
from tests.support.uml_client import second_client, writeback
from tests.support.uml_server import distant, without_leases
from tests.support.waiting import until

POLL_S, AGE_S = 0.5, 2.0
SETTINGS = {"APP_POLL_INTERVAL_S": str(POLL_S), "APP_MIN_FILE_AGE_S": str(AGE_S)}
#: From the moment in which nothing is in a file's way until it is in Azure and gone: two polls, the age, and a box with other work.
TAKEN_WITHIN_S = 30.0
#: To the server and back, in the tests that put writers between two calls of the service.
ROUND_TRIP_S = 0.010
#: A client that keeps what was written no longer than this, and the quiet time that follows from it.
EXPIRE_S, WRITEBACK_S = 4.0, 1.0
QUIET_S = EXPIRE_S + WRITEBACK_S + POLL_S + 1.0


@dataclass(frozen=True, slots=True)
class Nodes:
    """The service and its share, and the same share as another node has it."""

    site: SeenThrough
    service: Service
    link: Link
    elsewhere: Path  # incoming/s


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, azurite: Endpoint) -> Iterator[Nodes]:
    with ExitStack() as stack:
        mount = stack.enter_context(second_client())
        link = stack.enter_context(link_to(azurite))
        site = stack.enter_context(_site(tmp_path_factory.mktemp("site"), link.endpoint))
        service = site.serve(**SETTINGS)
        service.start_session("s")
        site.incoming("s")
        yield Nodes(site, service, link, mount / site.nfs.name / "incoming/s")


@pytest.fixture(scope="module")
def instrument(nodes: Nodes) -> Iterator[FileIO]:
    """Of a file on another node that has its first bytes and stays open."""
    with (nodes.elsewhere / "instrument").open("wb", buffering=0) as file:
        file.write(b"measured in the morning")
        os.fsync(file.fileno())
        yield file


@pytest.mark.xfail(reason="a file that is open on another node looks quiet, and is taken", strict=True)
@pytest.mark.usefixtures("instrument")
def test_files_that_another_node_writes_slowly_arrive_whole(nodes: Nodes) -> None:
    site = nodes.site
    with slow_writers(nodes.elsewhere, "slow", 12, every_s=0.5, seconds=8) as writers:
        closed = writers.closed()
        for name in closed:
            site.expect("s", name, writers.content(name))
        all_gone(site, writers.names, within=TAKEN_WITHIN_S)
    assert [name for name in closed if _in_azure(nodes, name) != writers.content(name)] == []


@pytest.mark.xfail(reason="a file that is open on another node looks quiet, and is taken", strict=True)
def test_a_file_that_stays_open_for_longer_than_any_age_is_waited_for_and_named(nodes: Nodes, instrument: FileIO) -> None:
    time.sleep(2 * AGE_S)  # its nature: an instrument that pauses
    status = until(lambda: _waits_for_a_writer(nodes), within=TAKEN_WITHIN_S, what=lambda: f"the status tells: {nodes.service.status()}")
    assert status["files"]["open_for_writing"] == 1
    assert any("instrument" in reason for reason in status["waiting_for"]), status["waiting_for"]
    assert (nodes.site.incoming("s") / "instrument").exists()

    instrument.write(b", and in the evening")
    instrument.close()

    all_gone(nodes.site, ["instrument"], within=TAKEN_WITHIN_S)
    assert _in_azure(nodes, "instrument") == Content.of([b"measured in the morning, and in the evening"])
    until(lambda: nodes.service.status()["files"]["open_for_writing"] == 0, within=TAKEN_WITHIN_S, what="nobody is waited for any more")


def test_a_file_that_is_written_again_and_again_with_its_old_mtime_and_size_is_not_taken_in_between(nodes: Nodes) -> None:
    path = nodes.elsewhere / "kept-mtime"
    path.write_bytes(b"version 00")
    before = path.stat()
    for number in range(1, 16):
        with path.open("r+b") as file:  # fails where the name is gone
            file.write(f"version {number:02}".encode())
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        time.sleep(AGE_S / 4)
    all_gone(nodes.site, [path.name], within=TAKEN_WITHIN_S)
    assert _in_azure(nodes, path.name) == Content.of([b"version 15"])


def test_a_file_that_is_written_with_its_old_mtime_and_size_after_its_claim_is_sent_again(nodes: Nodes) -> None:
    site = nodes.site
    nodes.link.hold()
    (site.incoming("s") / "rewritten").write_bytes(b"the older bytes")
    until(lambda: _uploading(nodes) == {"rewritten"}, within=TAKEN_WITHIN_S, what=lambda: f"it is uploaded: {nodes.service.status()}")
    [path] = (site.nfs / ".processing").glob("*/s/rewritten")
    before = path.stat()
    path.write_bytes(b"the newer bytes")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    nodes.link.release()
    all_gone(site, ["rewritten"], within=TAKEN_WITHIN_S)
    assert _in_azure(nodes, "rewritten") == Content.of([b"the newer bytes"])


@pytest.mark.xfail(reason="the look at the moved name is answered with the old inode", strict=True)
def test_a_newer_version_that_is_renamed_over_the_name_in_the_instant_of_the_claim_arrives(nodes: Nodes) -> None:
    with distant(ROUND_TRIP_S):
        trials = rename_over(nodes.site, "renamed", 8, pause_s=0.6)
        all_gone(nodes.site, trials.names, within=TAKEN_WITHIN_S)
    assert trials.hits, "no writer met the instant"
    assert trials.lost(nodes.site) == []


@pytest.mark.xfail(reason="nothing keeps a writer from the file between look and delete", strict=True)
def test_what_is_appended_between_the_last_look_and_the_delete_arrives(nodes: Nodes) -> None:
    with distant(5 * ROUND_TRIP_S):  # so that the moments of a few trials cover the time between look and delete
        trials = append_before_the_delete(nodes.site, "appended", 8, step_s=1.25 * ROUND_TRIP_S, patience_s=1.5)
        all_gone(nodes.site, trials.names, within=TAKEN_WITHIN_S)
    assert trials.lost(nodes.site) == []


@pytest.mark.xfail(reason="no claim holds a lease so far", strict=True)
def test_a_writers_open_does_not_wait_long_for_the_claim(nodes: Nodes, figure: Figure) -> None:
    with distant(ROUND_TRIP_S):
        trials = open_while_leased(nodes.site, "opened", 8)
    figure("longest wait of a writer's open in the instant of a lease, in seconds (10 ms to the server)", max(trials.waited_s.values()))
    assert max(trials.waited_s.values()) < 2


@pytest.mark.xfail(reason="APP_WRITEBACK_AGE_S has no effect so far", strict=True)
def test_where_the_server_grants_no_leases_files_have_to_be_quiet_for_as_long_as_a_client_keeps_data(
    tmp_path: Path, azurite: Endpoint, figure: Figure
) -> None:
    with without_leases(), writeback(EXPIRE_S, WRITEBACK_S), second_client() as mount, _site(tmp_path / "site", azurite) as site:
        service = site.serve(**SETTINGS, APP_WRITEBACK_AGE_S=str(QUIET_S))
        service.start_session("s")
        site.incoming("s")
        with slow_writers(mount / site.nfs.name / "incoming/s", "slow", 8, every_s=0.5, seconds=8) as writers:
            for name in writers.closed():
                site.expect("s", name, writers.content(name))
            figure("the status says", service.status())
            site.all_arrived(within=TAKEN_WITHIN_S + QUIET_S)


@contextmanager
def _site(folder: Path, endpoint: Endpoint) -> Iterator[SeenThrough]:
    """A folder of the export, which the service sees through the first client."""
    name = f"nodes-{uuid4().hex[:8]}"
    (uml.MOUNT / name).mkdir()
    with (
        closing(Container(endpoint, name)) as container,
        site_seen_through(folder, endpoint, container, behind=uml.EXPORT / name, seen_at=uml.MOUNT / name) as site,
    ):
        yield site


def _in_azure(nodes: Nodes, name: str) -> Content | None:
    blobs = sorted(blob for blob in nodes.site.container.names() if blob.endswith(f"/s/{name}"))
    return nodes.site.container.read(blobs[-1]).content if blobs else None


def _uploading(nodes: Nodes) -> set[str]:
    return {flight["file"] for flight in nodes.service.status()["in_flight"] if flight["state"] == "uploading"}


def _waits_for_a_writer(nodes: Nodes) -> Status | None:
    status = nodes.service.status()
    return status if status["files"].get("open_for_writing") else None
