"""Several pods on one share and one container: real processes, each with a name, a port and staging of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pods.company import Company
from tests.support.blobs import Container
from tests.support.link import Link, link_to
from tests.support.proxy import FaultProxy
from tests.support.site import site_in


@pytest.fixture
def link(proxy: FaultProxy) -> Iterator[Link]:
    """The pods' uplink: through the proxy, which counts commits."""
    with link_to(proxy.endpoint) as own:
        yield own


@pytest.fixture
def company(tmp_path: Path, link: Link, container: Container) -> Iterator[Company]:
    with site_in(tmp_path, link.endpoint, container) as site:
        yield Company(site)
