"""The NFS calls: what each answers, what counts as gone, and that each is announced while it lasts."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from nfsw.actors.call_board import CallBoard
from nfsw.actors.nfs import Nfs, describe, is_gone
from nfsw.actors.tree import NfsTree
from tests.support.mortal_nfs import EventfulNfs, refused
from tests.support.share import Share, fingerprint


def test_a_call_is_on_the_board_while_it_lasts(nfs: Nfs, board: CallBoard, tree: NfsTree) -> None:
    with nfs.call("link", tree.incoming("s") + "/a\nb"):
        oldest = board.oldest()
        assert oldest is not None
        assert oldest.what == "link incoming/s/a\\x0ab"
    assert board.oldest() is None


def test_a_call_that_fails_is_off_the_board(nfs: Nfs, board: CallBoard, tree: NfsTree) -> None:
    with pytest.raises(OSError, match="no"), nfs.call("link", tree.root):
        raise OSError(errno.EIO, "no")
    assert board.oldest() is None


def test_each_thread_has_a_slot_of_its_own(nfs: Nfs, board: CallBoard, tree: NfsTree) -> None:
    entered, leave = threading.Barrier(3), threading.Event()

    def hang(what: str) -> None:
        with nfs.call(what, tree.root):
            entered.wait()
            leave.wait()

    threads = [threading.Thread(target=hang, args=(what,)) for what in ("open", "read")]
    for thread in threads:
        thread.start()
    entered.wait()
    with nfs.call("stat", tree.root):
        pass
    assert board.oldest() is not None, "their announcements are not ours to end"
    leave.set()
    for thread in threads:
        thread.join()
    assert board.oldest() is None
    assert board.finished() == 3


def test_observe_tells_what_is_there_and_none_for_what_is_not(nfs: Nfs, share: Share) -> None:
    path = share.incoming("a")
    print_ = share.written(path)
    seen = nfs.observe(str(path))
    assert seen is not None
    assert (seen.fingerprint, seen.regular, seen.links) == (print_, True, 1)
    assert nfs.observe(str(path) + "nothing") is None
    assert nfs.observe(str(path / "below a file")) is None


def test_a_folder_that_is_not_there_is_empty(nfs: Nfs, share: Share) -> None:
    assert nfs.listing(str(share.incoming("nothing"))) == []
    assert nfs.folders(str(share.incoming("nothing"))) == []


def test_folders_are_folders_and_not_links_to_them(nfs: Nfs, share: Share) -> None:
    (share.root / "folder").mkdir()
    (share.root / "link").symlink_to("folder")
    (share.root / "file").touch()
    assert nfs.folders(str(share.root)) == ["folder"]


def test_stats_are_those_of_lstat_and_none_for_what_has_gone(nfs: Nfs, share: Share) -> None:
    for number in range(600):
        share.written(share.incoming(f"{number:03}"))
    folder = share.incoming("")
    entries = sorted(nfs.listing(str(folder)), key=lambda entry: entry.name)
    share.incoming("599").unlink()
    found = list(nfs.stats(str(folder), entries))
    assert found == [fingerprint(folder / entry.name) for entry in entries[:-1]] + [None]


def test_a_file_that_cannot_be_looked_at_ends_nothing(nfs: Nfs, share: Share, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose inode the server cannot read, say."""
    share.written(share.incoming("a"))
    share.written(share.incoming("b"))
    entries = sorted(nfs.listing(str(share.incoming(""))), key=lambda entry: entry.name)
    lstat = os.lstat

    def cannot_read_a(path: str) -> os.stat_result:
        if str(path).endswith("/a"):
            raise OSError(errno.EUCLEAN, "Structure needs cleaning")
        return lstat(path)

    monkeypatch.setattr(os, "lstat", cannot_read_a)
    broken, whole = nfs.stats(str(share.incoming("")), entries)
    assert isinstance(broken, OSError)
    assert whole == fingerprint(share.incoming("b"))


def test_folders_are_made_with_those_above_them_and_may_be_there(nfs: Nfs, share: Share) -> None:
    for _ in range(2):
        nfs.make_folder(str(share.root / "a/b/c"))
    assert share.folders() == {"a", "a/b", "a/b/c"}


def test_the_root_is_never_made(nfs: Nfs, share: Share) -> None:
    """An NFS that is not mounted leaves an empty mount point, or none: nothing is to be written there."""
    share.root.rmdir()
    with pytest.raises(FileNotFoundError, match="root"):
        nfs.make_folder(str(share.root / "a/b"))
    assert not share.root.exists()


def test_a_folder_made_by_someone_else_in_between_is_as_good(board: CallBoard, tree: NfsTree) -> None:
    nfs = EventfulNfs(tree, board)
    nfs.before[2] = lambda: os.mkdir(f"{tree.root}/a/b")  # mkdir a/b: not there; mkdir a; mkdir a/b
    nfs.make_folder(f"{tree.root}/a/b")
    assert nfs.calls == ["mkdir"] * 3


def test_a_folder_above_that_another_pods_sweep_removes_in_between_is_made_again(board: CallBoard, tree: NfsTree) -> None:
    """Two pods share the day's folder: one has swept it just when the other wants to put its session there."""
    nfs = EventfulNfs(tree, board)
    nfs.before[2] = lambda: os.rmdir(f"{tree.root}/a")
    nfs.make_folder(f"{tree.root}/a/b")
    assert Path(tree.root, "a/b").is_dir()


def test_only_an_empty_folder_is_removed(nfs: Nfs, share: Share) -> None:
    share.written(share.incoming("a"))
    assert not nfs.remove_folder(str(share.incoming("")))
    share.incoming("a").unlink()
    assert nfs.remove_folder(str(share.incoming("")))
    assert not nfs.remove_folder(str(share.incoming("")))


def test_a_link_never_replaces(nfs: Nfs, share: Share) -> None:
    share.written(share.incoming("a"), b"a")
    share.written(share.incoming("b"), b"b")
    with pytest.raises(FileExistsError):
        nfs.link(str(share.incoming("a")), str(share.incoming("b")))
    assert share.incoming("b").read_bytes() == b"b"


def test_a_symbolic_link_is_linked_and_not_followed(nfs: Nfs, share: Share) -> None:
    share.written(share.incoming("a"))
    share.incoming("link").symlink_to("a")
    nfs.link(str(share.incoming("link")), str(share.incoming("other")))
    assert share.incoming("other").is_symlink()


def test_unlink_tells_whether_there_was_anything(nfs: Nfs, share: Share) -> None:
    share.written(share.incoming("a"))
    assert nfs.unlink(str(share.incoming("a")))
    assert not nfs.unlink(str(share.incoming("a")))


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ESTALE, errno.ENOTDIR])
def test_gone_is_gone_whatever_it_is_called(code: int) -> None:
    assert is_gone(OSError(code, "x"))


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EEXIST, None])
def test_other_errors_are_not(code: int | None) -> None:
    assert not is_gone(OSError(code, "x"))


def test_an_error_is_said_without_the_path() -> None:
    assert describe(OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "/secret/path")) == "EDQUOT: Disk quota exceeded"
    assert describe(OSError("odd")) == "E?: None"


def _observe(nfs: Nfs, path: str) -> object:
    return nfs.observe(path)


def _listing(nfs: Nfs, path: str) -> object:
    return nfs.listing(path)


def _unlink(nfs: Nfs, path: str) -> object:
    return nfs.unlink(path)


def _remove_folder(nfs: Nfs, path: str) -> object:
    return nfs.remove_folder(path)


@pytest.mark.parametrize("call", [_observe, _listing, _unlink, _remove_folder])
def test_what_is_not_gone_is_raised(tree: NfsTree, board: CallBoard, tmp_path: Path, call: Callable[[Nfs, str], object]) -> None:
    nfs = EventfulNfs(tree, board)
    nfs.before[0] = refused(errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        call(nfs, str(tmp_path))
