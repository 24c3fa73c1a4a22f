"""Figures that a test measures, printed once at the end of the run: what a closing note quotes."""

from collections.abc import Callable
from pathlib import Path

import pytest

type Figure = Callable[[str, object], None]


def figures_of(terminal: pytest.TerminalReporter, folder: Path) -> None:
    """Prints what the tests below `folder` noted with `record_property`."""
    prefix = folder.relative_to(terminal.config.rootpath).as_posix() + "/"
    noted = [
        (report.nodeid.removeprefix(prefix), name, value)
        for outcome in ("passed", "failed")
        for report in terminal.getreports(outcome)
        if isinstance(report, pytest.TestReport) and report.when == "call" and report.nodeid.startswith(prefix)
        for name, value in report.user_properties
    ]
    if noted:
        terminal.section(f"figures of {prefix}")
    for node, name, value in noted:
        terminal.line(f"{node}: {name} = {value}")
