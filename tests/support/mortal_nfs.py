"""NFS calls during which something happens: the caller dies, a writer is quicker, the server says no."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nfsw.actors.call_board import CallBoard
from nfsw.actors.nfs import Nfs
from nfsw.actors.tree import NfsTree

type Happening = Callable[[], None]


class Killed(BaseException):
    """SIGKILL, for one actor."""


class EventfulNfs(Nfs):
    """Before its n-th call `before[n]` happens, after it `after[n]`, counted from 0. All may raise.

    `at[kind, path]` happens before the next call of that kind for that path below the root, once.
    """

    def __init__(self, tree: NfsTree, board: CallBoard) -> None:
        super().__init__(tree, board)
        self.calls: list[str] = []
        self.before: dict[int, Happening] = {}
        self.after: dict[int, Happening] = {}
        self.at: dict[tuple[str, str], Happening] = {}
        self.seen_as: str | None = None  # the kind of file system that it is taken for; None: for what it is

    def kind(self, device: int) -> str | None:
        return self.seen_as or super().kind(device)

    @contextmanager
    def call(self, what: str, path: str) -> Iterator[None]:
        number = len(self.calls)
        self.calls.append(what)
        if happening := self.before.get(number):
            happening()
        if happening := self.at.pop((what, self.tree.printable(path)), None):
            happening()
        with super().call(what, path):
            yield
        if happening := self.after.get(number):
            happening()


def killed() -> None:
    raise Killed


def refused(code: int) -> Happening:
    """The server answers with this error: before the call it did nothing, after it the call was done and its answer lost."""

    def raises() -> None:
        raise OSError(code, os.strerror(code))

    return raises


#: What may be said to any call, besides that there is nothing.
ERRORS = (errno.EIO, errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
