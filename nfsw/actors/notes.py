"""Notes: small files of ours on NFS, below `.nfsw`, each about one file. Keeper, Scanner and Collector processes."""

import os

from nfsw.actors.nfs import Nfs, is_gone


def write_note(nfs: Nfs, path: str, text: bytes) -> None:
    """Replaces what is there. It is on the server's disk when this returns. Raises OSError."""
    with nfs.call("write", path):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            os.write(fd, text)
            os.fsync(fd)  # a process that has to die must have nothing left to write to NFS
        finally:
            os.close(fd)


def read_note(nfs: Nfs, path: str, longest: int) -> bytes | None:
    """At most `longest` bytes; None: there is none. Raises OSError."""
    with nfs.call("open", path):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                return os.pread(fd, longest, 0)
            finally:
                os.close(fd)
        except OSError as error:
            if is_gone(error):
                return None
            raise
