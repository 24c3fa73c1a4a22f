"""The staged copy as the Uploader reads it."""

import asyncio
import errno
import hashlib
import os
from pathlib import Path

import pytest

from nfsw.actors import staged_copy
from nfsw.actors.holes import is_hole
from nfsw.actors.manifest import Block
from nfsw.actors.staged_copy import StagedCopy, StagedCopyBroken
from tests.support.descriptors import open_below
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


LARGE = Block(1, 1024 * 1024, 1024 * 1024, 1)


def given_back(copy: StagedCopy, block: Block) -> None:
    """On a loop that waits for its threads in real time."""
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(copy.give_back(block))


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(b"x" * 3 * LARGE.length)
    return path


def test_a_block_that_azure_holds_is_given_back_and_its_neighbours_stay(large: Path) -> None:
    copy = StagedCopy(str(large))
    given_back(copy, LARGE)
    copy.close()
    assert large.read_bytes() == b"x" * LARGE.length + bytes(LARGE.length) + b"x" * LARGE.length


def test_a_block_that_was_given_back_and_is_needed_again_makes_the_copy_broken(large: Path) -> None:
    copy = StagedCopy(str(large))
    given_back(copy, LARGE)
    with pytest.raises(StagedCopyBroken, match="has changed between"):
        copy.check(LARGE)
    copy.close()


def test_an_attempt_that_ends_meanwhile_leaves_no_file_open_and_touches_no_other(large: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"y" * 3 * LARGE.length)

    async def end_meanwhile() -> None:
        copy = StagedCopy(str(large))
        giving_back = asyncio.create_task(copy.give_back(LARGE))
        await asyncio.sleep(0)
        giving_back.cancel()
        copy.close()
        with other.open("r+b"):  # has the copy's descriptor now
            await asyncio.get_running_loop().shutdown_default_executor()
        with pytest.raises(asyncio.CancelledError):
            await giving_back

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(end_meanwhile())
    assert other.read_bytes() == b"y" * 3 * LARGE.length
    assert not open_below(tmp_path)


def test_where_the_file_system_makes_no_holes_the_block_stays_and_nothing_fails(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(staged_copy, "punch_hole", refuse)
    copy = StagedCopy(str(large))
    given_back(copy, LARGE)
    copy.close()
    assert large.read_bytes() == b"x" * 3 * LARGE.length


def test_a_small_block_is_not_worth_a_call(path: Path) -> None:
    copy = StagedCopy(str(path))
    given_back(copy, BLOCK)
    copy.close()
    with path.open("rb") as file:
        assert not is_hole(file.fileno(), BLOCK.offset, BLOCK.length)
    assert path.read_bytes() == b"abcdefghijklmnop"
