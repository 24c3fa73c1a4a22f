"""Holes in a file: made and found."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nfsw.actors.holes import is_hole, punch_hole

MIB = 1024 * 1024


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 4 * MIB)
    fd = os.open(path, os.O_RDWR)
    yield fd
    os.close(fd)


def test_a_hole_takes_no_room_reads_as_zeros_and_leaves_its_neighbours_and_the_size_alone(fd: int) -> None:
    room = os.fstat(fd).st_blocks
    punch_hole(fd, MIB, 2 * MIB)
    assert os.pread(fd, 4 * MIB, 0) == b"x" * MIB + bytes(2 * MIB) + b"x" * MIB
    os.fsync(fd)  # a file system may settle late what takes how much
    assert os.fstat(fd).st_blocks < max(room, 4 * MIB // 512)


def test_a_hole_is_found_where_it_is_and_nowhere_else(fd: int) -> None:
    punch_hole(fd, MIB, 2 * MIB)
    assert [is_hole(fd, at * MIB, MIB) for at in range(4)] == [False, True, True, False]
    assert is_hole(fd, MIB, 2 * MIB)
    assert not is_hole(fd, 2 * MIB, 2 * MIB)


def test_a_hole_at_the_end_is_one_and_what_lies_behind_the_end_is_none(fd: int) -> None:
    punch_hole(fd, 3 * MIB, MIB)
    assert is_hole(fd, 3 * MIB, MIB)
    assert not is_hole(fd, 3 * MIB, MIB + 1)
    assert not is_hole(fd, 4 * MIB, 1)


def test_a_hole_in_a_file_that_is_open_to_be_read_alone_is_refused(fd: int) -> None:
    readable = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="Bad file descriptor"):
            punch_hole(readable, 0, MIB)
    finally:
        os.close(readable)
