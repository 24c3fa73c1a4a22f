"""The NFS share: is it there, is it mounted as it should be, and does every call of the service work there. A child of the doctor.

The calls are made in a folder of their own below `.nfsw`, which is removed again.
"""

import contextlib
import os
import time
from collections.abc import Generator
from uuid import uuid4

from nfsw.actors.call_board import CallBoard
from nfsw.actors.files import Arrival, FileRef
from nfsw.actors.lock import LockTaken, SessionLock
from nfsw.actors.mount import Mount
from nfsw.actors.nfs import Nfs
from nfsw.actors.stability import Rule
from nfsw.actors.stability_rule import StabilityRule
from nfsw.actors.statx import Seen
from nfsw.actors.tree import NfsTree
from nfsw.doctor.check import Check, Problem, Severity, explained, known_mount
from nfsw.settings import Settings

#: A difference between the server's clock and ours that is reported, in seconds.
_CLOCK_S = 2.0
#: How late a new name may be seen before it is reported, in seconds; the kernel's default.
_LATE_S, _LATE_BY_DEFAULT_S = 10, 60
#: Seconds between two tries for a lease that was refused.
_LEASE_AGAIN_S = 0.25
#: Capabilities by their numbers in linux/capability.h: either lets a process lease files that it does not own.
_CAP_SETUID, _CAP_LEASE = 7, 28
_MOUNT_AS = "mount it with hard,nfsvers=4.1,actimeo=5: mountOptions of the PersistentVolume"


def checks(chosen: Settings, limit_s: float) -> Generator[Check]:
    share = Share(str(chosen.nfs_root))
    try:
        yield Check("NFS root", share.root, needed=True)
        yield Check("NFS mount", share.mount)
        yield Check("NFS attribute cache", share.cache)
        yield Check("NFS folders", share.folders)
        yield Check("NFS mkdir", share.make_folders, needed=True)
        yield Check("NFS write", share.write, needed=True)
        yield Check("NFS clock", share.clock)
        yield Check("NFS statx", share.look)
        yield Check("NFS link", share.link, needed=True)
        yield Check("NFS rename", share.rename, needed=True)
        yield Check("NFS flock", share.lock)
        yield Check("NFS leases", lambda: share.leases(limit_s / 2))
        yield Check("NFS unlink", share.unlink)
    finally:
        share.clean_up()


class Share:
    """The checks, in their order: one finds what the one before it has left."""

    _ARRIVAL = Arrival("doctor", "probe")
    _CLAIMED = FileRef("20000101", "doctor", "probe")
    _BYTES = 4096

    def __init__(self, root: str) -> None:
        board = CallBoard(CallBoard.create(1), 1)
        self._nfs = Nfs(NfsTree(root), board)
        self._scratch = f"{root}/.nfsw/doctor-{uuid4().hex}"
        #: The calls of the service, on a tree of the same shape.
        self._probe = Nfs(NfsTree(self._scratch), board)
        self._ahead_s = 0.0  # the server's clock, of ours

    def root(self) -> str:
        root = self._nfs.tree.root
        with explained(f"{root} cannot be read"):
            try:
                names = os.listdir(root)
            except NotADirectoryError as error:
                raise Problem(f"{root} is not a folder", "set APP_NFS_ROOT to the folder at which the export is mounted") from error
            except FileNotFoundError as error:
                raise Problem(f"{root} does not exist", "mount the export there, or set APP_NFS_ROOT to where it is mounted") from error
        return f"{root} is a folder with {len(names)} entries"

    def mount(self) -> str:
        mount = self._mount()
        described = f"{mount.source} on {mount.point}, {mount.kind}"
        if not mount.is_nfs:
            raise Problem(
                f"{described}: not NFS", "nothing to do if this is the export's own disk; otherwise mount the export", Severity.WARN
            )
        version = mount.options.get("vers", mount.kind.removeprefix("nfs") or "3")
        if "ro" in mount.options:
            raise Problem(f"{described}: mounted read-only", "mount and export it with rw")
        if version.startswith(("2", "3")) and ("nolock" in mount.options or mount.options.get("local_lock", "none") in {"all", "flock"}):
            raise Problem(f"{described} {version}, locks are local to this node: two pods could hold one session", _MOUNT_AS)
        if version not in {"4.1", "4.2"}:
            raise Problem(f"{described} {version}, not 4.1", _MOUNT_AS, Severity.WARN)
        if "hard" not in mount.options:
            raise Problem(f"{described} {version}, not hard: a slow server would fail every file", _MOUNT_AS, Severity.WARN)
        return f"{described} {version}, hard"

    def cache(self) -> str:
        mount = self._mount()
        if not mount.is_nfs:
            return "not NFS: no attribute cache"
        if "noac" in mount.options or mount.options.get("acregmax") == "0":
            raise Problem("attributes are not cached: every look at a file is a request", _MOUNT_AS, Severity.WARN)
        late = int(mount.options.get("acdirmax", _LATE_BY_DEFAULT_S))
        if late > _LATE_S:
            raise Problem(f"folders are cached for up to {late} s: a new file is seen that much later", _MOUNT_AS, Severity.WARN)
        return f"folders are cached for up to {late} s"

    def folders(self) -> str:
        """Those of the contract, as far as they are there."""
        root = self._nfs.tree.root
        device = os.stat(root).st_dev
        missing: list[str] = []
        for path in (f"{root}/incoming", self._nfs.tree.processing, f"{root}/.nfsw"):
            name = self._nfs.tree.printable(path)
            seen = self._nfs.observe(path)
            if seen is None:
                missing.append(name)
            elif os.path.islink(path) or not os.path.isdir(path):
                raise Problem(f"{name} is not a folder", f"make {path} a folder of the export, not a link or a file")
            elif os.stat(path).st_dev != device:
                raise Problem(
                    f"{name} is a mount of its own: files cannot be linked across it", f"unmount {path}: one export for all of them"
                )
            elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
                raise Problem(f"user {os.geteuid()} cannot read and write {name}", f"on the server: chown or chmod {name} for that user")
        return "on one device" + (f"; {', '.join(missing)} will be created" if missing else "")

    def make_folders(self) -> str:
        with explained(f"user {os.geteuid()} cannot create a folder in {self._nfs.tree.root}"):
            self._nfs.make_folder(self._scratch)
            for file in (self._ARRIVAL, self._CLAIMED):
                self._probe.make_folder(os.path.dirname(self._probe.tree.source(file)))
        return f"created {self._nfs.tree.printable(self._scratch)}"

    def write(self) -> str:
        path = self._probe.tree.source(self._ARRIVAL)
        with explained("cannot write a file"), self._probe.call("write", path):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                before = time.time()
                os.write(fd, bytes(self._BYTES))
                os.fsync(fd)
                after = time.time()
                status = os.fstat(fd)
            finally:
                os.close(fd)
        written = status.st_mtime_ns / 1e9
        self._ahead_s = written - min(max(written, before), after)
        if status.st_uid != os.geteuid():
            raise Problem(
                f"the server maps user {os.geteuid()} to user {status.st_uid}: it may be unable to move files of other users",
                f"export it with no_root_squash, or make user {status.st_uid} the owner of everything under incoming",
                Severity.WARN,
            )
        return f"wrote {self._BYTES} bytes as user {status.st_uid}"

    def clock(self) -> str:
        ahead = self._ahead_s
        described = f"the server's clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this node's"
        if abs(ahead) > _CLOCK_S:
            raise Problem(described, "synchronise the clocks of node and server with NTP or chrony", Severity.WARN)
        return described if abs(ahead) >= 0.1 else "the clocks of server and node agree"

    def look(self) -> str:
        seen = self._seen(self._ARRIVAL)
        if seen.fingerprint.size != self._BYTES:
            raise Problem(f"wrote {self._BYTES} bytes, but statx reports {seen.fingerprint.size}", _MOUNT_AS)
        return "reports the new size, bypassing the attribute cache"

    def link(self) -> str:
        path, name = self._probe.tree.source(self._ARRIVAL), self._probe.tree.source(self._CLAIMED)
        with explained("link does not work"):
            self._probe.link(path, name)
            try:
                self._probe.link(path, name)
            except FileExistsError:
                pass
            else:
                raise Problem("link replaces an existing file: files could be lost", "use an export with POSIX semantics")
        if (links := self._seen(self._CLAIMED).links) != 2:
            raise Problem(f"a file with two names reports {links} links", "use an export with POSIX semantics")
        return "works, and refuses a name that exists"

    def rename(self) -> str:
        with explained("rename does not work"):
            self._probe.rename(self._probe.tree.source(self._CLAIMED), self._probe.tree.completed(self._CLAIMED))
        return "works"

    def lock(self) -> str:
        with explained("flock does not work"):
            held = SessionLock.take(self._probe, "doctor")
            try:
                SessionLock.take(self._probe, "doctor").release(forget=False)
            except LockTaken:
                return "works: a second holder is refused"
            finally:
                held.release(forget=True)
        raise Problem("a second holder gets the lock too: two pods could hold one session", _MOUNT_AS)

    def leases(self, patience_s: float) -> str:
        """Whether the file system tells who has a file open for writing. `patience_s`: a server may be slow to grant the first one."""
        stability = StabilityRule(self._probe)
        deadline = time.monotonic() + patience_s
        with explained("cannot find out whether leases are granted"):
            stability.find_out(time.monotonic())
            while stability.rule is None and time.monotonic() < deadline:
                time.sleep(_LEASE_AGAIN_S)
                stability.find_out(time.monotonic())
        if stability.rule is not Rule.LEASE:
            reason = stability.reason if stability.rule else "every lease is refused, on a file of our own too"
            raise Problem(
                f"{reason}. Files have to be quiet for APP_WRITEBACK_AGE_S instead, open or not",
                "mount a server that gives delegations with NFSv4.1; on a Linux server /proc/sys/fs/leases-enable has to be 1",
                Severity.WARN,
            )
        if not _may_lease_files_of_others():
            raise Problem(
                f"{stability.reason}, but user {os.geteuid()} may lease no file of another owner: such files have to be quiet for "
                "APP_WRITEBACK_AGE_S instead, open or not",
                "add SETUID to the container's capabilities, as k3s/base does, and let it run as user 0",
                Severity.WARN,
            )
        return stability.reason

    def unlink(self) -> str:
        with explained("cannot remove the test files"):
            for path in (self._probe.tree.source(self._ARRIVAL), self._probe.tree.completed(self._CLAIMED)):
                self._probe.unlink(path)
            self._remove_folders()
        return "all test files are removed"

    def clean_up(self) -> None:
        """Removes what a failed check has left, as far as that works. The rest is below `.nfsw`, where it does no harm."""
        with contextlib.suppress(OSError):
            for file in (self._ARRIVAL, self._CLAIMED):
                self._probe.unlink(self._probe.tree.source(file))
            self._remove_folders()

    def _remove_folders(self) -> None:
        for folder, _, _ in os.walk(self._scratch, topdown=False):
            self._probe.remove_folder(folder)

    def _mount(self) -> Mount:
        return known_mount(self._nfs.tree.root)

    def _seen(self, file: Arrival | FileRef) -> Seen:
        with explained("statx does not work"):
            seen = self._probe.observe(self._probe.tree.source(file))
        if seen is None:
            raise Problem("a file that was just created is not visible", _MOUNT_AS)
        return seen


def _may_lease_files_of_others() -> bool:
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        effective = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff:"))
    return bool(effective >> _CAP_SETUID & 1 or effective >> _CAP_LEASE & 1)
