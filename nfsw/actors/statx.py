"""statx(2), which Python does not have: the one way to look at a file past the NFS attribute cache. NFS processes.

With AT_STATX_FORCE_SYNC the client asks the server, whatever `actimeo` says (statx(2), and fs/nfs/inode.c nfs_getattr).
"""

import ctypes
import os
import stat
import struct
from dataclasses import dataclass

from nfsw.actors.files import Fingerprint

_AT_FDCWD = -100
_AT_SYMLINK_NOFOLLOW = 0x100
_AT_STATX_FORCE_SYNC = 0x2000
_BASIC = 0x7FF
_ATTR_MOUNT_ROOT = 0x2000  # Linux 5.8

# struct statx: mask, blksize, attributes, nlink, uid, gid, mode, (pad), ino, size, blocks, attributes_mask,
# then four timestamps of (s64 seconds, u32 nanoseconds, s32 pad): access, birth, change, modification;
# then two devices of (u32 major, u32 minor): the one that a device file stands for, and the one that it lies on.
_STATX = struct.Struct("=IIQIIIHxxQQQQ" + "qIi" * 4 + "IIII")
_BUFFER = 256

_libc = ctypes.CDLL(None, use_errno=True)
_statx = _libc.statx
_statx.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)


@dataclass(frozen=True, slots=True)
class Seen:
    fingerprint: Fingerprint
    regular: bool
    links: int
    device: tuple[int, int] = (0, 0)  # that it lies on: major, minor
    mount_root: bool = False  # something is mounted there; older kernels do not tell


def observe(path: str, *, fresh: bool) -> Seen:
    """What `path` is now; a link is looked at, not followed. `fresh`: as the server has it. Raises OSError."""
    buffer = ctypes.create_string_buffer(_BUFFER)
    flags = _AT_SYMLINK_NOFOLLOW | (_AT_STATX_FORCE_SYNC if fresh else 0)
    if _statx(_AT_FDCWD, os.fsencode(path), flags, _BASIC, buffer):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), path)
    fields = _STATX.unpack_from(buffer)
    mode, inode, size = fields[6], fields[7], fields[8]
    ctime_ns, mtime_ns = (fields[at] * 1_000_000_000 + fields[at + 1] for at in (17, 20))
    return Seen(
        Fingerprint(size, mtime_ns, inode, ctime_ns), stat.S_ISREG(mode), fields[3], fields[-2:], bool(fields[2] & _ATTR_MOUNT_ROOT)
    )
