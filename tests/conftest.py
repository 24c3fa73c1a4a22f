"""What every tier of tests may ask for, and what holds for every run, however slow the machine is and however the run was started.

One Azurite serves the whole run. Every test has a container of its own, and a site of its own if it asks for one. To start a service
takes 1.5 s of a processor: tests that leave it as they found it share one (`module_site`). Only tests/nfs has another site, on its mount.
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
from tests.support.azurite import azurite as start_azurite
from tests.support.blobs import Container
from tests.support.certificate import issue
from tests.support.figures import Figure, figures_of
from tests.support.fuse import FaultyFileSystem
from tests.support.identity import Identity, identity_endpoint
from tests.support.link import Link, link_to
from tests.support.otlp import Collector, collector
from tests.support.ports import reserved_port
from tests.support.proxy import FaultProxy, fault_proxy
from tests.support.site import Site, site_in
from tests.support.uml_reporter import inside

HERE = Path(__file__).parent
#: The files that take longest. Where several run at a time these come first, so that none of them is left alone at the end. Those that
#: wait most of the time and those that compute take turns.
LONGEST = (
    "nfs/test_service_outages.py",
    "faults/test_azure.py",
    "nfs/test_second_client.py",
    "acceptance/test_sessions.py",
    "pods/test_ownership.py",
    "doctor/test_broken.py",
    "faults/test_unkillable.py",
    "soak/test_soak.py",
    "telemetry/test_collectors.py",
    "acceptance/test_uplink.py",
    "simulation/test_simulation.py",
    "nfs/test_service_endings.py",
    "acceptance/test_retention.py",
    "acceptance/test_kills.py",
    "doctor/test_healthy.py",
    "pods/test_sharing.py",
    "faults/test_disks.py",
)
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

    if "PYTEST_XDIST_WORKER" in os.environ:
        order = {HERE / name: place for place, name in enumerate(LONGEST)}
        items.sort(key=lambda item: order.get(item.path, len(order)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not inside():  # a guest's figures are the host's to print
        figures_of(terminalreporter, HERE)


@pytest.fixture
def figure(record_property: Figure) -> Figure:
    """Notes a figure that the run prints at its end. As text: that is what every way to the end of the run can carry."""
    return lambda name, value: record_property(name, str(value))


# --- Azure, and the ways to it


@pytest.fixture(scope="session", name="azurite")
def _azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    try:
        with azurite(tmp_path_factory.mktemp("azurite")) as endpoint:
            yield endpoint
    except NoNode as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, azurite: Endpoint) -> Iterator[Endpoint]:
    """An Azurite that takes tokens, over https. It depends on the common one for its way to skip where there is no Node."""
    folder = tmp_path_factory.mktemp("secured")
    with start_azurite(folder / "azurite", issue(folder)) as endpoint:
        yield endpoint


@pytest.fixture
def identity() -> Iterator[Identity]:
    """The token endpoint of a managed identity."""
    with identity_endpoint() as own:
        yield own


@pytest.fixture
def container(azurite: Endpoint) -> Iterator[Container]:
    """Named, but not made yet: the service makes it."""
    own = Container(azurite, f"test-{uuid4().hex}")
    yield own
    own.close()


@pytest.fixture
def proxy(azurite: Endpoint) -> Iterator[FaultProxy]:
    """In front of Azurite; it counts commits, and does what the test says."""
    with fault_proxy(azurite) as running:
        yield running


@pytest.fixture
def way(request: pytest.FixtureRequest, azurite: Endpoint) -> Endpoint:
    """By which the service reaches Azure: through the proxy, if the test asks for one. The test itself looks at Azure directly."""
    if "proxy" not in request.fixturenames:
        return azurite
    proxy: FaultProxy = request.getfixturevalue("proxy")
    return proxy.endpoint


@pytest.fixture
def link(way: Endpoint) -> Iterator[Link]:
    """The uplink: slow, silent or cut when the test says so."""
    with link_to(way) as own:
        yield own


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that goes away and comes back: nobody else gets it meanwhile."""
    with reserved_port() as own:
        yield own


@pytest.fixture(name="collector")
def _collector() -> Iterator[Collector]:
    """Of telemetry, for the test to read."""
    with collector() as running:
        yield running


# --- A share, staging, a container, and the services that the test starts on them


@pytest.fixture
def site(tmp_path: Path, way: Endpoint, container: Container) -> Iterator[Site]:
    with site_in(tmp_path, way, container) as own:
        yield own


@pytest.fixture(scope="module")
def module_site(tmp_path_factory: pytest.TempPathFactory, azurite: Endpoint) -> Iterator[Site]:
    """One for all tests of a file, with the services that they share."""
    container = Container(azurite, f"module-{uuid4().hex}")
    with site_in(tmp_path_factory.mktemp("site"), azurite, container) as own:
        yield own
    container.close()


@pytest.fixture
def linked(tmp_path: Path, link: Link, container: Container) -> Iterator[Site]:
    """A site whose service reaches Azure through `link`."""
    with site_in(tmp_path, link.endpoint, container) as own:
        yield own


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FaultyFileSystem]:
    """A file system that hangs and fails on request."""
    if reason := fuse.unfit():
        pytest.skip(reason)
    with fuse.faulty_file_system(tmp_path / "disk") as mounted:
        yield mounted


@pytest.fixture
def shaky(tmp_path: Path, disk: FaultyFileSystem, way: Endpoint, container: Container) -> Iterator[Site]:
    """A site whose share lies on the faulty file system for the service; the test works behind it."""
    with site_in(tmp_path / "site", way, container, nfs=disk.behind, seen_at=disk.mount) as own:
        yield own
