"""Faults of disks and of Azure, against the whole service from outside. Azure is always behind the fault proxy here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.blobs import Container
from tests.support.fuse import FaultyFileSystem
from tests.support.proxy import FaultProxy
from tests.support.seen_through import SeenThrough, site_seen_through
from tests.support.site import Site, site_in


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


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
