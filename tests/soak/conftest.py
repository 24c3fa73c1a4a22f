"""The crash storm, and its harness: a checker that finds nothing proves something only if it finds what is wrong."""

from pathlib import Path

import pytest

from tests.support.figures import Figure, figures_of

HERE = Path(__file__).parent


@pytest.fixture
def figure(record_property: Figure) -> Figure:
    """Notes a figure that the run prints at its end."""
    return record_property


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures_of(terminalreporter, HERE)
