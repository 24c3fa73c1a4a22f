"""Staging on a disk that is full, on a real file system of a few pages; and what others do to the staging folder meanwhile."""

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nfsw.actors.call_board import CallBoard
from nfsw.actors.files import FileRef
from nfsw.actors.nfs import Nfs
from nfsw.actors.staging import Stager, StagingDiskTroubled
from nfsw.actors.staging_folder import discard, staged_files
from nfsw.actors.tree import NfsTree, StagingTree
from tests.support.content import some_bytes
from tests.support.descriptors import open_below
from tests.support.share import DATE, Share
from tests.support.staging_bench import BLOCK, FILE, SIZE, StagingBench

PAGE = resource.getpagesize()

type Resize = Callable[[int], None]


@pytest.fixture
def bench(share: Share, tree: NfsTree, staging: StagingTree, board: CallBoard) -> StagingBench:
    bench = StagingBench(share, tree, staging, board)
    bench.claimed(some_bytes(1, SIZE))
    return bench


@pytest.fixture
def pages(staging: StagingTree) -> Iterator[Resize]:
    """Makes the staging disk this many pages large."""
    os.mkdir(staging.root)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={PAGE}", "staging", staging.root]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a disk of a few pages")

    def resize(pages: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={pages * PAGE}", staging.root], check=True)

    yield resize
    subprocess.run(["umount", "--lazy", staging.root], check=True)


def test_a_full_disk_is_said_and_what_was_proven_is_used_when_there_is_room(bench: StagingBench, pages: Resize) -> None:
    bench.claimed(some_bytes(1, 5 * PAGE))
    pages(4)
    for _ in range(2):
        with pytest.raises(StagingDiskTroubled, match="ENOSPC"):
            bench.stage()
    staged = bench.manifest().staged
    assert staged >= 2 * PAGE
    pages(100)
    assert bench.stage().calls.count("read") == -(-(5 * PAGE - staged // BLOCK * BLOCK) // BLOCK)
    bench.check()


@pytest.mark.parametrize("room", [0, 1, 2, 3])
def test_a_full_disk_costs_no_descriptor_however_often(
    bench: StagingBench, pages: Resize, staging: StagingTree, tmp_path: Path, room: int
) -> None:
    """With no page left not even the manifest's first line can be written."""
    bench.claimed(some_bytes(1, 5 * PAGE))
    pages(room + 1)
    Path(staging.root, "another's").write_bytes(bytes(PAGE))
    for _ in range(5):
        with pytest.raises(StagingDiskTroubled, match="ENOSPC"):
            bench.stage()
    assert open_below(tmp_path) == []


def test_a_manifest_line_that_finds_only_half_its_room_is_no_line(
    bench: StagingBench, pages: Resize, nfs: Nfs, staging: StagingTree
) -> None:
    """write(2) takes a part then, and says so by its answer alone. Room that comes later must not hide it."""
    stager = Stager(nfs, staging, 16, content_md5=False)
    bench.claimed(some_bytes(1, PAGE * 3 // 4))  # one page; the lines of its blocks take more than one
    pages(2)

    def grew(staged: int) -> None:
        if bench.lines.stat().st_size == PAGE:
            pages(100)

    with pytest.raises(StagingDiskTroubled, match="ENOSPC"):
        stager.stage(FILE, bench.expected, grew)
    assert bench.manifest().staged > 0
    pages(100)
    stager.stage(FILE, bench.expected, bench.grown.append)
    bench.check()


def test_what_lies_in_staging_is_counted_with_its_manifest(bench: StagingBench, staging: StagingTree) -> None:
    assert staged_files(staging) == []
    bench.stage()
    assert staged_files(staging) == [(DATE, "s", "a", bench.copy.stat().st_size + bench.lines.stat().st_size)]
    bench.copy.unlink()
    assert staged_files(staging) == [(DATE, "s", "a", bench.lines.stat().st_size)]


def test_a_copy_that_is_removed_while_they_are_counted_counts_no_more(
    bench: StagingBench, staging: StagingTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Collector removes what is sent, in a process of its own."""
    bench.stage()
    real = os.lstat

    def lstat(path: str) -> os.stat_result:
        if path == staging.copy(FILE):
            discard(staging, FILE)
        return real(path)

    monkeypatch.setattr(os, "lstat", lstat)
    assert staged_files(staging) == []


def test_a_folder_that_the_collector_removes_because_it_is_empty_is_made_again(
    bench: StagingBench, staging: StagingTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the making of the folder and that of the file in it."""
    real, folders = os.makedirs, [staging.copies, staging.manifests] * 2

    def makedirs(path: str, mode: int = 0o777, exist_ok: bool = False) -> None:
        real(path, mode, exist_ok)
        for folder in folders:
            if path == f"{folder}/{DATE}/s":
                folders.remove(folder)
                discard(staging, FileRef(DATE, "s", "another"))

    monkeypatch.setattr(os, "makedirs", makedirs)
    bench.stage()
    bench.check()
