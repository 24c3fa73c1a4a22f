"""The arena with the plain script as the side: a whole run, small; and what it is built on."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.waiting import until
from tools.bench.arena import Arena
from tools.bench.cases import kill, turns
from tools.bench.cases.scale import MIB, QUICK
from tools.bench.endpoint import Place, sink, sink_over_tls
from tools.bench.ground import Ground, Piece, Pool, WentWrong, fresh
from tools.bench.group import ControlGroup, Group, MarkedGroup, new_group
from tools.bench.sides.floor import floor
from tools.bench.sides.plain import plain
from tools.bench.watching import Watching

PIECES = [Piece("a b.bin", 0, 3 * MIB), Piece("c.bin", 1, 70 * MIB), Piece("empty.bin", 0, 0)]
BURN = "import time\nwhile time.process_time() < {seconds}: pass\n"
CHILD_THAT_ENDS = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN.format(seconds=0.3)!r}])\n"


@pytest.fixture
def arena(tmp_path: Path) -> Arena:
    for name in ("nfs", "work"):
        (tmp_path / name).mkdir()
    return Arena(tmp_path / "nfs", tmp_path / "work", Pool(tmp_path / "pool", 72 * MIB))


@pytest.fixture(params=[new_group, MarkedGroup], ids=["best there is", "by /proc"])
def group(request: pytest.FixtureRequest) -> Iterator[Group]:
    with request.param() as made:
        yield made


@pytest.mark.parametrize("place", [sink, sink_over_tls])
def test_a_run_is_timed_and_its_files_arrive(arena: Arena, place: Place) -> None:
    values = arena.move(plain(), place, PIECES)
    assert values["wall_s"] > values["first_byte_s"] > 0
    assert values["cpu_s"] > 0.1, "the start of a Python process alone costs more"
    assert values["files_per_s"] == pytest.approx(3 / values["wall_s"])


@pytest.mark.parametrize("place", [sink, sink_over_tls])
def test_the_floor_copies_sends_and_removes(arena: Arena, place: Place) -> None:
    pieces = [Piece("0.bin", 0, 3 * MIB), Piece("1.bin", 1, 70 * MIB)]
    assert arena.move(floor(), place, pieces)["requests_per_file"] == 1


def test_the_mean_completion_on_a_slow_uplink_is_told_in_units_of_one_file(arena: Arena) -> None:
    small = replace(QUICK, big_size=MIB, loaded_size=MIB, one_size=MIB, kill_size=MIB, turns_size=4 * MIB, turns_cap=40_000_000)
    values = turns.in_turn(arena, small, plain())
    assert 3 < values["mean_completion"] < 4 * values["wall_over_link"], "it sends all four at a time"


def test_how_long_no_number_moves_is_told() -> None:
    assert turns.longest_still([(0, 0), (5, 0), (6, 1), (7, 1), (9, 2), (10, 3), (99, 3)]) == 3


def test_bytes_that_are_sent_again_after_a_kill_are_counted(arena: Arena) -> None:
    values = kill.killed(arena, replace(QUICK, kill_size=70 * MIB, kill_cap=40 * MIB), plain())
    assert values["at_kill_mib"] >= 35
    assert values["resent_mib"] >= values["at_kill_mib"], "it resumes nothing"
    assert values["in_flight_mib"] == 8 * 4


def test_a_file_that_did_not_arrive_is_noticed(arena: Arena) -> None:
    with arena.enter(sink) as (ground, endpoint):
        ground.place(PIECES)
        with pytest.raises(WentWrong, match=r"a b\.bin"):
            ground.check(PIECES, endpoint.landing.landed())


def test_a_ground_is_empty_when_neither_incoming_nor_processing_holds_a_file(arena: Arena) -> None:
    with fresh(arena.nfs, arena.work, arena.pool) as ground:
        (ground.nfs / ".processing/20260131/bench").mkdir(parents=True)
        assert ground.is_empty()
        (ground.nfs / ".processing/20260131/bench/a.completed").touch()
        assert not ground.is_empty()


def test_cpu_of_children_that_have_ended_is_counted(group: Group, tmp_path: Path) -> None:
    process = group.spawn([sys.executable, "-c", CHILD_THAT_ENDS], {}, tmp_path / "log")
    assert process.wait() == 0
    assert 0.3 <= group.cpu_seconds() < 3


def test_a_kill_reaches_children_too(group: Group, tmp_path: Path) -> None:
    forever = "import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\ntime.sleep(600)\n"
    group.spawn([sys.executable, "-c", forever], {}, tmp_path / "log")
    until(lambda: len(group.pids()) == 2, within=10, what="both run")
    group.kill()
    assert group.pids() == []


def test_a_control_group_leaves_no_folder_behind() -> None:
    with new_group() as made:
        if not isinstance(made, ControlGroup):
            pytest.skip("no control group of version 2 can be made here")
        folder = made.folder
        assert folder.is_dir()
    assert not folder.exists()


def test_scans_of_a_folder_and_departures_from_it_are_seen(tmp_path: Path) -> None:
    ground = Ground(tmp_path, tmp_path, Pool(tmp_path / "pool", 10))
    ground.incoming.mkdir(parents=True)
    ground.put(Piece("a", 0, 10))
    ground.put(Piece("b", 0, 10))
    with Watching(ground.incoming) as watching:
        assert len(list(ground.incoming.iterdir())) == 2
        (ground.incoming / "a").unlink()
        (ground.incoming / "b").rename(tmp_path / "b")
        until(lambda: len(watching.departures) == 2, within=5, what="both departures are seen")
        assert [seen.name for seen in watching.departures] == ["a", "b"]
        assert len(watching.scans) == 1
        assert watching.scans[0].at <= watching.departures[0].at
