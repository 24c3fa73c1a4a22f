"""The faulty file system itself: it passes everything on, hangs for good, and answers what it was told to."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nfsw.actors import statx
from tests.support.children import NotSaid, child
from tests.support.fuse import FaultyFileSystem
from tests.support.waiting import until


def test_it_passes_on_what_the_service_does(disk: FaultyFileSystem) -> None:
    folder = disk.mount / "incoming" / "s1"
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(b"x" * 300_000)
    os.link(folder / "a", folder / "b")
    assert statx.observe(str(folder / "b"), fresh=True).links == 2
    assert (folder / "a").stat().st_ino == (folder / "b").stat().st_ino == (disk.behind / "incoming/s1/a").stat().st_ino
    (folder / "b").rename(folder / "c")
    (folder / "a").unlink()
    with os.scandir(folder) as listing:
        assert [(entry.name, entry.is_file(follow_symlinks=False), entry.inode()) for entry in listing] == [
            ("c", True, (disk.behind / "incoming/s1/c").stat().st_ino)
        ]
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.rename("c", "d", src_dir_fd=at, dst_dir_fd=at)
    os.close(at)
    assert (folder / "d").read_bytes() == b"x" * 300_000
    (folder / "d").unlink()
    folder.rmdir()
    assert os.listdir(disk.behind / "incoming") == []


def test_open_files_are_cut_synced_and_looked_at(disk: FaultyFileSystem) -> None:
    with (disk.mount / "a").open("w+b", buffering=0) as file:
        file.write(b"x" * 100)
        file.truncate(10)
        os.fsync(file.fileno())
        (disk.mount / "a").rename(disk.mount / "b")
        assert os.fstat(file.fileno()).st_size == 10
        (disk.mount / "b").unlink()
        file.seek(0)
        assert file.read() == b"x" * 10
    (disk.mount / "c").write_bytes(b"x" * 100)
    os.truncate(disk.mount / "c", 5)
    assert (disk.behind / "c").read_bytes() == b"x" * 5


def test_names_that_are_not_text_pass(disk: FaultyFileSystem) -> None:
    name = os.fsencode(disk.mount) + b"/\xff\n "
    with open(name, "wb") as file:
        file.write(b"1")
    assert os.listdir(os.fsencode(disk.behind)) == [b"\xff\n "]


def test_locks_conflict(disk: FaultyFileSystem) -> None:
    path = disk.mount / "lock"
    with path.open("wb") as one, path.open("r+b") as two:
        fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(BlockingIOError):
            fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_fault_meets_its_call_and_path_and_no_other(disk: FaultyFileSystem) -> None:
    with disk.failing(errno.ENOSPC, "mkdir", path="a*", times=1) as fault:
        (disk.mount / "b").mkdir()
        with pytest.raises(OSError, match="No space left") as refused:
            (disk.mount / "a").mkdir()
        assert refused.value.errno == errno.ENOSPC
        assert fault.hits() == 1
        (disk.mount / "a").mkdir()
    assert sorted(os.listdir(disk.behind)) == ["a", "b"]


def test_a_call_can_be_done_and_answered_with_an_error(disk: FaultyFileSystem) -> None:
    """As after a server restart, when a replayed RENAME answers ENOENT though the first one was carried out."""
    (disk.mount / "a").write_bytes(b"")
    with disk.failing(errno.ENOENT, "rename", done=True), pytest.raises(FileNotFoundError):
        (disk.mount / "a").rename(disk.mount / "b")
    assert os.listdir(disk.behind) == ["b"]


def test_a_hung_call_is_unkillable_and_others_go_on(disk: FaultyFileSystem) -> None:
    (disk.mount / "folder").mkdir()
    with child("import os, sys; print('ready'); sys.stdin.readline(); print(os.listdir(sys.argv[1]))", disk.mount / "folder") as caller:
        assert caller.says() == "ready"
        with disk.hanging("readdir", path="folder") as fault:
            caller.tell("go")
            until(fault.hits, within=5, what="the call arrives")
            with pytest.raises(NotSaid):
                caller.says(0.2)
            caller.kill()
            assert caller.gone_within(1) is None
            assert caller.state() == "D"
            (disk.mount / "other").mkdir()
        assert caller.gone_within(5) is not None


def test_it_leaves_nothing_behind_though_a_call_hangs(tmp_path: Path) -> None:
    program = f"""
import subprocess, sys
from pathlib import Path
from tests.support.fuse import faulty_file_system
with faulty_file_system(Path({str(tmp_path)!r})) as disk, disk.hanging("getattr", path="x"):
    hung = subprocess.Popen(["stat", disk.mount / "x"], stderr=subprocess.DEVNULL)
    disk._lines.close()  # as if the test had crashed: the rule is not withdrawn
    raise SystemExit
"""
    subprocess.run([sys.executable, "-c", program], check=False, timeout=30, stderr=subprocess.DEVNULL)
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
