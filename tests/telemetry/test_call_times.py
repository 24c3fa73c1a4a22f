"""What NFS calls took: counted by the threads that make them, added up over threads and lives, made into a histogram."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Histogram, InMemoryMetricReader

import nfsw.actors
from nfsw.actors.call_board import CallBoard
from nfsw.actors.call_durations import BOUNDS_S, KINDS, Durations, added
from nfsw.actors.nfs import Nfs
from nfsw.actors.tree import NfsTree
from nfsw.supervisor.call_times import NAME, with_call_times

THREADS = 4
CALLS = 2000


@pytest.fixture
def board() -> Iterator[CallBoard]:
    fd = CallBoard.create(THREADS)
    board = CallBoard(fd, THREADS)
    os.close(fd)
    yield board
    board.close()


def test_no_call_of_any_thread_is_lost(board: CallBoard) -> None:
    nfs = Nfs(NfsTree("/nowhere"), board)

    def call() -> None:
        for _ in range(CALLS):
            assert nfs.observe("/nowhere") is None
            nfs.unlink("/nowhere")

    threads = [Thread(target=call) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    calls = board.calls()
    assert {kind: durations.calls for kind, durations in calls.items()} == {"statx": THREADS * CALLS, "unlink": THREADS * CALLS}
    assert all(durations.seconds > 0 for durations in calls.values())


def test_a_call_that_fails_took_its_time_too(board: CallBoard, tmp_path: os.PathLike[str]) -> None:
    nfs = Nfs(NfsTree(os.fspath(tmp_path)), board)
    with pytest.raises(IsADirectoryError):
        nfs.unlink(os.fspath(tmp_path))

    assert board.calls()["unlink"].calls == 1


def test_a_duration_is_in_the_class_whose_bound_it_does_not_exceed(board: CallBoard) -> None:
    tally = board._tallies[0]
    for nanoseconds in (0, 100_000, 100_001, 100_000_000_000, 100_000_000_001):
        tally.count("read", nanoseconds)

    counts = board.calls()["read"].counts
    assert counts[0] == 2
    assert counts[1] == 1
    assert counts[-2:] == (1, 1)
    assert len(counts) == len(BOUNDS_S) + 1


def test_every_kind_of_call_that_the_code_announces_has_its_row() -> None:
    """One that has none would be counted as `other`."""
    announced = {kind for file in Path(nfsw.actors.__path__[0]).glob("*.py") for kind in re.findall(r"\.call\(\"(\w+)\"", file.read_text())}

    assert announced == set(KINDS) - {"other"}


def test_a_kind_without_a_row_is_counted_as_other(board: CallBoard) -> None:
    board.enter(0, "unheard of")
    board.leave(0, "unheard of")

    assert {kind: durations.calls for kind, durations in board.calls().items()} == {"other": 1}


def test_lives_of_an_actor_are_added_up() -> None:
    one, two = Durations((1, 0), 0.5), Durations((2, 1), 1.0)

    assert added({"read": one, "link": one}, {"read": two}) == {"read": Durations((3, 1), 1.5), "link": one}


def test_the_histogram_is_beside_the_metrics_of_the_service() -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    meters.get_meter("another").create_counter("other").add(1)
    meters.get_meter("nfsw").create_counter("files.claimed").add(1)
    data = reader.get_metrics_data()
    assert data is not None

    counts = (0, 2, *([0] * (len(BOUNDS_S) - 1)))
    data = with_call_times(data, {"claimer": {"link": Durations(counts, 0.0005)}}, 1, "nfsw")

    (resource,) = data.resource_metrics
    (scope,) = [scope for scope in resource.scope_metrics if scope.scope.name == "nfsw"]
    (metric,) = [metric for metric in scope.metrics if metric.name == NAME]
    assert isinstance(metric.data, Histogram)
    (point,) = metric.data.data_points
    assert point.attributes == {"actor": "claimer", "call": "link"}
    assert (point.count, point.sum) == (2, 0.0005)


def test_nothing_is_added_before_anything_was_called() -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    meters.get_meter("nfsw").create_counter("files.claimed").add(1)
    data = reader.get_metrics_data()
    assert data is not None

    assert with_call_times(data, {}, 1, "nfsw") is data
