"""renameat2(2), which Python does not have: a writer that replaces a file by rename, and knows exactly which one it replaced."""

import ctypes
import os
from pathlib import Path

_AT_FDCWD = -100
_NOREPLACE = 1
_EXCHANGE = 2

_libc = ctypes.CDLL(None, use_errno=True)
_renameat2 = _libc.renameat2
_renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)


def exchange(one: Path, other: Path) -> None:
    """Each gets the other's name, in one step. To whoever looks at `other` it is a rename over it."""
    _rename(one, other, _EXCHANGE)


def move(path: Path, name: Path) -> None:
    """FileExistsError when the name is taken."""
    _rename(path, name, _NOREPLACE)


def _rename(one: Path, other: Path, flags: int) -> None:
    if _renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), flags):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), str(one), None, str(other))
