"""What the service relies on when it claims, marks and lists: how names behave on the mount."""

import ctypes
import errno
import os
import stat
from pathlib import Path

import pytest

from nfsw.actors import statx
from tests.nfs.conftest import Place
from tests.support import uml
from tests.support.waiting import until

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1


def test_the_mount_is_what_the_manifests_ask_for() -> None:
    lines = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    [(kind, options)] = [(line[2], set(line[3].split(","))) for line in lines if line[1] == str(uml.MOUNT)]
    assert kind == "nfs4"
    assert {"hard", "vers=4.1", "rsize=1048576", "wsize=1048576", "acregmin=5", "acregmax=5", "acdirmin=5", "acdirmax=5"} <= options


def test_link_never_replaces_a_file(place: Place) -> None:
    source, target = place.mount / "source", place.mount / "target"
    source.write_text("new")
    (place.export / "target").write_text("old")  # behind the client's back: its caches know of no such name
    with pytest.raises(FileExistsError):
        os.link(source, target)
    assert target.read_text() == "old"


def test_link_and_unlink_move_a_file_in_two_steps(place: Place) -> None:
    source, target = place.mount / "source", place.mount / "target"
    source.write_text("same")
    os.link(source, target)
    assert statx.observe(str(target), fresh=True).links == 2
    assert source.stat().st_ino == target.stat().st_ino
    source.unlink()
    assert statx.observe(str(target), fresh=True).links == 1
    assert os.listdir(place.export) == ["target"]


def test_rename_replaces_without_a_word(place: Place) -> None:
    (place.mount / "source").write_text("new")
    (place.export / "target").write_text("old")
    (place.mount / "source").rename(place.mount / "target")
    assert (place.export / "target").read_text() == "new"


def test_rename_that_must_not_replace_is_refused_as_such(place: Place) -> None:
    (place.mount / "source").write_text("")
    libc = ctypes.CDLL(None, use_errno=True)
    paths = [os.fsencode(place.mount / name) for name in ("source", "target")]
    assert libc.renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_NOREPLACE) == -1
    assert ctypes.get_errno() == errno.EINVAL


def test_a_listing_names_the_kind_of_each_entry(place: Place) -> None:
    os.mkdir(place.mount / "folder")
    os.mkfifo(place.mount / "fifo")
    (place.mount / "file").write_text("")
    (place.mount / "link").symlink_to("file")
    with os.scandir(place.mount) as listing:
        found = {
            entry.name: (entry.is_dir(follow_symlinks=False), entry.is_file(follow_symlinks=False), entry.is_symlink()) for entry in listing
        }
    assert found == {
        "folder": (True, False, False),
        "file": (False, True, False),
        "link": (False, False, True),
        "fifo": (False, False, False),
    }
    assert {kind for _, kind in _raw_listing(place.mount)} == {
        stat.S_IFDIR >> 12,
        stat.S_IFREG >> 12,
        stat.S_IFLNK >> 12,
        stat.S_IFIFO >> 12,
    }


def test_a_file_removed_while_open_stays_as_a_dot_nfs_name(place: Place) -> None:
    path = place.mount / "open"
    path.write_text("x")
    with path.open():
        path.unlink()
        [left] = os.listdir(place.mount)
        assert left.startswith(".nfs")
        with pytest.raises(OSError) as refused:
            place.mount.rmdir()
        assert refused.value.errno == errno.ENOTEMPTY
    until(lambda: os.listdir(place.mount) == [], within=10, what="it goes after the close, which the kernel does not wait for")


def test_a_folder_removed_on_the_server_is_stale_by_handle_and_missing_by_path(place: Place) -> None:
    path = place.mount / "folder"
    path.mkdir()
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        (place.export / "folder").rmdir()
        with pytest.raises(OSError) as by_handle:
            os.listdir(handle)
        with pytest.raises(OSError) as by_path:
            os.listdir(path)
    finally:
        os.close(handle)
    assert by_handle.value.errno == errno.ESTALE
    assert by_path.value.errno == errno.ENOENT


def test_a_file_that_a_client_has_open_stays_readable_when_the_server_removes_it(place: Place) -> None:
    path = place.mount / "file"
    path.write_text("old")
    with path.open("rb", buffering=0) as file:
        (place.export / "file").unlink()
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert file.read() == b"old", "the server keeps the file for the open that it has granted"


def _raw_listing(folder: Path) -> list[tuple[str, int]]:
    """Name and d_type of each entry as getdents(2) gives them: 0 would mean that the caller has to stat."""

    class Entry(ctypes.Structure):
        _fields_ = (
            ("ino", ctypes.c_uint64),
            ("off", ctypes.c_int64),
            ("length", ctypes.c_ushort),
            ("kind", ctypes.c_ubyte),
            ("name", ctypes.c_char * 256),
        )

    libc = ctypes.CDLL(None, use_errno=True)
    libc.opendir.restype = ctypes.c_void_p
    libc.readdir.restype = ctypes.POINTER(Entry)
    libc.readdir.argtypes = libc.closedir.argtypes = (ctypes.c_void_p,)
    stream = libc.opendir(os.fsencode(folder))
    try:
        found = []
        while entry := libc.readdir(stream):
            found.append((entry.contents.name.decode(), int(entry.contents.kind)))
    finally:
        libc.closedir(stream)
    return [(name, kind) for name, kind in found if name not in (".", "..")]
