"""A check, what it finds, and what the errors of file system calls mean. In the doctor and its children."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from nfsw.actors.mount import Mount, UnknownMount, mount_of
from nfsw.actors.nfs import describe


class Severity(StrEnum):
    """In order: the worst comes last."""

    OK = "ok"
    #: The service runs, but not as well, or not as safely, as it could.
    WARN = "warn"
    #: The service will not work.
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One entry of `nfsw doctor --json`, whose keys are these names."""

    check: str
    verdict: Severity
    said: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """`run` returns a description of what it found, or raises Problem."""

    name: str
    run: Callable[[], str]
    #: Whether the checks after it are skipped when it fails.
    needed: bool = False
    #: Seconds that it may take; None: the limit for all checks.
    limit_s: float | None = None

    def finding(self) -> Finding:
        """Runs the check."""
        try:
            return Finding(self.name, Severity.OK, self.run())
        except Problem as problem:
            return Finding(self.name, problem.severity, str(problem), problem.remedy)
        except Exception as error:  # noqa: BLE001 - an error that a check did not expect must not end the others
            return Finding(self.name, Severity.FAIL, f"{type(error).__name__}: {error}", "please report this")


class Problem(Exception):
    """What a check found wrong. `remedy`: what to do about it."""

    def __init__(self, description: str, remedy: str, severity: Severity = Severity.FAIL) -> None:
        super().__init__(description)
        self.remedy = remedy
        self.severity = severity


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turns an OSError in here into a Problem. `what`: what the error means."""
    try:
        yield
    except OSError as error:
        raise Problem(f"{what}: {describe(error)}", remedy_for(error)) from error


def remedy_for(error: OSError) -> str:
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
    """The mount that `folder` lies on. Raises Problem, a warning, where the kernel does not tell."""
    try:
        return mount_of(os.path.realpath(folder))
    except UnknownMount as unknown:
        outside = f"run `findmnt --target` on {folder} outside of the chroot, or run the doctor in the pod"
        raise Problem(f"mount unknown: {unknown}", outside, Severity.WARN) from unknown
