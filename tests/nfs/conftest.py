"""The tests of this folder run in a user-mode Linux guest, on a real NFSv4.1 hard mount. On the host they are only collected."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import uml
from tests.support.figures import Figure, figures_of
from tests.support.uml_items import RemoteItems
from tests.support.uml_reporter import inside

HERE = Path(__file__).parent

_remote = pytest.StashKey[RemoteItems]()
_undo = pytest.StashKey[contextlib.ExitStack]()


@dataclass(frozen=True, slots=True)
class Place:
    """One folder, seen from both sides."""

    mount: Path  # as a client has it
    export: Path  # as the server has it, with no NFS in between


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Place:
    name = request.node.name
    place = Place(uml.MOUNT / name, uml.EXPORT / name)
    place.mount.mkdir()
    return place


@pytest.fixture
def figure(record_property: Figure) -> Figure:
    """Notes a figure that the run prints at its end."""
    return record_property


def _ours(item: pytest.Item) -> bool:
    return not inside() and item.path.is_relative_to(HERE)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_undo] = contextlib.ExitStack()


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_undo].close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not inside():
        figures_of(terminalreporter, HERE)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.nfs)
    ours = [item for item in items if _ours(item)]
    if reason := uml.unfit():
        for item in ours:
            item.add_marker(pytest.mark.skip(reason=reason))
    elif ours:
        config.stash[_remote] = config.stash[_undo].enter_context(RemoteItems(config, [item.nodeid for item in ours]))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    if not _ours(item) or _remote not in item.config.stash:
        return None
    item.config.stash[_remote].run(item)
    return True
