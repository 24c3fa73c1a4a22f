"""A service whose telemetry goes to a collector that the test reads."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.azurite import Endpoint
from tests.support.blobs import Container
from tests.support.link import Link, link_to
from tests.support.otlp import Collector, collector
from tests.support.site import Site, site_in


@pytest.fixture(name="collector")
def _collector() -> Iterator[Collector]:
    with collector() as running:
        yield running


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
    """A site whose service reaches Azure through `link`."""
    with site_in(tmp_path, link.endpoint, container) as own:
        yield own
