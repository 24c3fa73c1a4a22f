"""The folders below one folder, one after the other: how a tree is looked at, tidied up and refused. NFS processes.

A walk keeps the folders that are still to come in a list of its own, so that no depth of a tree takes a stack, and enters real folders
only: never what a symbolic link leads to, so that there are no loops. `everything` is for folders of ours, whose names were looked at
when their files were claimed. `WritersWalk` is for `incoming`, where anything may lie.
"""

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from nfsw.actors.names import folder_refusal, for_message, is_hidden
from nfsw.actors.nfs import Nfs, describe

#: So many folders may lie inside one another below a session's. Recordings have two or three. Each one costs calls when a file is claimed,
#: and a tree that is made deeper and deeper must come to an end somewhere. Azure's limit is 254.
DEEPEST = 32

_FORBIDDEN = (errno.EACCES, errno.EPERM)


class WalkedFolder(NamedTuple):
    """A folder of a walk."""

    path: str
    below: str = ""  # its path below the top, with a slash at its end; empty: the top itself

    @property
    def depth(self) -> int:
        return self.below.count("/")


class FolderWalk:
    """Each folder before those in it, in the order in which they are listed. Whoever takes one with `next` lists it and calls `enter`."""

    def __init__(self, top: str) -> None:
        self._to_come = [WalkedFolder(top)]

    def next(self) -> WalkedFolder | None:
        """None: there are no more."""
        return self._to_come.pop() if self._to_come else None

    @property
    def is_done(self) -> bool:
        return not self._to_come

    def enter(self, place: WalkedFolder, entries: "Iterable[os.DirEntry[str]]") -> None:
        """`entries`: those of `place`, or those of them that are no files."""
        inside = [WalkedFolder(entry.path, f"{place.below}{entry.name}/") for entry in entries if self.may_enter(place, entry)]
        self._to_come += reversed(inside)

    def may_enter(self, place: WalkedFolder, entry: "os.DirEntry[str]") -> bool:
        """Whether the entry of `place` is a folder that the walk goes on to."""
        name = entry.name
        return entry.is_dir(follow_symlinks=False) and not is_hidden(name) and name == for_message(name) and place.depth < DEEPEST


class WritersWalk(FolderWalk):
    """Through a session's folder in `incoming`. `refuse` is told the path below the session's folder and why it is not entered."""

    def __init__(self, nfs: Nfs, session: str, refuse: Callable[[str, str], None]) -> None:
        super().__init__(nfs.tree.incoming(session))
        self._nfs = nfs
        self._prefix = f"00000000/{session}/"  # of the names of its blobs; a stand-in for the date, which is not known yet
        self._refuse = refuse
        self._device: tuple[int, int] | None = None  # of the top

    def may_enter(self, place: WalkedFolder, entry: "os.DirEntry[str]") -> bool:
        if is_hidden(entry.name) or entry.is_file(follow_symlinks=False):
            return False
        folder = entry.is_dir(follow_symlinks=False)
        if not folder and not entry.is_symlink():
            return False  # a FIFO, a socket or a device
        reason = self._obstacle(place, entry) if folder else "it is a symbolic link, which is not followed"
        if reason:
            self._refuse(place.below + entry.name, reason)
        return reason is None

    def cannot_list(self, place: WalkedFolder, error: OSError) -> bool:
        """Whether the folder is refused because nobody lets us look into it. The session's own is not for us to refuse."""
        forbidden = bool(place.below) and error.errno in _FORBIDDEN
        if forbidden:
            self._refuse(place.below.removesuffix("/"), f"the folder cannot be read: {describe(error)}")
        return forbidden

    def _obstacle(self, place: WalkedFolder, entry: "os.DirEntry[str]") -> str | None:
        """Why the folder is not entered."""
        if place.depth >= DEEPEST:
            return f"it is a folder below {DEEPEST} others; no more are gone into"
        if reason := folder_refusal(entry.name, self._prefix + place.below):
            return reason
        try:
            seen = self._nfs.look(f"{entry.path}/.")  # which takes the right to use what is in it
        except OSError as error:
            return f"the folder cannot be read: {describe(error)}" if error.errno in _FORBIDDEN else None  # else its listing says it
        if seen and (seen.mount_root or seen.device != self._top_device()):
            return "another file system is mounted there: a file cannot be claimed across its border"
        return None

    def _top_device(self) -> tuple[int, int] | None:
        if self._device is None and (seen := self._nfs.look(self._nfs.tree.incoming(self._prefix.split("/")[1]))):
            self._device = seen.device
        return self._device


def _raise(error: OSError) -> None:
    raise error


def everything(nfs: Nfs, top: str, note: Callable[[OSError], None] = _raise) -> "Iterator[tuple[WalkedFolder, list[os.DirEntry[str]]]]":
    """Each folder with its entries, `top` first, which need not be there. Raises OSError for `top`; `note` is told of those inside."""
    walk = FolderWalk(top)
    while place := walk.next():
        try:
            entries = nfs.listing(place.path)
        except OSError as error:
            if not place.below:
                raise
            note(error)
            continue
        yield place, entries
        walk.enter(place, entries)


def remove_empty(nfs: Nfs, top: str) -> bool:
    """Removes each folder in `top` that holds nothing else, then `top` if it is empty. Returns whether it is gone. Raises OSError."""
    if nfs.remove_folder(top):
        return True
    inside = [place.path for place, _ in everything(nfs, top, lambda _: None) if place.below]
    for path in reversed(inside):
        nfs.remove_folder(path)
    return bool(inside) and nfs.remove_folder(top)
