"""A share, a staging folder and a board for one actor."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nfsw.actors.call_board import CallBoard
from nfsw.actors.nfs import Nfs
from nfsw.actors.tree import NfsTree, StagingTree
from tests.support.claiming import Scene, Scenes
from tests.support.faketime import FakeClock
from tests.support.mortal_nfs import EventfulNfs
from tests.support.share import Share
from tests.support.told import Told
from tests.support.watching import Watching

SLOTS = 8


@pytest.fixture
def share(tmp_path: Path) -> Share:
    root = tmp_path / "nfs"
    root.mkdir()
    return Share(root)


@pytest.fixture
def tree(share: Share) -> NfsTree:
    return NfsTree(str(share.root))


@pytest.fixture
def staging(tmp_path: Path) -> StagingTree:
    return StagingTree(str(tmp_path / "staging"))


@pytest.fixture
def board() -> Iterator[CallBoard]:
    fd = CallBoard.create(SLOTS)
    board = CallBoard(fd, SLOTS)
    os.close(fd)
    yield board
    board.close()


@pytest.fixture
def nfs(tree: NfsTree, board: CallBoard) -> Nfs:
    return Nfs(tree, board)


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    with FakeClock() as clock:
        yield clock


@pytest.fixture
def watching(tree: NfsTree, board: CallBoard, clock: FakeClock) -> Watching:
    return Watching(tree.root, board, clock)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def scenes(share: Share, tree: NfsTree, board: CallBoard) -> Scenes:
    """A share with one arrival in it, as often as asked for."""

    def scene() -> Scene:
        assert share.files() == {}, "the scene before left something"
        share.written(share.incoming("a"), b"first")
        return share, EventfulNfs(tree, board)

    return scene


@pytest.fixture
def scene(scenes: Scenes) -> Scene:
    return scenes()
