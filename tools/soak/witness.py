"""The witness stands between the service and Azurite: each commit's bytes are read back before the service knows of it.

Content and stated MD5 of every blob are thus known at every moment, whoever wrote it and however often. Runs in the proxy's
loop; the reading in a thread beside it, one blob after the other.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from azure.core.exceptions import ResourceNotFoundError

from tests.support.blobs import Blob, Container
from tests.support.proxy_rules import Request
from tools.soak.book import Book, Name, State, Version

#: A commit's answer is held for at most this long while somebody is being killed, in seconds.
_HELD_S = 3.0


@dataclass(frozen=True, slots=True)
class Commit:
    blob: str
    version: Version | None  # None: bytes of a file that its writer was still at
    at: float  # seconds, monotonic


@dataclass(slots=True)
class Hold:
    """Keeps back the answer of the next commit of a blob whose name has `part` in it."""

    part: str
    taken: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    blob: str = ""


class Witness:
    """`seen` is called from the proxy's thread; all else may be asked for from any."""

    def __init__(self, container: Container, book: Book, complain: Callable[[str], None]) -> None:
        self._container = container
        self._book = book
        self._complain = complain
        self._reader = ThreadPoolExecutor(1, "witness")
        self._holds: list[Hold] = []
        self._newest: dict[str, int] = {}  # by blob: the highest version number that was committed
        self.commits: list[Commit] = []
        self.bytes = 0
        #: Commits of a version that had been committed before.
        self.repeated = 0
        #: Commits of bytes that were not final. Allowed as long as the final ones follow; the checker sees to that.
        self.early = 0

    async def seen(self, request: Request) -> None:
        if not request.commits:
            return
        await asyncio.get_running_loop().run_in_executor(self._reader, self._look, request.blob)
        for hold in [hold for hold in self._holds if hold.part in request.blob and not hold.taken.is_set()]:
            hold.blob = request.blob
            hold.taken.set()
            await asyncio.to_thread(hold.release.wait, _HELD_S)

    def hold_next(self, part: str) -> Hold:
        hold = Hold(part)
        self._holds.append(hold)
        return hold

    def call_off(self, hold: Hold) -> None:
        """What it keeps back goes on its way."""
        self._holds.remove(hold)
        hold.release.set()

    def catch_up(self) -> None:
        """Returns once every commit of before is known. One whose sender was killed may be recognised, and its source be gone, before."""
        self._reader.submit(lambda: None).result()

    def close(self) -> None:
        self._reader.shutdown()

    def _look(self, blob: str) -> None:
        with suppress(ResourceNotFoundError):
            self._commit(blob, self._container.read(blob))

    def _commit(self, path: str, blob: Blob) -> None:
        name = name_of(path)
        self.bytes += blob.content.size
        if blob.misstated:
            self._complain(f"{path}: {blob.misstated}")
        version = self._book.with_bytes(name, blob.content)
        self._book.note(f"committed {path}: {version or blob.content}")
        if version is None:
            self._unknown(path, name, blob)
        else:
            self._order(path, version)
            self.repeated += version.committed
            version.committed = True
        self.commits.append(Commit(path, version, time.monotonic()))

    def _unknown(self, path: str, name: Name, blob: Blob) -> None:
        """Bytes from the midst of a file's writing: no harm as long as the whole file is still to come."""
        self.early += 1
        owed = [version for version in self._book.versions(name) if version.state is State.WRITING or not version.committed]
        if not owed:
            self._complain(f"{path}: {blob.content.size} bytes that nobody wrote, and nothing is to follow")

    def _order(self, path: str, version: Version) -> None:
        newest = self._newest.setdefault(path, version.number)
        if version.number < newest:
            self._complain(f"{path}: version {newest} is overwritten by an older one: {version}")
        self._newest[path] = max(newest, version.number)


def name_of(blob: str) -> Name:
    """Session and file name: what follows the date."""
    _, session, name = blob.split("/", 2)
    return session, name
