"""What writers elsewhere can lose, counted with the usual settings: `make nfs-figures`. Minutes long, and not part of `make test`."""

import os
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import pytest

from tests.support.azurite import Endpoint
from tests.support.claim_races import (
    Trials,
    all_gone,
    append_before_the_delete,
    append_by_the_marked_name,
    claim_times,
    open_while_leased,
    rename_over,
)
from tests.support.content import Content
from tests.support.figures import Figure
from tests.support.second_node import Nodes, two_nodes
from tests.support.slow_writers import slow_writers
from tests.support.uml_server import distant, without_leases

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
]

#: The service's own, not those of the tests' sites.
DEFAULTS = {"APP_POLL_INTERVAL_S": "2", "APP_MIN_FILE_AGE_S": "5", "APP_WRITEBACK_AGE_S": "40", "APP_GC_INTERVAL_S": "30"}
WRITERS, EVERY_S, SECONDS = 40, 0.5, 14.0
TRIALS = 25
ROUND_TRIP_S = 0.010
TAKEN_WITHIN_S = 180.0


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, azurite: Endpoint) -> Iterator[Nodes]:
    with two_nodes(tmp_path_factory.mktemp("site"), azurite, **DEFAULTS) as own:
        yield own


def test_slow_writers_on_another_node(nodes: Nodes, figure: Figure) -> None:
    _count_slow_writers(nodes, figure)


def test_slow_writers_on_another_node_where_the_server_grants_no_leases(tmp_path: Path, azurite: Endpoint, figure: Figure) -> None:
    with without_leases(), two_nodes(tmp_path / "site", azurite, **DEFAULTS) as nodes:
        _count_slow_writers(nodes, figure)


def test_a_newer_version_renamed_over_the_name_in_the_instant_of_the_claim(nodes: Nodes, figure: Figure) -> None:
    with distant(ROUND_TRIP_S):
        trials = rename_over(nodes.site, "renamed", TRIALS, pause_s=2)
        _count_lost(nodes, trials, figure)


def test_an_old_mtime_kept_by_a_writer_elsewhere(nodes: Nodes, figure: Figure) -> None:
    """Each file is written again 20 times within its size, a second apart, its old mtime put back; then never again."""
    paths = {f"kept{number:02}": nodes.elsewhere / f"kept{number:02}" for number in range(TRIALS)}
    for path in paths.values():
        path.write_bytes(b"version 00")
    errors = 0
    for version in range(1, 21):
        for path in paths.values():
            try:
                before = path.stat()
                with path.open("r+b") as file:
                    file.write(f"version {version:02}".encode())
                os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            except OSError:
                errors += 1
        time.sleep(1)
    all_gone(nodes.site, list(paths), within=TAKEN_WITHIN_S)
    lost = [name for name in paths if nodes.in_azure(name) != Content.of([b"version 20"])]
    figure("trials, lost, writes refused because the file had been taken in between", (TRIALS, len(lost), errors))
    assert (lost, errors) == ([], 0)


@pytest.mark.parametrize("round_trip_s", [ROUND_TRIP_S, 5 * ROUND_TRIP_S])
def test_an_append_between_the_last_look_and_the_delete(nodes: Nodes, round_trip_s: float, figure: Figure) -> None:
    """At moments that cover five round trips from the mark on."""
    with distant(round_trip_s):
        step_s = 5 * round_trip_s / TRIALS
        trials = append_before_the_delete(nodes, f"appended{round_trip_s}-", TRIALS, step_s=step_s, patience_s=3)
        _count_lost(nodes, trials, figure)


def test_an_append_by_the_name_of_the_mark(nodes: Nodes, figure: Figure) -> None:
    """Counted, not judged: from the end of our lease until the server removes the name, nothing keeps out a writer that knows it."""
    with distant(ROUND_TRIP_S):
        trials = append_by_the_marked_name(nodes.site, "by-mark", TRIALS, step_s=5 * ROUND_TRIP_S / TRIALS)
        all_gone(nodes.site, trials.names, within=TAKEN_WITHIN_S)
    figure("trials, those that found the name, lost", (TRIALS, len(trials.hits), len(trials.lost(nodes.site))))


@pytest.mark.parametrize("round_trip_s", [0.0, ROUND_TRIP_S])
@pytest.mark.parametrize("where", ["on the export", "on another node"])
def test_the_wait_of_a_writers_open(nodes: Nodes, where: str, round_trip_s: float, figure: Figure) -> None:
    folder = nodes.elsewhere if where == "on another node" else nodes.site.incoming("s")
    with distant(round_trip_s):
        trials = open_while_leased(nodes.site, folder, f"opened {where} {round_trip_s} ", TRIALS)
    waited = trials.waited_s.values()
    figure("opens in the instant of a lease, seconds that they took: median, longest", (len(waited), *_median_and_most(waited)))
    all_gone(nodes.site, trials.names, within=TAKEN_WITHIN_S)


def _count_slow_writers(nodes: Nodes, figure: Figure) -> None:
    with (
        slow_writers(nodes.elsewhere, "slow", WRITERS, every_s=EVERY_S, seconds=SECONDS) as writers,
        ThreadPoolExecutor(1) as thread,
    ):
        claimed = thread.submit(claim_times, nodes.site, writers.names, within=TAKEN_WITHIN_S)
        time.sleep(SECONDS - 1)
        status = nodes.service.status()
        figure("the status says while all have their files open", (status["files"], status["waiting_for"]))
        closed = writers.closed()
        waits = [claimed.result()[name] - closed[name] for name in writers.names]
    all_gone(nodes.site, writers.names, within=TAKEN_WITHIN_S)
    lost = [name for name in writers.names if nodes.in_azure(name) != writers.content(name)]
    figure("writers, blobs without the final bytes", (WRITERS, len(lost)))
    figure("seconds from close to claim: shortest, median, longest", (round(min(waits), 2), *_median_and_most(waits)))
    assert lost == []
    assert min(waits) > 0


def _count_lost(nodes: Nodes, trials: Trials, figure: Figure) -> None:
    all_gone(nodes.site, trials.names, within=TAKEN_WITHIN_S)
    lost = trials.lost(nodes.site)
    figure("trials, those that met the instant, lost", (len(trials.names), len(trials.hits), len(lost)))
    assert lost == []


def _median_and_most(seconds: Collection[float]) -> tuple[float, float]:
    return round(median(seconds), 3), round(max(seconds), 3)
