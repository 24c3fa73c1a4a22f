"""What every tier of tests may ask for, and what holds for every run, however slow the machine is and however the run was started.

One Azurite serves the whole run. Every test has a container of its own, and a site of its own if it asks for one. A folder whose
site is another one (on a real mount, behind a proxy) says so in its own conftest.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

from tests.support import fuse
from tests.support.azurite import Endpoint, NoNode, azurite
from tests.support.blobs import Container
from tests.support.figures import Figure, figures_of
from tests.support.fuse import FaultyFileSystem
from tests.support.link import Link, link_to
from tests.support.ports import reserved_port
from tests.support.proxy import FaultProxy, fault_proxy
from tests.support.site import Site, site_in
from tests.support.uml_reporter import inside

#: What a test that asks for one of these needs, as a marker.
NEEDS = {"azurite": "azurite", "disk": "fuse", "staging_disk": "fuse"}


def pytest_configure() -> None:
    """A run that is told to end ends like one that is interrupted: its services and its Azurite are stopped.

    A shell without job control starts what runs in the background with SIGINT ignored, and programs inherit that. A handler is not
    inherited, so the programs that tests start can be interrupted however the run itself was started.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # How long an example takes depends on the machine and on what else runs there. `timeout` in pyproject.toml ends a hang.
    settings.register_profile("nfsw", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("nfsw")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.name.startswith("test_ground_"):
            item.add_marker(pytest.mark.ground)
        if isinstance(item, pytest.Function):
            for marker in {NEEDS[name] for name in item.fixturenames if name in NEEDS}:
                item.add_marker(marker)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not inside():  # a guest's figures are the host's to print
        figures_of(terminalreporter, Path(__file__).parent)


@pytest.fixture
def figure(record_property: Figure) -> Figure:
    """Notes a figure that the run prints at its end."""
    return record_property


@pytest.fixture(scope="session", name="azurite")
def _azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    try:
        with azurite(tmp_path_factory.mktemp("azurite")) as endpoint:
            yield endpoint
    except NoNode as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture
def container(azurite: Endpoint) -> Iterator[Container]:
    """Named, but not made yet: the service makes it."""
    own = Container(azurite, f"test-{uuid4().hex}")
    yield own
    own.close()


@pytest.fixture
def site(tmp_path: Path, azurite: Endpoint, container: Container) -> Iterator[Site]:
    """A share, staging, a container, and the services that the test starts on them."""
    with site_in(tmp_path, azurite, container) as own:
        yield own


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that goes away and comes back: nobody else gets it meanwhile."""
    with reserved_port() as own:
        yield own


@pytest.fixture
def link(azurite: Endpoint) -> Iterator[Link]:
    """The way to Azurite: slow, silent or cut when the test says so."""
    with link_to(azurite) as own:
        yield own


@pytest.fixture
def linked(tmp_path: Path, link: Link, container: Container) -> Iterator[Site]:
    """A site whose service reaches Azure through `link`; the test itself looks at Azure directly."""
    with site_in(tmp_path, link.endpoint, container) as own:
        yield own


@pytest.fixture
def proxy(azurite: Endpoint) -> Iterator[FaultProxy]:
    """In front of Azurite; it counts commits, and does what the test says."""
    with fault_proxy(azurite) as running:
        yield running


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FaultyFileSystem]:
    """A file system that hangs and fails on request."""
    if reason := fuse.unfit():
        pytest.skip(reason)
    with fuse.faulty_file_system(tmp_path / "disk") as mounted:
        yield mounted
