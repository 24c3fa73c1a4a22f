"""Blobs get the tier and the tags that are asked for, in one request and in blocks."""

import pytest

from tests.support.content import MIB, some_bytes
from tests.support.site import Site


@pytest.mark.parametrize("size", [10, 3 * MIB])
def test_a_blob_has_the_tier_and_the_tags_of_the_settings(site: Site, size: int) -> None:
    service = site.serve(
        APP_AZURE_TIER="Cool",
        APP_AZURE_TAGS="site=lab 1,run={session}",
        APP_AZURE_MAX_BLOCK_SIZE=str(MIB),
        APP_AZURE_MAX_SINGLE_PUT_SIZE="100",
    )
    service.start_session("run-7")
    site.write("run-7", "a.bin", some_bytes(1, size))
    site.has_arrived("run-7", "a.bin")
    [name] = site.container.names()
    assert site.container.labels(name) == ("Cool", {"site": "lab 1", "run": "run-7"})
