"""A service and its share, and the same share as another node has it. Runs in the guest."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from tests.support import uml
from tests.support.azurite import Endpoint
from tests.support.blobs import Container
from tests.support.content import Content
from tests.support.link import Link, link_to
from tests.support.service import Service
from tests.support.site import Site, site_in
from tests.support.uml_client import second_client


@dataclass(frozen=True, slots=True)
class Nodes:
    site: Site  # the test works at the server
    service: Service
    link: Link  # to Azure
    elsewhere: Path  # incoming/s, as the other node has it

    def in_azure(self, name: str) -> Content | None:
        """Of session `s`."""
        blobs = sorted(blob for blob in self.site.container.names() if blob.endswith(f"/s/{name}"))
        return self.site.container.read(blobs[-1]).content if blobs else None

    def states(self) -> dict[str, str]:
        """Of each file that is on its way."""
        return {flight["file"]: flight["state"] for flight in self.service.status()["in_flight"]}


@contextmanager
def two_nodes(folder: Path, endpoint: Endpoint, **settings: str) -> Iterator[Nodes]:
    """With session `s` active, and nothing in it."""
    name = f"nodes-{uuid4().hex[:8]}"
    (uml.MOUNT / name).mkdir()
    with ExitStack() as stack:
        mount = stack.enter_context(second_client())
        link = stack.enter_context(link_to(endpoint))
        container = stack.enter_context(closing(Container(endpoint, name)))
        share, seen_at = uml.EXPORT / name, uml.MOUNT / name
        site = stack.enter_context(site_in(folder, link.endpoint, container, nfs=share, seen_at=seen_at))
        service = site.serve(**settings)
        service.start_session("s")
        site.incoming("s")
        yield Nodes(site, service, link, mount / name / "incoming/s")
