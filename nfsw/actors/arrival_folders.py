"""The folders of the active session in `incoming`: which of them the Scanner looks at, and which are refused. Scanner process.

Without `APP_RECURSIVE` that is the session's own folder alone. With it, one scan looks at so many folders and the next one goes on from
there, so that a tree of any size holds up neither what was claimed nor the sessions. A folder that is refused keeps no other from
being looked at, and what becomes of a refusal is known once a walk has come by all folders.
"""

import logging
import os
from collections.abc import Iterable

from nfsw.actors.actor import Tell
from nfsw.actors.files import Arrival
from nfsw.actors.folder_walk import FolderWalk, WalkedFolder, WritersWalk
from nfsw.actors.logs import about
from nfsw.actors.messages import FileRefused, RefusalLifted
from nfsw.actors.names import for_message
from nfsw.actors.nfs import Nfs

log = logging.getLogger("nfsw.scanner")

#: Folders that one scan looks at: each one costs a few calls, so a scan of these takes about as long as a poll interval at most.
FOLDERS_A_SCAN = 2_000
#: Folders and links that are refused by name. The status lists no more than these; the others stay where they are all the same.
MOST_REFUSED = 1_000


class ArrivalFolders:
    def __init__(self, nfs: Nfs, *, recursive: bool) -> None:
        self._nfs = nfs
        self._recursive = recursive
        self._session = ""
        self._walk: FolderWalk | None = None  # one that is not at its end
        self._left = 0  # folders that this scan may still look at
        self._passed: set[str] = set()  # paths of the folders that this walk has come by
        self._refused: dict[str, str] = {}  # by path below the session's folder: why
        self._refused_now: set[str] = set()  # those that this walk has come by
        self._tell: Tell

    def begin(self, session: str | None, tell: Tell) -> None:
        """A scan begins. `session`: the active one."""
        self._tell, self._left = tell, FOLDERS_A_SCAN
        if session != self._session:
            self._lift(list(self._refused))
            self._session, self._walk = session or "", None
        if session and self._walk is None:
            self._walk = WritersWalk(self._nfs, session, self._refuse) if self._recursive else FolderWalk(self._nfs.tree.incoming(session))
            self._passed.clear()
            self._refused_now.clear()

    def next(self) -> WalkedFolder | None:
        """The next folder of this scan."""
        if self._walk is None or self._left == 0 or (place := self._walk.next()) is None:
            return None
        self._left -= 1
        self._passed.add(place.path)
        return place

    def enter(self, place: WalkedFolder, others: "Iterable[os.DirEntry[str]]") -> None:
        """`others`: the entries of `place` that are no files."""
        if self._recursive and self._walk:
            self._walk.enter(place, others)

    def cannot_list(self, place: WalkedFolder, error: OSError) -> bool:
        """Whether the folder is refused for it."""
        return isinstance(self._walk, WritersWalk) and self._walk.cannot_list(place, error)

    def end(self, known: Iterable[str]) -> list[str]:
        """The scan is done. Returns which of the `known` folders are gone, as far as that can be told."""
        if self._walk is None or not self._walk.is_done:
            return []
        self._walk = None
        self._lift([name for name in self._refused if name not in self._refused_now])
        return [path for path in known if path not in self._passed]

    def _refuse(self, name: str, reason: str) -> None:
        if name not in self._refused and len(self._refused) >= MOST_REFUSED:
            return
        self._refused_now.add(name)
        if self._refused.get(name) != reason:
            self._refused[name] = reason
            log.warning("refused: %s", reason, extra=about(self._session, name, "refuse"))
            self._tell(FileRefused(Arrival(self._session, for_message(name)), reason))

    def _lift(self, names: list[str]) -> None:
        for name in names:
            del self._refused[name]
            self._tell(RefusalLifted(Arrival(self._session, for_message(name))))
