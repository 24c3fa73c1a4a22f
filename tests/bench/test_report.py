"""Figures and the page that is made of them: no run needed."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tools.bench import report
from tools.bench.__main__ import CASES, SIDES
from tools.bench.cases.scale import FULL
from tools.bench.figures import Measurement, Results, Spread, percentile
from tools.bench.goals import GOALS


def rounds(case: str, side: str, **values: tuple[float, ...]) -> list[Measurement]:
    count = len(next(iter(values.values())))
    return [Measurement(case, side, number, {key: given[number] for key, given in values.items()}) for number in range(count)]


@pytest.fixture
def results() -> Results:
    return Results(
        {"Processor": "one of many"},
        FULL.in_words(),
        [
            *rounds("sink", "nfsw", wall_s=(1.0, 4.0, 3.0), cpu_s_per_gb=(3.0, 3.0, 3.0)),
            *rounds("sink", "rclone", wall_s=(2.0, 4.0, 12.0), cpu_s_per_gb=(6.0, 3.0, 2.0)),
            *rounds("idle", "nfsw", idle_cpu_percent=(0.7,), idle_pss_mb=(100.0,)),
        ],
    )


def test_a_ratio_is_taken_within_a_round(results: Results) -> None:
    assert results.ratio("sink", "wall_s", "nfsw", "rclone") == Spread(median=0.5, least=0.25, most=1.0)


def test_what_was_not_measured_has_no_figure(results: Results) -> None:
    assert results.spread("small", "nfsw", "wall_s") is None
    assert results.ratio("sink", "wall_s", "nfsw", "upload_blob") is None


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_a_percentile_is_one_of_the_values(share: float, value: float) -> None:
    assert percentile(range(1, 101), share) == value


def test_results_come_back_from_their_file(results: Results, tmp_path: Path) -> None:
    results.save(tmp_path / "results.json")
    assert Results.load(tmp_path / "results.json") == results


def test_the_page_says_which_target_is_met_and_which_is_missed(results: Results, tmp_path: Path) -> None:
    page = report.write(results, CASES, tmp_path).read_text()
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in page.splitlines() if line.endswith((" met |", "**missed** |"))}
    assert rows["4 large files into a sink, staging included: wall against rclone"].endswith("| <= 0.6 | 0.50 | 0.25 to 1.00 | met |")
    assert rows["the same: CPU seconds per GB against rclone"].endswith("| <= 0.55 | 1.00 | 0.50 to 1.50 | **missed** |")
    assert rows["CPU when idle, default poll"].endswith("**missed** |")
    assert len(rows) == 4, "no row for what was not measured"


def test_plots_are_written_for_what_was_measured(results: Results, tmp_path: Path) -> None:
    page = report.write(results, CASES, tmp_path).read_text()
    assert {path.name for path in tmp_path.glob("*.svg")} == {"benchmarks-wall.svg", "benchmarks-cpu.svg"}
    for path in tmp_path.glob("*.svg"):
        assert f"({path.name})" in page
        root = ElementTree.parse(path).getroot()  # noqa: S314 - our own
        width = float(root.attrib["width"])
        ends = [float(bar.attrib["x"]) + float(bar.attrib["width"]) for bar in root.iter("{http://www.w3.org/2000/svg}rect")]
        assert 0 < max(ends) <= width


def test_a_run_that_went_wrong_is_on_the_page(results: Results, tmp_path: Path) -> None:
    results.failures.append("tls 2/5 rclone")
    assert "\n- tls 2/5 rclone\n" in report.write(results, CASES, tmp_path).read_text()


def test_every_target_is_held_against_a_figure_that_its_case_has() -> None:
    measured = {(case.name, side) for case in CASES for side in case.sides}
    assert {(goal.case, side) for goal in GOALS for side in (goal.side, goal.against or goal.side)} <= measured
    assert {side for _, side in measured} == set(SIDES)
    columns = {(case, column.key) for case, of_case in report.COLUMNS.items() for column in of_case}
    assert {(goal.case, goal.key) for goal in GOALS} <= columns
