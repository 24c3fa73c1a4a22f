"""A site whose share the service sees through a file system that can fail, while the test works behind it and never hangs.

For the service the test is what another NFS client is: its files appear and vanish at the server.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.azurite import Endpoint
from tests.support.blobs import Container
from tests.support.site import Site


class SeenThrough(Site):
    """`behind` is the test's way to the share, `seen_at` the service's."""

    def __init__(self, folder: Path, endpoint: Endpoint, container: Container, *, behind: Path, seen_at: Path) -> None:
        super().__init__(folder, endpoint, container)
        self.nfs = behind
        self.seen_at = seen_at

    def settings(self, **changes: str) -> dict[str, str]:
        return super().settings(**{"APP_NFS_ROOT": str(self.seen_at), **changes})


@contextmanager
def site_seen_through(folder: Path, endpoint: Endpoint, container: Container, *, behind: Path, seen_at: Path) -> Iterator[SeenThrough]:
    folder.mkdir(parents=True, exist_ok=True)
    site = SeenThrough(folder, endpoint, container, behind=behind, seen_at=seen_at)
    try:
        yield site
    finally:
        site.close()
