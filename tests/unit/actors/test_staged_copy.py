"""The staged copy as the Uploader reads it."""

import hashlib
import os
from pathlib import Path

import pytest

from nfsw.actors.manifest import Block
from nfsw.actors.staged_copy import StagedCopy, StagedCopyBroken
from tests.support.plain_crc64 import plain_crc64

BLOCK = Block(0, 3, 10, 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "copy"
    path.write_bytes(b"abcdefghijklmnop")
    return path


@pytest.mark.parametrize("at_a_time", [1, 3, 10, 100])
def test_a_block_is_read_whole_however_little_the_kernel_gives_at_a_time(
    path: Path, at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never gives more than 2 GiB."""
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, size, offset: pread(fd, min(size, at_a_time), offset))
    copy = StagedCopy(str(path))
    block = Block(0, 3, 10, plain_crc64(b"defghijklm"))
    assert copy.md5(block) == hashlib.md5(b"defghijklm").digest()
    copy.close()


def test_a_copy_that_ends_too_early_is_broken(path: Path) -> None:
    path.write_bytes(b"abcdefghijkl")
    copy = StagedCopy(str(path))
    with pytest.raises(StagedCopyBroken, match="too short"):
        copy.check(BLOCK)
    assert copy.broken
    copy.close()
