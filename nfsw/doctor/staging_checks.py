"""The local disk for staged copies: is it there, can it be written, does it hold what the limit says. A child of the doctor."""

import os
from collections.abc import Generator
from uuid import uuid4

from nfsw.actors.block_size import block_size
from nfsw.actors.staging_folder import staged_files
from nfsw.actors.tree import StagingTree
from nfsw.doctor.errors import known_mount, translated
from nfsw.doctor.finding import Check, Verdict, Wrong
from nfsw.doctor.plan import Plan

_PIECE = 1024 * 1024


def checks(plan: Plan) -> Generator[Check]:
    disk = Disk(plan)
    yield Check("staging folder", disk.folder, needed=True)
    yield Check("staging write", disk.write)
    yield Check("staging room", disk.room)
    yield Check("staging disk", disk.kind)


class Disk:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._root = plan.staging_dir

    def folder(self) -> str:
        """Made if it is not there, as the service would."""
        with translated(f"{self._root} cannot be created or read"):
            os.makedirs(self._root, exist_ok=True)
            os.listdir(self._root)
        return f"{self._root} is a folder"

    def write(self) -> str:
        path = f"{self._root}/doctor-{uuid4().hex}"
        data = os.urandom(_PIECE)
        try:
            with translated("cannot write and read a file"), open(path, "xb", buffering=0) as file:
                file.write(data)
                os.fsync(file.fileno())
                with open(path, "rb") as written:
                    same = written.read() == data
        finally:
            if os.path.lexists(path):
                os.unlink(path)
        if not same:
            raise Wrong("a file reads back differently from what was written", "check the disk and the memory of this node")
        return f"wrote {_amount(_PIECE)} and read it back"

    def room(self) -> str:
        disk = os.statvfs(self._root)
        free = disk.f_bavail * disk.f_frsize
        staged = sum(size for *_, size in staged_files(StagingTree(self._root)))
        least = self._plan.workers * block_size(0, self._plan.block_size)
        told = f"{_amount(free)} free, {_amount(staged)} staged, limit {_amount(self._plan.staging_limit)}"
        if free + staged < least:
            raise Wrong(f"{told}: not enough for one block per worker ({_amount(least)})", "free space there, or use a larger disk")
        if free + staged < self._plan.staging_limit:
            lower = f"set APP_STAGING_LIMIT_BYTES={(free + staged) // 10 * 9}, or free space"
            raise Wrong(f"{told}: the disk fills before the limit is reached", lower, Verdict.WARN)
        return told

    def kind(self) -> str:
        mount = known_mount(self._root)
        told = f"{mount.kind} on {mount.point}"
        if mount.is_nfs:
            raise Wrong(f"{told}: staging on NFS hangs when NFS does", "set APP_STAGING_DIR to a local disk: an emptyDir", Verdict.WARN)
        if mount.kind in {"tmpfs", "ramfs"}:
            raise Wrong(f"{told}: staged copies take memory", "use an emptyDir without `medium: Memory`", Verdict.WARN)
        return told


def _amount(size: int) -> str:
    value, units = float(size), iter(("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"))
    unit = next(units)
    while value >= 1024 and unit != "EiB":
        value, unit = value / 1024, next(units)
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
