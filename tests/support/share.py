"""Files on a share for tests of one actor: a writer's moves, and what is there, read without the service's code."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from nfsw.actors.files import Fingerprint

DATE = "20260131"


class Share:
    """`root` is what an actor knows as APP_NFS_ROOT."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def incoming(self, name: str, session: str = "s") -> Path:
        return self.root / "incoming" / session / name

    def claimed(self, name: str, session: str = "s", date: str = DATE) -> Path:
        return self.root / ".processing" / date / session / name

    def written(self, path: Path, content: bytes = b"content") -> Fingerprint:
        """By a writer that opens the name and writes: a file that is there keeps its inode."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return fingerprint(path)

    def replaced(self, path: Path, content: bytes) -> Fingerprint:
        """By a writer that makes its file elsewhere and moves it into place: another inode."""
        made = self.root / f"made by a writer, {len(content)}"
        made.write_bytes(content)
        made.rename(path)
        return fingerprint(path)

    def files(self) -> dict[str, bytes]:
        """Every file below the root by its path, lock files left out."""
        return {path: (self.root / path).read_bytes() for path in self._files() if not path.startswith(".nfsw/sessions/")}

    def folders(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_dir()}

    def _files(self) -> Iterator[str]:
        for path in sorted(self.root.rglob("*")):
            if stat.S_ISREG(path.lstat().st_mode):
                yield str(path.relative_to(self.root))


def fingerprint(path: Path) -> Fingerprint:
    """As lstat(2) has it."""
    status = os.lstat(path)
    return Fingerprint(status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns)
