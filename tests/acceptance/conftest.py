"""A site for each test: share, staging, container, and the services that the test starts on them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.azurite import Endpoint
from tests.support.blobs import Container
from tests.support.figures import Figure, figures_of
from tests.support.link import Link, link_to
from tests.support.site import Site, site_in


@pytest.fixture
def site(tmp_path: Path, azurite: Endpoint, container: Container) -> Iterator[Site]:
    with site_in(tmp_path, azurite, container) as own:
        yield own


@pytest.fixture
def link(azurite: Endpoint) -> Iterator[Link]:
    with link_to(azurite) as own:
        yield own


@pytest.fixture
def linked(tmp_path: Path, link: Link, container: Container) -> Iterator[Site]:
    """A site whose service reaches Azure through `link`; the test itself looks at Azure directly."""
    with site_in(tmp_path, link.endpoint, container) as own:
        yield own


@pytest.fixture
def figure(record_property: Figure) -> Figure:
    """Notes a figure that the run prints at its end."""
    return record_property


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures_of(terminalreporter, Path(__file__).parent)
