"""Several pods on one share and one container: real processes, each with a name, a port and staging of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pods.company import Company
from tests.support.azurite import Endpoint
from tests.support.blobs import Container
from tests.support.figures import Figure, figures_of
from tests.support.link import Link, link_to
from tests.support.proxy import FaultProxy, fault_proxy
from tests.support.site import site_in

HERE = Path(__file__).parent


@pytest.fixture
def proxy(azurite: Endpoint) -> Iterator[FaultProxy]:
    """In front of Azurite: it counts commits."""
    with fault_proxy(azurite) as running:
        yield running


@pytest.fixture
def link(proxy: FaultProxy) -> Iterator[Link]:
    """The pods' uplink."""
    with link_to(proxy.endpoint) as own:
        yield own


@pytest.fixture
def company(tmp_path: Path, link: Link, container: Container) -> Iterator[Company]:
    with site_in(tmp_path, link.endpoint, container) as site:
        yield Company(site)


@pytest.fixture
def figure(record_property: Figure) -> Figure:
    """Notes a figure that the run prints at its end."""
    return record_property


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures_of(terminalreporter, HERE)
