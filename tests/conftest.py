"""What every tier of tests may ask for: one Azurite for the whole run, a container of its own for each test.

And what holds for every run, however slow the machine is and however the run was started.
"""

import os
import signal
from collections.abc import Iterator
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

from tests.support.azurite import Endpoint, NoNode, azurite
from tests.support.blobs import Container


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
        if isinstance(item, pytest.Function) and "azurite" in item.fixturenames:
            item.add_marker(pytest.mark.azurite)


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
