"""Writers of the simulation that leave a marker beside each file once it is complete, at once or some time later.

A name has one writer, who does not mark what it is changing again, and marks what it has changed in a claimed file. Drawn apart from
everything else, so that nothing else of a run depends on it.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.world import World

#: Seconds for which a file has to wait for its marker in vain before somebody makes it anew, once nothing goes wrong any more.
_PATIENCE_S = 120.0
#: So often, every two seconds, its marker has to be older by then.
_LOOKS = 15


class Markers:
    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._rng = random.Random(f"{seed} marks")
        self._to_come: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._with_marker: dict[tuple[str, str], set[bytes]] = defaultdict(set)  # what was marked, by session and name
        self._raced: set[int] = set()  # inodes that were put in place in the instant of a claim
        self._raced_contents: set[bytes] = set()
        self._older: dict[str, int] = defaultdict(int)  # how often a file was seen to have an older marker
        self._late: set[str] = set()  # markers that were made when their file was claimed already, which nobody can tell from others

    @property
    def suffix(self) -> str:
        return self._world.setting.done_suffix

    def is_marker(self, path: str) -> bool:
        return bool(self.suffix) and path.endswith(self.suffix)

    # --- What writers do ---

    def begins(self, session: str, name: str) -> None:
        """The writer makes its next version. A marker may have been left behind, by a crash or for a version that was replaced."""
        self.changes(session, name)
        if self.suffix and self._rng.random() < 0.3:
            marker = self._path(session, name) + self.suffix
            if os.path.isdir(os.path.dirname(marker)) and not os.path.exists(marker):
                self._touch(marker)
                self._world.files.ctimes[os.stat(marker).st_ino] -= 1

    def changes(self, session: str, name: str) -> None:
        """The writer does not mark what it has left before."""
        if task := self._to_come.pop((session, name), None):
            task.cancel()

    def left(self, session: str, name: str, inode: int, content: bytes, *, newest: bool, raced: bool, claimed: bool) -> None:
        """The writer has closed the file.

        `newest`: no other file was given the name since. `raced`: it got it in the instant of a claim. `claimed`: it has another by now.
        """
        if not self.suffix:
            return
        if not newest:
            self._with_marker[session, name].add(content)  # the marker is the newer one's
            return
        self.changes(session, name)
        if raced:
            self._raced.add(inode)
            self._raced_contents.add(content)
        if claimed or not self._is_at(self._path(session, name), inode):
            self._mark(session, name, inode, content)
            return
        delay = self._rng.choice((0.0, 0.0, 0.5, 8.0, 20.0))
        if not delay:
            self._mark(session, name, inode, content)
            return
        self._to_come[session, name] = asyncio.get_running_loop().create_task(
            self._later(delay, session, name, inode, content), name="marks"
        )

    def removed(self, session: str, name: str) -> None:
        """Somebody deletes the file: its marker goes first."""
        if self.suffix:
            self.changes(session, name)
            marker = self._path(session, name) + self.suffix
            if os.path.isfile(marker):
                os.unlink(marker)

    def raced(self, call: str, path: str) -> str | None:
        """The file in `incoming` that a writer replaces in the instant of the call: a link, or the displacement of a name."""
        if call == "rename" and "/incoming/" in path:
            return path.removesuffix(self.suffix) if not self.is_marker(path) or self._rng.random() < 0.5 else None
        key = self._world.key(path)
        if call == "link" and "/.processing/" in path and key and self.suffix and self._rng.random() < 0.3:
            return self._path(*key)
        return None

    async def finished(self) -> None:
        while tasks := [task for task in self._to_come.values() if not task.done()]:
            await asyncio.wait(tasks)

    def end(self) -> None:
        for task in self._to_come.values():
            task.cancel()

    def operate(self, waited_s: float) -> None:
        """What people do: make a marker anew if the status says that it is older than its file, remove one that came too late."""
        if not self.suffix or waited_s < _PATIENCE_S:
            return
        for marker in Path(self._world.nfs, "incoming").rglob(f"*{self.suffix}"):
            file = str(marker).removesuffix(self.suffix)
            if not os.path.exists(file) and str(marker) in self._late:
                self._world.event("operator", f"removes {marker}")
                marker.unlink()
                self._world.files.folder_changed(str(marker))
            elif os.path.isfile(file) and os.stat(file).st_ino in self._raced:
                ctimes = self._world.files.ctimes
                older = ctimes[os.stat(file).st_ino] > ctimes[os.stat(marker).st_ino]
                self._older[file] = self._older[file] + 1 if older else 0
                if self._older[file] > _LOOKS:
                    self._world.event("operator", f"makes {marker} anew")
                    self._touch(str(marker))

    # --- What must hold ---

    def committed(self, session: str, name: str, content: bytes) -> None:
        """Nothing is taken before its writer has said that it is complete."""
        if self.suffix and content not in self._with_marker[session, name] and content not in self._raced_contents:
            self._world.violated(f"{session}/{name} is committed with {len(content)} bytes that its writer has not marked")

    # ---

    async def _later(self, delay: float, session: str, name: str, inode: int, content: bytes) -> None:
        await asyncio.sleep(delay)
        if self._is_at(self._path(session, name), inode):
            self._mark(session, name, inode, content)
        else:
            self._world.event("writer", f"finds {session}/{name} taken before it was marked")

    def _mark(self, session: str, name: str, inode: int, content: bytes) -> None:
        if self._world.writers.has_open(inode):
            return  # whoever has it open marks it
        marker = self._path(session, name) + self.suffix
        if not os.path.isdir(os.path.dirname(marker)) or os.path.isdir(marker):
            return
        self._with_marker[session, name].add(content)
        if not self._is_at(self._path(session, name), inode):
            self._late.add(marker)
        self._touch(marker)
        self._world.event("writer", f"marks {session}/{name}: inode {os.stat(marker).st_ino}")

    def _touch(self, marker: str) -> None:
        made = not os.path.exists(marker)
        fd = os.open(marker, os.O_RDONLY | os.O_CREAT)
        self._world.files.stamp(fd)
        os.close(fd)
        if made:
            self._world.files.folder_changed(marker)

    def _is_at(self, path: str, inode: int) -> bool:
        return os.path.isfile(path) and os.stat(path).st_ino == inode

    def _path(self, session: str, name: str) -> str:
        return f"{self._world.nfs}/incoming/{session}/{name}"
