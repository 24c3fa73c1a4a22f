"""The local disk for staged copies, and the collector of telemetry. Children of the doctor."""

import os
from collections.abc import Generator
from functools import partial
from uuid import uuid4

from nfsw.actors.block_size import block_size
from nfsw.actors.staging_folder import staged_files
from nfsw.actors.tree import StagingTree
from nfsw.doctor.check import Check, Problem, Severity, explained, known_mount
from nfsw.settings import Settings
from nfsw.supervisor import exporters
from nfsw.units import size

_PIECE = 1024 * 1024
_PROTOCOLS = {"", "http/protobuf"}


# --- Staging ---


def staging_checks(chosen: Settings, _limit_s: float) -> Generator[Check]:
    root = str(chosen.staging_dir)
    yield Check("staging folder", partial(_folder, root), needed=True)
    yield Check("staging write", partial(_write, root))
    yield Check("staging room", partial(_room, root, chosen))
    yield Check("staging disk", partial(disk, root))


def _folder(root: str) -> str:
    """Made if it is not there, as the service would."""
    with explained(f"{root} cannot be created or read"):
        os.makedirs(root, exist_ok=True)
        os.listdir(root)
    return f"{root} is a folder"


def _write(root: str) -> str:
    path = f"{root}/doctor-{uuid4().hex}"
    data = os.urandom(_PIECE)
    try:
        with explained("cannot write and read a file"), open(path, "xb", buffering=0) as file:
            file.write(data)
            os.fsync(file.fileno())
            with open(path, "rb") as written:
                same = written.read() == data
    finally:
        if os.path.lexists(path):
            os.unlink(path)
    if not same:
        raise Problem("a file reads back differently from what was written", "check the disk and the memory of this node")
    return f"wrote {size(_PIECE)} and read it back"


def _room(root: str, chosen: Settings) -> str:
    disk = os.statvfs(root)
    free = disk.f_bavail * disk.f_frsize
    staged = sum(length for *_, length in staged_files(StagingTree(root)))
    limit, least = chosen.staging_limit_bytes, chosen.workers * block_size(0, chosen.azure_max_block_size)
    described = f"{size(free)} free, {size(staged)} staged, limit {size(limit)}"
    if free + staged < least:
        raise Problem(f"{described}: not enough for one block per worker ({size(least)})", "free space there, or use a larger disk")
    if free + staged < limit:
        lower = f"set APP_STAGING_LIMIT_BYTES={(free + staged) // 10 * 9}, or free space"
        raise Problem(f"{described}: the disk fills before the limit is reached", lower, Severity.WARN)
    return described


def disk(root: str) -> str:
    mount = known_mount(root)
    described = f"{mount.kind} on {mount.point}"
    if mount.is_nfs:
        raise Problem(f"{described}: staging on NFS hangs when NFS does", "set APP_STAGING_DIR to a local disk: an emptyDir", Severity.WARN)
    if mount.kind in {"tmpfs", "ramfs"}:
        raise Problem(f"{described}: staged copies take memory", "use an emptyDir without `medium: Memory`", Severity.WARN)
    return described


# --- Telemetry. Files are moved with and without it, so nothing here is worse than a warning. ---


def telemetry_checks(_chosen: Settings, limit_s: float) -> Generator[Check]:
    signals = exporters.exported()
    if not signals:
        yield Check("OTLP", lambda: "no endpoint: nothing is exported")
    for signal in sorted(signals):
        yield Check(f"OTLP {signal}", partial(_export, signal, limit_s))


def _export(signal: str, limit_s: float) -> str:
    """Exports nothing, which a collector answers like any other export."""
    from nfsw.supervisor import otlp  # noqa: PLC0415 - only where something is exported

    protocol = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "")
    endpoint = exporters.endpoint(signal)
    if protocol not in _PROTOCOLS:
        remedy = "set http/protobuf and the collector's port for it, 4318"
        raise Problem(f"{endpoint}: protocol {protocol} is not supported", remedy, Severity.WARN)
    if reason := otlp.tried(signal, limit_s / 2):
        remedy = "start the collector, or empty OTEL_EXPORTER_OTLP_ENDPOINT; files do not wait for it"
        raise Problem(f"{endpoint}: {reason}", remedy, Severity.WARN)
    return f"{endpoint} accepts exports"
