"""How a folder is mounted, as the kernel says: /proc/self/mountinfo (proc_pid_mountinfo(5)). Pure, but for reading that file."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    point: str
    kind: str  # of file system: nfs4, ext4, tmpfs
    source: str  # server:/path for NFS
    options: dict[str, str]  # those of the mount and those of the file system; a flag has an empty value

    @property
    def is_nfs(self) -> bool:
        return self.kind in {"nfs", "nfs4"}


class UnknownMount(Exception):
    """The kernel lists no mount that `path` lies on. In a chroot that is normal: its root is a folder of a mount outside of it."""

    def __init__(self, path: str) -> None:
        super().__init__(f"/proc/self/mountinfo lists no mount that {path} lies on, as in a chroot")


def mount_of(path: str) -> Mount:
    """Of the folder at `path`, which has no links in it. Raises UnknownMount."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        return among(lines, path)


def among(lines: Iterable[str], path: str) -> Mount:
    """The last one of those that lie deepest on the way to `path`: it hides the others. Raises UnknownMount."""
    best: Mount | None = None
    for line in lines:
        mount = _parse(line)
        below = path == mount.point or path.startswith(mount.point.rstrip("/") + "/")
        if below and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    if best is None:
        raise UnknownMount(path)
    return best


def _parse(line: str) -> Mount:
    before, _, after = line.partition(" - ")
    _, _, _, _, point, own, *_ = before.split()
    kind, source, shared = after.split()
    options = dict(option.partition("=")[::2] for option in f"{own},{shared}".split(","))
    return Mount(_plain(point), kind, _plain(source), options)


def _plain(text: str) -> str:
    return _ESCAPE.sub(lambda escape: chr(int(escape[1], 8)), text)
