"""Staging: the copy and its manifest are the source's bytes, wherever an earlier life stopped and whatever lies there."""

import errno
import os
from pathlib import Path

import pytest

from nfsw.actors.block_size import block_size
from nfsw.actors.call_board import CallBoard
from nfsw.actors.files import FileRef
from nfsw.actors.holes import punch_hole
from nfsw.actors.manifest import BlockManifest
from nfsw.actors.nfs import Nfs
from nfsw.actors.staging import SourceChanged, Stager, StagingDiskTroubled
from nfsw.actors.staging_folder import discard, forget_older_releases, staged_files
from nfsw.actors.tree import NfsTree, StagingTree
from tests.support.content import some_bytes
from tests.support.descriptors import open_below
from tests.support.mortal_nfs import Happening, Killed, killed, refused
from tests.support.plain_crc64 import plain_crc64
from tests.support.share import DATE, Share
from tests.support.staging_bench import BLOCK, FILE, SIZE, StagingBench


@pytest.fixture
def bench(share: Share, tree: NfsTree, staging: StagingTree, board: CallBoard) -> StagingBench:
    bench = StagingBench(share, tree, staging, board)
    bench.claimed(some_bytes(1, SIZE))
    return bench


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, SIZE])
def test_the_copy_is_the_source_and_the_manifest_is_of_both(bench: StagingBench, size: int) -> None:
    bench.claimed(some_bytes(2, size))
    bench.stage()
    bench.check()
    assert bench.grown == ([*range(0, size, BLOCK), size] if size > BLOCK else [size]), "of one block there is nothing to follow"


def test_what_is_proven_is_in_the_copy_when_it_is_told(bench: StagingBench) -> None:
    """The Uploader follows: it may read the block at once."""
    manifests: list[BlockManifest] = []

    def grew(staged: int) -> None:
        manifest = bench.manifest()
        assert manifest.staged == staged
        assert bench.copy.read_bytes()[:staged] == bench.content[:staged]
        manifests.append(manifest)

    bench.life()[0].stage(FILE, bench.expected, grew)
    assert all(manifest.whole is None for manifest in manifests), "whole only after the last look at the source"


def test_each_byte_is_read_once(bench: StagingBench) -> None:
    assert bench.stage().calls.count("read") == 5


def test_a_file_of_more_than_50000_blocks_gets_larger_ones(bench: StagingBench, nfs: Nfs) -> None:
    bench.claimed(bytes(50_000 * 16 + 1))
    Stager(nfs, bench.staging, 16, content_md5=False).stage(FILE, bench.expected, bench.grown.append)
    bench.check()
    assert bench.manifest().block_size == 1024 * 1024


@pytest.mark.parametrize("blocks", range(6))
def test_a_life_that_follows_goes_on_from_the_last_proven_block(bench: StagingBench, blocks: int) -> None:
    bench.killed_after(blocks)
    nfs = bench.stage()
    bench.check()
    assert nfs.calls.count("read") == 5 - min(blocks, 5)
    assert bench.grown[0] == min(blocks * BLOCK, SIZE)


def test_a_whole_copy_is_taken_as_it_is(bench: StagingBench) -> None:
    bench.stage()
    nfs = bench.stage()
    assert "read" not in nfs.calls
    assert bench.grown == [SIZE]
    bench.check()


def test_one_that_was_killed_before_the_end_line_reads_nothing_again(bench: StagingBench) -> None:
    bench.killed_after(5)
    assert bench.manifest().whole is None
    assert "read" not in bench.stage().calls
    bench.check()


@pytest.mark.parametrize("where", [0, BLOCK, 2 * BLOCK + 7, 3 * BLOCK - 1])
def test_a_flipped_byte_in_what_was_staged_is_found_and_read_again(bench: StagingBench, where: int) -> None:
    bench.killed_after(3)
    with bench.copy.open("r+b") as copy:
        copy.seek(where)
        byte = copy.read(1)[0]
        copy.seek(where)
        copy.write(bytes([byte ^ 1]))
    assert bench.stage().calls.count("read") == 5 - where // BLOCK
    bench.check()


PAGE = 4096  # a hole has whole ones


def given_back(bench: StagingBench, block: int) -> None:
    with bench.copy.open("r+b") as copy:
        punch_hole(copy.fileno(), block * PAGE, PAGE)


def test_blocks_that_were_given_back_since_azure_holds_them_are_not_read_again(bench: StagingBench) -> None:
    bench.block_size = PAGE
    bench.claimed(some_bytes(1, 4 * PAGE + 500))
    bench.killed_after(3)
    given_back(bench, 0)
    given_back(bench, 2)
    assert bench.stage().calls.count("read") == 2
    assert bench.copy.read_bytes() == bytes(PAGE) + bench.content[PAGE : 2 * PAGE] + bytes(PAGE) + bench.content[3 * PAGE :]
    assert [block.crc64 for block in bench.manifest().blocks] == [
        plain_crc64(bench.content[at : at + PAGE]) for at in range(0, len(bench.content), PAGE)
    ]


def test_for_the_md5_of_the_whole_file_the_blocks_that_were_given_back_are_read_again(bench: StagingBench) -> None:
    bench.content_md5 = True
    bench.block_size = PAGE
    bench.claimed(some_bytes(1, 4 * PAGE + 500))
    bench.killed_after(3)
    given_back(bench, 1)
    assert bench.stage().calls.count("read") == 4
    bench.check()


@pytest.mark.parametrize("size", [0, 1, BLOCK, 2 * BLOCK - 1])
def test_a_copy_that_was_cut_short_is_filled_up(bench: StagingBench, size: int) -> None:
    bench.stage()
    os.truncate(bench.copy, size)
    bench.stage()
    bench.check()


def test_a_copy_that_is_longer_than_its_source_is_cut_to_it(bench: StagingBench) -> None:
    bench.killed_after(3)
    with bench.copy.open("ab") as copy:
        copy.write(bytes(9000))
    bench.stage()
    bench.check()


@pytest.mark.parametrize("cut", [0, 1, 20, 60, 100])
def test_a_manifest_that_was_cut_off_costs_the_blocks_that_it_lost(bench: StagingBench, cut: int) -> None:
    bench.stage()
    os.truncate(bench.lines, cut)
    bench.stage()
    bench.check()


@pytest.mark.parametrize("junk", [b"junk\n", bytes(200), b"\xff\n", b"nfsw-proof 2 0 0 0 0 1\n", b"nfsw-manifest 1 0 0 0 0 1 00000000\n"])
def test_junk_in_the_manifests_place_is_replaced(bench: StagingBench, junk: bytes) -> None:
    bench.stage()
    bench.lines.write_bytes(junk)
    bench.stage()
    bench.check()


@pytest.mark.parametrize("lost", ["copy", "manifest"])
def test_a_copy_without_a_manifest_or_the_reverse_is_made_anew(bench: StagingBench, lost: str) -> None:
    bench.stage()
    (bench.copy if lost == "copy" else bench.lines).unlink()
    bench.stage()
    bench.check()


def test_another_version_is_staged_from_its_beginning(bench: StagingBench) -> None:
    bench.stage()
    bench.claimed(some_bytes(3, SIZE - 100))
    assert bench.stage().calls.count("read") == 5
    bench.check()


@pytest.mark.parametrize("chosen", [333, None])
def test_what_was_begun_in_blocks_of_another_size_is_finished_in_those(bench: StagingBench, nfs: Nfs, chosen: int | None) -> None:
    """As after a change of the setting, or a release that had another rule."""
    bench.killed_after(2)
    Stager(nfs, bench.staging, chosen, content_md5=False).stage(FILE, bench.expected, bench.grown.append)
    bench.check()
    assert bench.manifest().block_size == BLOCK


def test_the_size_of_blocks_follows_from_that_of_the_file_where_none_was_chosen(bench: StagingBench, nfs: Nfs) -> None:
    Stager(nfs, bench.staging, None, content_md5=False).stage(FILE, bench.expected, bench.grown.append)
    bench.check()
    assert bench.manifest().block_size == block_size(SIZE, None)


@pytest.mark.parametrize("blocks", range(6))
def test_the_files_md5_is_taken_too_where_it_is_asked_for_also_by_a_life_that_follows(bench: StagingBench, blocks: int) -> None:
    bench.content_md5 = True
    bench.killed_after(blocks)
    bench.stage()
    bench.check()


def test_a_copy_that_was_staged_without_the_files_md5_gets_it_without_a_byte_from_nfs(bench: StagingBench) -> None:
    bench.stage()
    bench.content_md5 = True
    assert "read" not in bench.stage().calls
    bench.check()


def test_what_an_older_release_staged_is_staged_anew(bench: StagingBench, staging: StagingTree) -> None:
    """Its proof lay in a folder of its own."""
    old = Path(staging.root, "proofs", FILE.blob)
    for path in (old, bench.copy):
        path.parent.mkdir(parents=True, exist_ok=True)
    old.write_text(f"nfsw-proof 1 {SIZE} {bench.expected.mtime_ns} {bench.expected.inode} {BLOCK}\n")
    bench.copy.write_bytes(bytes(2 * BLOCK))
    forget_older_releases(staging)
    assert not old.exists()
    assert bench.stage().calls.count("read") == 5
    bench.check()


def test_what_is_discarded_leaves_nothing_and_no_folder(bench: StagingBench, staging: StagingTree) -> None:
    bench.stage()
    bench.life()[0].discard(FILE)
    assert os.listdir(staging.root) == []
    bench.life()[0].discard(FILE)


def test_to_discard_one_file_leaves_the_others(bench: StagingBench, share: Share, staging: StagingTree) -> None:
    bench.stage()
    other = FileRef(DATE, "s", "b")
    bench.life()[0].stage(other, share.written(share.claimed("b"), b"other"), bench.grown.append)
    discard(staging, FILE)
    assert {(date, session, name) for date, session, name, _ in staged_files(staging)} == {(DATE, "s", "b")}


def happens_at_each_call(bench: StagingBench, happening: Happening) -> None:
    """Up to the last look at the source, what is staged is not taken for whole. Whatever comes later the Collector sees."""
    calls = bench.stage().calls
    last_look = max(number for number, call in enumerate(calls) if call == "statx")
    for number in range(last_look + 1):
        bench.claimed(bench.content)
        discard(bench.staging, FILE)
        stager, nfs = bench.life()
        nfs.before[number] = happening
        with pytest.raises((SourceChanged, FileNotFoundError)):
            stager.stage(FILE, bench.expected, bench.grown.append)
        assert not bench.lines.exists() or bench.manifest().whole is None


@pytest.mark.parametrize("how", ["rewritten in place", "appended to", "cut short", "replaced", "removed", "emptied"])
def test_a_source_that_changes_at_any_moment_is_never_taken_for_whole(bench: StagingBench, share: Share, how: str) -> None:
    path = share.claimed("a")

    def change() -> None:
        match how:
            case "rewritten in place":
                path.write_bytes(some_bytes(9, SIZE))
                os.utime(
                    path, ns=(0, bench.expected.mtime_ns + 1)
                )  # as a later write does; this one may come within one tick of the kernel
            case "appended to":
                with path.open("ab") as file:
                    file.write(b"more")
            case "cut short":
                os.truncate(path, BLOCK + 1)
            case "replaced":
                share.replaced(path, bench.content)
            case "removed":
                path.unlink()
            case _:
                path.write_bytes(b"")

    happens_at_each_call(bench, change)


@pytest.mark.parametrize("size", [0, BLOCK, SIZE])
def test_a_source_that_changes_after_its_last_byte_was_read_is_not_taken_for_whole(bench: StagingBench, share: Share, size: int) -> None:
    """Nothing but the last look can tell."""
    bench.claimed(some_bytes(1, size))
    path = share.claimed("a")
    stager, nfs = bench.life()

    def change() -> None:
        assert "read" in nfs.calls or not size
        os.utime(path, ns=(0, bench.expected.mtime_ns + 1))

    shown = nfs.tree.printable(str(path))
    nfs.at["fstat", shown] = lambda: nfs.at.update({("statx", shown): change})  # the first look ends with an fstat
    with pytest.raises(SourceChanged):
        stager.stage(FILE, bench.expected, bench.grown.append)
    assert "end" not in bench.lines.read_text()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_regular_file_any_more_is_not_staged(bench: StagingBench, share: Share, tmp_path: Path, kind: str) -> None:
    path = share.claimed("a")
    path.unlink()
    match kind:
        case "link":
            path.symlink_to("/etc/passwd")
        case "pipe":
            os.mkfifo(path)
        case _:
            path.mkdir()
    with pytest.raises((SourceChanged, OSError)):
        bench.stage()
    assert not bench.copy.exists()
    assert open_below(tmp_path) == []


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_an_error_of_nfs_at_any_call_leaves_what_is_proven_and_no_descriptor(bench: StagingBench, tmp_path: Path, code: int) -> None:
    calls = len(bench.stage().calls)
    for number in range(calls):
        discard(bench.staging, FILE)
        stager, nfs = bench.life()
        nfs.before[number] = refused(code)
        before = open_below(tmp_path)
        with pytest.raises(OSError) as error:
            stager.stage(FILE, bench.expected, bench.grown.append)
        assert error.value.errno == code
        assert open_below(tmp_path) == before or nfs.calls[number] == "close"
        bench.stage()
        bench.check()


def test_killed_at_any_call_the_next_life_ends_with_the_same_copy(bench: StagingBench) -> None:
    calls = len(bench.stage().calls)
    for number in range(calls):
        discard(bench.staging, FILE)
        stager, nfs = bench.life()
        nfs.before[number] = killed
        with pytest.raises(Killed):
            stager.stage(FILE, bench.expected, bench.grown.append)
        bench.stage()
        bench.check()


def test_a_disk_that_refuses_is_said_in_words(bench: StagingBench, staging: StagingTree) -> None:
    Path(staging.root).write_bytes(b"a file where the folder should be")
    with pytest.raises(StagingDiskTroubled, match="staging disk: E"):
        bench.stage()


def test_a_copy_that_somebody_still_reads_is_not_written_over(bench: StagingBench) -> None:
    """The Uploader may have the copy of another version open."""
    bench.stage()
    before = bench.content
    with bench.copy.open("rb") as read:
        bench.claimed(some_bytes(4, SIZE))
        bench.stage()
        assert read.read() == before
    bench.check()
