"""Holes in a file: made with fallocate(2), which Python does not have, and found with lseek(2). Local disk, any thread."""

import ctypes
import errno
import os

_KEEP_SIZE = 0x01
_PUNCH_HOLE = 0x02

_libc = ctypes.CDLL(None, use_errno=True)
_fallocate = _libc.fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def punch_hole(fd: int, offset: int, length: int) -> None:
    """Frees what these bytes take on disk and in the page cache; they read as zeros from then on. Raises OSError."""
    if _fallocate(fd, _PUNCH_HOLE | _KEEP_SIZE, offset, length):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def is_hole(fd: int, offset: int, length: int) -> bool:
    """Whether the file has all of these bytes, and none of them takes room. Raises OSError."""
    if os.fstat(fd).st_size < offset + length:
        return False
    try:
        return os.lseek(fd, offset, os.SEEK_DATA) >= offset + length
    except OSError as error:
        if error.errno == errno.ENXIO:  # nothing but a hole up to the end
            return True
        raise
