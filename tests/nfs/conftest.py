"""The tests of this folder run in a user-mode Linux guest, on a real NFSv4.1 hard mount. On the host they are only collected."""

import contextlib
import hashlib
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import uml
from tests.support.azurite import Endpoint
from tests.support.blobs import Container
from tests.support.link import Link
from tests.support.site import Site, site_in
from tests.support.uml_items import RemoteItems
from tests.support.uml_reporter import inside

HERE = Path(__file__).parent
#: Minutes long: run by targets of their own, which set these variables.
_LONG = {"test_service_soak.py": "NFSW_NFS_SOAK", "test_second_client_figures.py": "NFSW_NFS_FIGURES"}
collect_ignore = [name for name, variable in _LONG.items() if variable not in os.environ]

_remote = pytest.StashKey[dict[str, RemoteItems]]()
_undo = pytest.StashKey[contextlib.ExitStack]()


@dataclass(frozen=True, slots=True)
class Place:
    """One folder, seen from both sides."""

    mount: Path  # as a client has it
    export: Path  # as the server has it, with no NFS in between


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Place:
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:12]  # short: a path of the service comes after it
    place = Place(uml.MOUNT / name, uml.EXPORT / name)
    place.mount.mkdir()
    return place


@pytest.fixture
def site(place: Place, tmp_path: Path, azurite: Endpoint, container: Container) -> Iterator[Site]:
    """The service works on the mount, the test at the server: what it does there never hangs."""
    with site_in(tmp_path / "site", azurite, container, nfs=place.export, seen_at=place.mount) as own:
        yield own


@pytest.fixture
def linked(place: Place, tmp_path: Path, link: Link, container: Container) -> Iterator[Site]:
    """The same, and the service reaches Azure through `link`."""
    with site_in(tmp_path / "site", link.endpoint, container, nfs=place.export, seen_at=place.mount) as own:
        yield own


def _ours(item: pytest.Item) -> bool:
    return not inside() and item.path.is_relative_to(HERE)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_undo] = contextlib.ExitStack()


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_undo].close()


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.nfs)
    yield  # here `-m` and `-k` choose
    ours = [item for item in items if _ours(item)]
    if reason := uml.unfit():
        for item in ours:
            item.add_marker(pytest.mark.skip(reason=reason))
        return
    guests: dict[str, list[str]] = {}
    for item in ours:
        guests.setdefault(_guest_of(item), []).append(item.nodeid)
    config.stash[_remote] = {name: config.stash[_undo].enter_context(RemoteItems(config, nodes)) for name, nodes in guests.items()}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    if not _ours(item) or _remote not in item.config.stash:
        return None
    item.config.stash[_remote][_guest_of(item)].run(item)
    return True


def _guest_of(item: pytest.Item) -> str:
    """One guest for all of them; one for each file where pytest-xdist gives each file to one of its workers."""
    return str(item.path) if "PYTEST_XDIST_WORKER" in os.environ else "all"
