"""Errors of file system calls, and what to do about them. Any child of the doctor."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from nfsw.actors.mount import Mount, UnknownMount, mount_of
from nfsw.actors.nfs import said
from nfsw.doctor.finding import Verdict, Wrong


@contextmanager
def translated(what: str) -> Iterator[None]:
    """`what`: what an error in here means."""
    try:
        yield
    except OSError as error:
        raise Wrong(f"{what}: {said(error)}", remedy(error)) from error


def remedy(error: OSError) -> str:
    match error.errno:
        case errno.EACCES | errno.EPERM:
            return f"give user {os.geteuid()} read and write permission there (chown, chmod); on NFS also export it with no_root_squash"
        case errno.EROFS:
            return "mount and export it with rw"
        case errno.ENOSPC | errno.EDQUOT:
            return "free space there, or raise the quota"
        case errno.ESTALE:
            return "mount it again: the server no longer knows this mount"
        case errno.EOPNOTSUPP | errno.ENOSYS | errno.ENOLCK | errno.EXDEV:
            return "use an export of a Linux file system such as ext4 or XFS over NFSv4.1"
        case _:
            return "check the server, and the kernel's messages on this node (dmesg)"


def known_mount(folder: str) -> Mount:
    """The mount that `folder` lies on. Raises Wrong, a warning, where the kernel does not tell."""
    try:
        return mount_of(os.path.realpath(folder))
    except UnknownMount as unknown:
        outside = f"run `findmnt --target` on {folder} outside of the chroot, or run the doctor in the pod"
        raise Wrong(f"mount unknown: {unknown}", outside, Verdict.WARN) from unknown
