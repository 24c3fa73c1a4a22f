"""A second NFS client in the guest: another node, as far as the server and the first client can tell. Runs in the guest.

A client is told from another by the name of its node and by the address of the server it asks. Both are others here, so that the
kernel has two clients with their own caches, their own state at the server and no way past it to each other's data.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.uml import EXPORT

#: Where the second client has the export.
WRITER = EXPORT.parent / "writer"

#: The server's other address, and the mount options of the manifests.
_MOUNT = f"hostname writer && mount -t nfs4 -o hard,nfsvers=4.1,nosharecache,actimeo=5,rsize=1048576,wsize=1048576 127.0.0.2:/ {WRITER}"


@contextlib.contextmanager
def second_client() -> Iterator[Path]:
    """Mounts it, and yields the folder. It must be gone before the server goes away: one that is idle keeps the grace period going."""
    WRITER.mkdir(exist_ok=True)
    _run("unshare", "--uts", "sh", "-c", _MOUNT)
    try:
        yield WRITER
    finally:
        _run("umount", str(WRITER))


@contextlib.contextmanager
def writeback(expire_s: float, every_s: float) -> Iterator[None]:
    """How long the clients of this kernel may keep what was written, and how often they look; 30 and 5 seconds are usual."""
    settings = {Path("/proc/sys/vm/dirty_expire_centisecs"): expire_s, Path("/proc/sys/vm/dirty_writeback_centisecs"): every_s}
    before = {path: path.read_text() for path in settings}
    for path, seconds in settings.items():
        path.write_text(str(round(seconds * 100)))
    try:
        yield
    finally:
        for path, value in before.items():
            path.write_text(value)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
