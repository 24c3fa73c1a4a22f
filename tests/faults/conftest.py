"""Faults of disks and of Azure, against the whole service from outside."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import fuse
from tests.support.azurite import Endpoint
from tests.support.blobs import Container
from tests.support.figures import Figure, figures_of
from tests.support.fuse import FaultyFileSystem
from tests.support.proxy import FaultProxy, fault_proxy
from tests.support.seen_through import SeenThrough, site_seen_through
from tests.support.site import Site, site_in

HERE = Path(__file__).parent


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FaultyFileSystem]:
    """A file system that hangs and fails on request."""
    if reason := fuse.unfit():
        pytest.skip(reason)
    with fuse.faulty_file_system(tmp_path / "disk") as mounted:
        yield mounted


@pytest.fixture
def proxy(azurite: Endpoint) -> Iterator[FaultProxy]:
    """In front of Azurite; it does what the test says."""
    with fault_proxy(azurite) as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, proxy: FaultProxy, container: Container) -> Iterator[Site]:
    """The service reaches Azure through the proxy; the test itself looks at Azure directly."""
    with site_in(_made(tmp_path / "site"), proxy.endpoint, container) as own:
        yield own


@pytest.fixture
def shaky(tmp_path: Path, disk: FaultyFileSystem, proxy: FaultProxy, container: Container) -> Iterator[SeenThrough]:
    """The service's share lies on the faulty file system, the test works behind it; Azure is behind the proxy."""
    with site_seen_through(tmp_path / "site", proxy.endpoint, container, behind=disk.behind, seen_at=disk.mount) as own:
        yield own


@pytest.fixture
def figure(record_property: Figure) -> Figure:
    """Notes a figure that the run prints at its end."""
    return record_property


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures_of(terminalreporter, HERE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and {"disk", "staging_disk"} & set(item.fixturenames):
            item.add_marker(pytest.mark.fuse)
