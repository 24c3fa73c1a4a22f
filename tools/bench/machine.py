"""The machine and the versions that a report names: nothing that tells whose machine it is. The benchmark's process."""

import json
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

from tools.bench.group import CHECKOUT
from tools.bench.sides import rclone


def describe(nfs: Path, work: Path, counted_by: str) -> dict[str, str]:
    memory = int(_found(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), "0")) / 1024 / 1024
    release = Path("/etc/os-release").read_text()
    azurite = json.loads((CHECKOUT / "package.json").read_text())["devDependencies"]["azurite"]
    return {
        "Processor": f"{_found(r'^model name\s*:\s*(.+)$', Path('/proc/cpuinfo').read_text(), platform.machine())}, {os.cpu_count()} cores",
        "Memory": f"{memory:.0f} GiB",
        "System": f"{_found(r'^PRETTY_NAME="?([^"\n]+)', release, 'Linux')}, Linux {_found(r'^(\d+\.\d+)', platform.release(), '?')}",
        "Stands in for NFS": _file_system(nfs),
        "Staging": _file_system(work),
        "Python": platform.python_version(),
        "SDK": f"azure-storage-blob {version('azure-storage-blob')}, aiohttp {version('aiohttp')}",
        "Peers": f"rclone {rclone.version() if rclone.is_there() else 'not there'}, Azurite {azurite}",
        "CPU seconds": f"counted by {counted_by}",
    }


def _file_system(folder: Path) -> str:
    """The kind of it: that of the longest mount point above the folder."""
    best, kind = "", "?"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _device, point, this, *_ = line.split()
        if folder.is_relative_to(point) and len(point) > len(best):
            best, kind = point, this
    return kind


def _found(pattern: str, text: str, otherwise: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1].strip() if found else otherwise
