"""docs/benchmarks.md and its plots, from the results alone. The benchmark's process."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.bench.cases.case import Case
from tools.bench.chart import Bars, draw, number
from tools.bench.figures import Results, Spread
from tools.bench.goals import GOALS, OURS

RIVAL = "rclone"
#: How it is measured, in words.
METHOD = Path(__file__).with_name("method.md")


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    key: str
    ratio: bool = False  # also as a ratio to rclone


MOVED = (
    Column("wall, s", "wall_s", ratio=True),
    Column("CPU-s/GB", "cpu_s_per_gb", ratio=True),
    Column("MB/s", "mb_per_s"),
    Column("first byte, s", "first_byte_s"),
    Column("sink's own CPU, s", "sink_cpu_s"),
)
COLUMNS: dict[str, tuple[Column, ...]] = {
    "start": (Column("s", "start_s"), Column("CPU-s", "start_cpu_s")),
    "sink": MOVED,
    "tls": MOVED,
    "azurite": MOVED[:3],
    "small": (
        Column("files/s", "files_per_s", ratio=True),
        Column("wall, s", "wall_s"),
        Column("CPU ms/file", "cpu_ms_per_file", ratio=True),
        Column("requests/file", "requests_per_file"),
        Column("sink's own CPU, s", "sink_cpu_s"),
    ),
    "uplink": (Column("wall, s", "wall_s"), Column("wall / (size / rate)", "wall_over_link"), Column("first byte, s", "first_byte_s")),
    "turns": (
        Column("mean completion, in units of one file's time", "mean_completion"),
        Column("wall, s", "wall_s"),
        Column("wall / (size / rate)", "wall_over_link"),
        Column("longest without a moving number, s", "longest_still_s"),
        Column("CPU-s/GB", "cpu_s_per_gb"),
    ),
    "pause": (Column("until no byte arrives, s", "pause_s"),),
    "kill": (
        Column("sent at the kill, MiB", "at_kill_mib"),
        Column("sent again, MiB", "resent_mib"),
        Column("most in flight, MiB", "in_flight_mib"),
        Column("whole blocks sent again", "whole_blocks_again"),
        Column("second start to end, s", "second_life_s"),
    ),
    "loaded": (Column("PSS, MB", "loaded_pss_mb"), Column("bytes read from NFS / size", "nfs_read_over_size"), Column("MB/s", "mb_per_s")),
    "healthz": (
        Column("p50, ms", "healthz_p50_ms"),
        Column("p99, ms", "healthz_p99_ms"),
        Column("longest, ms", "healthz_max_ms"),
        Column("requests", "probes"),
    ),
    "idle": (Column("CPU, % of a core", "idle_cpu_percent"), Column("PSS, MB", "idle_pss_mb")),
    "latency": (
        Column("stable to committed p50, s", "stable_to_committed_p50_s"),
        Column("p99, s", "stable_to_committed_p99_s"),
        Column("claimed to committed p50, s", "claimed_to_committed_p50_s"),
        Column("written to committed p50, s", "written_to_committed_p50_s"),
    ),
}
#: File name, title, unit, key, cases.
PLOTS = (
    ("wall", "Wall time, less is better", "s", "wall_s", ("sink", "tls", "azurite", "uplink")),
    ("cpu", "CPU per GB, less is better", "CPU-s/GB", "cpu_s_per_gb", ("sink", "tls", "azurite")),
    ("small", "Small files, more is better", "files/s", "files_per_s", ("small",)),
    ("resume", "Sent again after a kill at half, less is better", "MiB", "resent_mib", ("kill",)),
    ("memory", "Memory with four files in flight, less is better", "MB PSS", "loaded_pss_mb", ("loaded",)),
)


def write(results: Results, cases: Sequence[Case], folder: Path) -> Path:
    """Returns the page's path. Plots of cases that were not measured are not written."""
    folder.mkdir(parents=True, exist_ok=True)
    titles = {case.name: case.title for case in cases}
    plots = list(_plots(results, titles, folder))
    page = folder / "benchmarks.md"
    page.write_text(
        "\n".join(
            [*_head(results), *_goals(results), *plots, *_tables(results, cases), *_failures(results), METHOD.read_text(), *_sizes(results)]
        )
        + "\n"
    )
    return page


def summary(results: Results, cases: Sequence[Case]) -> str:
    """The same tables, for the terminal."""
    return "\n".join([*_goals(results), *_tables(results, cases), *_failures(results)])


def _head(results: Results) -> Iterator[str]:
    yield from ("# Benchmarks", "", "Written by `make bench`, which measures nfsw and its peers side by side in one run.", "")
    yield from ("| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in results.machine.items()), "")


def _goals(results: Results) -> Iterator[str]:
    rows = [(goal, figure) for goal in GOALS if (figure := goal.figure(results))]
    if not rows:
        return
    yield from ("## Targets", "", "| what | target | median | least to greatest | |", "|---|---|---|---|---|")
    for goal, figure in rows:
        met = "met" if goal.is_met(figure) else "**missed**"
        yield f"| {goal.what} | {goal.target} | {number(figure.median)} | {number(figure.least)} to {number(figure.most)} | {met} |"
    yield ""


def _tables(results: Results, cases: Sequence[Case]) -> Iterator[str]:
    for case in cases:
        sides = results.sides(case.name)
        if not sides:
            continue
        columns = [column for column in COLUMNS[case.name] if any(results.values(case.name, side, column.key) for side in sides)]
        ratios = [column for column in columns if column.ratio and RIVAL in sides and len(sides) > 1]
        heads = [column.title for column in columns] + [f"{column.title}: ratio to {RIVAL}" for column in ratios]
        yield from (f"## {case.title}", "", f"| side | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|")
        for side in sides:
            cells = [_cell(results.spread(case.name, side, column.key)) for column in columns]
            cells += [_cell(results.ratio(case.name, column.key, side, RIVAL) if side != RIVAL else None) for column in ratios]
            yield f"| {side} | {' | '.join(cells)} |"
        yield from ("", f"Median of {len(_rounds(results, case.name))}, in brackets least to greatest.", "")


def _rounds(results: Results, case: str) -> set[int]:
    return {one.round for one in results.measurements if one.case == case}


def _cell(spread: Spread | None) -> str:
    if spread is None:
        return ""
    if number(spread.least) == number(spread.most):
        return number(spread.median)
    return f"{number(spread.median)} ({number(spread.least)} to {number(spread.most)})"


def _plots(results: Results, titles: dict[str, str], folder: Path) -> Iterator[str]:
    for name, title, unit, key, cases in PLOTS:
        groups = []
        for case in cases:
            order = sorted(results.sides(case), key=lambda side: side != OURS)
            spreads = {side: spread for side in order if (spread := results.spread(case, side, key))}
            if spreads:
                groups.append(Bars(titles[case], spreads))
        if groups:
            (folder / f"benchmarks-{name}.svg").write_text(draw(title, unit, groups))
            yield from (f"![{title}](benchmarks-{name}.svg)", "")


def _failures(results: Results) -> Iterator[str]:
    if results.failures:
        yield from (
            "## Runs that went wrong",
            "",
            *(f"- {failure}" for failure in results.failures),
            "",
            "They are in no figure above.",
            "",
        )


def _sizes(results: Results) -> Iterator[str]:
    yield from ("## Sizes in this run", "", *(f"- {line}" for line in results.sizes))
