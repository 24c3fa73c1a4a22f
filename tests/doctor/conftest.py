"""A box for the doctor to look at: a share, staging, and a container at Azurite."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import fuse
from tests.support.azurite import Endpoint
from tests.support.blobs import Container
from tests.support.fuse import FaultyFileSystem
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
def disk(tmp_path: Path) -> Iterator[FaultyFileSystem]:
    if reason := fuse.unfit():
        pytest.skip(reason)
    with fuse.faulty_file_system(tmp_path / "disk") as mounted:
        yield mounted


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and "disk" in item.fixturenames:
            item.add_marker(pytest.mark.fuse)
