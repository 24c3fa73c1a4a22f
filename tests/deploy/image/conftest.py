"""The built image. scripts/image-test builds it and names it in NFSW_IMAGE; without that there is nothing here to run."""

import os
from collections.abc import Iterator

import pytest

from tests.deploy.image.container import Container
from tests.support.site import Site

collect_ignore_glob = [] if "NFSW_IMAGE" in os.environ else ["test_*.py"]


@pytest.fixture(scope="session")
def image() -> str:
    return os.environ["NFSW_IMAGE"]


@pytest.fixture
def running(image: str, site: Site) -> Iterator[Container]:
    """Started with the pod's rights, ready, and removed afterwards."""
    with Container(image, site) as own:
        own.ready()
        yield own
