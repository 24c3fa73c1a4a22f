"""statx(2) by our own hands, held against os.lstat."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nfsw.actors.statx import observe
from tests.support.share import fingerprint

FRESH = pytest.mark.parametrize("fresh", [True, False])


def made(path: Path, kind: str) -> Path:
    match kind:
        case "file":
            path.write_bytes(b"some bytes")
        case "empty file":
            path.touch()
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to("/etc/passwd")
        case "broken link":
            path.symlink_to(path.parent / "nothing")
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(str(path))
    return path


@FRESH
@pytest.mark.parametrize("kind", ["file", "empty file", "folder", "link", "broken link", "pipe", "socket"])
def test_it_sees_what_lstat_sees(tmp_path: Path, kind: str, fresh: bool) -> None:
    path = made(tmp_path / "it", kind)
    seen = observe(str(path), fresh=fresh)
    assert seen.fingerprint == fingerprint(path)
    assert seen.regular == (kind in ("file", "empty file"))
    assert seen.links == os.lstat(path).st_nlink


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(mtime_ns=st.integers(-(2**31) * 10**9, 2**33 * 10**9), size=st.integers(0, 2**40))
def test_times_before_the_epoch_and_files_beyond_4_gib(tmp_path: Path, mtime_ns: int, size: int) -> None:
    path = tmp_path / "it"
    with path.open("wb") as file:
        file.truncate(size)
    os.utime(path, ns=(0, mtime_ns))
    assert observe(str(path), fresh=True).fingerprint == fingerprint(path)


def test_names_of_one_file_are_counted(tmp_path: Path) -> None:
    path = made(tmp_path / "it", "file")
    os.link(path, tmp_path / "another")
    assert observe(str(path), fresh=True).links == 2


def test_a_name_that_is_no_utf8_is_looked_at(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n")
    made(Path(path), "file")
    assert observe(path, fresh=True).regular


def test_what_is_not_there_is_an_oserror_with_the_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        observe(str(tmp_path / "nothing"), fresh=True)
    assert error.value.filename == str(tmp_path / "nothing")
    with pytest.raises(NotADirectoryError):
        observe(str(made(tmp_path / "it", "file") / "below"), fresh=True)
