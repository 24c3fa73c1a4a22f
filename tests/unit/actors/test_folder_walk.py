"""Walks through trees: what is entered, in which order, and what is refused."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nfsw.actors import statx
from nfsw.actors.folder_walk import DEEPEST, WritersWalk, everything, remove_empty
from nfsw.actors.nfs import Nfs
from nfsw.actors.statx import Seen
from tests.support.share import Share


def entered(nfs: Nfs, refused: dict[str, str] | None = None) -> list[str]:
    """The folders of session `s` in `incoming`, below its own."""
    told: dict[str, str] = {} if refused is None else refused
    walk, found = WritersWalk(nfs, "s", told.__setitem__), []
    while place := walk.next():
        found.append(place.below)
        walk.enter(place, nfs.listing(place.path))
    return found


def test_each_folder_comes_before_those_in_it(nfs: Nfs, share: Share) -> None:
    for path in ("a/b/c", "a/d", "e"):
        share.incoming(path).mkdir(parents=True)
    found = entered(nfs)
    assert set(found) == {"", "a/", "a/b/", "a/b/c/", "a/d/", "e/"}
    assert all(found.index(f"{os.path.dirname(below[:-1])}/".removeprefix("/")) < found.index(below) for below in found[1:])


def test_hidden_folders_pipes_and_files_are_passed_over_in_silence(nfs: Nfs, share: Share) -> None:
    share.written(share.incoming(".hidden/a"))
    share.written(share.incoming("file"))
    os.mkfifo(share.incoming("pipe"))
    refused: dict[str, str] = {}
    assert entered(nfs, refused) == [""]
    assert refused == {}


def test_a_symbolic_link_is_refused_and_never_followed(nfs: Nfs, share: Share) -> None:
    share.incoming("a").mkdir(parents=True)
    share.incoming("a/loop").symlink_to("..")
    share.incoming("away").symlink_to("/")
    share.incoming("broken").symlink_to("nothing")
    refused: dict[str, str] = {}
    assert entered(nfs, refused) == ["", "a/"]
    assert set(refused) == {"a/loop", "away", "broken"}
    assert all("symbolic link" in reason for reason in refused.values())


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a.", "dot"),
        ("a\\b", "backslash"),
        ("a\n", "control"),
        ("a.completed", "mark"),
        (os.fsdecode(b"\xff"), "UTF-8"),
        ("\ufffe", "U+FFFE"),
    ],
)
def test_a_folder_whose_name_azure_cannot_hold_is_refused(nfs: Nfs, share: Share, name: str, why: str) -> None:
    share.written(share.incoming(f"good/{name}/file"))
    refused: dict[str, str] = {}
    assert entered(nfs, refused) == ["", "good/"]
    assert list(refused) == [f"good/{name}"]
    assert why in refused[f"good/{name}"]


def test_a_folder_is_refused_once_no_name_in_it_can_fit_into_1024_characters(nfs: Nfs, share: Share) -> None:
    deep = "/".join(["a" * 200] * 6)
    share.incoming(deep).mkdir(parents=True)
    refused: dict[str, str] = {}
    found = entered(nfs, refused)
    assert len(found) == 6, "five of them fit"
    ((name, reason),) = refused.items()
    assert name == deep
    assert "1024" in reason


def test_deeper_than_the_bound_is_refused_once(nfs: Nfs, share: Share) -> None:
    share.incoming("/".join(["a"] * (DEEPEST + 5))).mkdir(parents=True)
    refused: dict[str, str] = {}
    assert len(entered(nfs, refused)) == DEEPEST + 1
    assert list(refused) == ["/".join(["a"] * (DEEPEST + 1))]


@pytest.mark.parametrize("mount", [{"device": (0, 99)}, {"mount_root": True}], ids=["another device", "the same, bound"])
def test_what_is_mounted_in_a_session_is_refused(nfs: Nfs, share: Share, monkeypatch: pytest.MonkeyPatch, mount: dict[str, object]) -> None:
    for name in ("a/elsewhere/b", "c"):
        share.incoming(name).mkdir(parents=True)
    truth = statx.observe

    def observe(path: str, *, fresh: bool) -> Seen:
        seen = truth(path, fresh=fresh)
        if "elsewhere" not in path:
            return seen
        return Seen(seen.fingerprint, seen.regular, seen.links, mount.get("device", seen.device), mount.get("mount_root", False))  # type: ignore[arg-type]

    monkeypatch.setattr(statx, "observe", observe)
    refused: dict[str, str] = {}
    assert set(entered(nfs, refused)) == {"", "a/", "c/"}
    assert list(refused) == ["a/elsewhere"]
    assert "mounted" in refused["a/elsewhere"]


def test_a_mount_is_told_from_a_folder_by_the_kernel() -> None:
    proc, own = statx.observe("/proc/.", fresh=False), statx.observe("/proc/self/.", fresh=False)
    assert proc.mount_root
    assert not own.mount_root
    assert proc.device == own.device
    assert proc.device == (os.major(os.stat("/proc").st_dev), os.minor(os.stat("/proc").st_dev))


def test_in_folders_of_ours_one_that_cannot_be_read_is_noted_and_the_others_are_listed(nfs: Nfs, share: Share, tree_of: "Tree") -> None:
    top = tree_of("a/b", "c")
    errors: list[OSError] = []
    listing = nfs.listing

    def refuses(folder: str) -> "list[os.DirEntry[str]]":
        if folder.endswith("/a"):
            raise PermissionError(13, "no", folder)
        return listing(folder)

    nfs.listing = refuses  # type: ignore[method-assign]
    assert [place.below for place, _ in everything(nfs, str(top), errors.append)] == ["", "c/"]
    assert len(errors) == 1


def test_an_empty_tree_is_removed_to_its_top(nfs: Nfs, tree_of: "Tree") -> None:
    top = tree_of("a/b/c", "d")
    assert remove_empty(nfs, str(top))
    assert not top.exists()


def test_of_a_tree_that_holds_a_file_the_way_to_it_stays(nfs: Nfs, share: Share, tree_of: "Tree") -> None:
    top = tree_of("a/b/c", "d")
    share.written(top / "a" / "file")
    assert not remove_empty(nfs, str(top))
    assert share.folders() == {"top", "top/a"}


type Tree = Callable[..., Path]


@pytest.fixture
def tree_of(share: Share) -> Tree:
    def tree(*folders: str) -> Path:
        for folder in folders:
            (share.root / "top" / folder).mkdir(parents=True)
        return share.root / "top"

    return tree
