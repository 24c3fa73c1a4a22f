"""The claim of a file that has its marker: what goes, what stays, and what is never taken without a marker of its own."""

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from nfsw.actors.call_board import CallBoard
from nfsw.actors.claim import ClaimedFile, NotClaimed, claim, finish, restore
from nfsw.actors.messages import DisplacedFile
from nfsw.actors.tree import NfsTree
from tests.support.marking import FILE, MARKER, SUFFIX, Scene, claimed, drained, later, mark, with_folders
from tests.support.mortal_nfs import EventfulNfs, Killed, killed, refused
from tests.support.open_elsewhere import open_elsewhere
from tests.support.share import DATE, Share, fingerprint

#: Of the calls of such a claim whose folders are there.
LINK, RENAME_MARKER, RENAME, CALLS = 9, 12, 17, 26

SENT = {f".processing/{DATE}/s/a": b"first"}


@pytest.fixture
def scenes(share: Share, tree: NfsTree, board: CallBoard) -> Callable[[], Scene]:
    """A share with one arrival and its marker in it, as often as asked for."""

    def scene() -> Scene:
        for path in [path for path in share.root.rglob("*") if path.is_file()]:
            path.unlink()
        share.written(share.incoming("a"), b"first")
        mark(share)
        with_folders(share)
        return share, EventfulNfs(NfsTree(tree.root, SUFFIX), board)

    return scene


@pytest.fixture
def scene(scenes: Callable[[], Scene]) -> Scene:
    return scenes()


def replace(share: Share) -> None:
    """By a writer that moves its next version into place. Its marker is still to come."""
    share.replaced(share.incoming("a"), b"second one")
    if share.incoming(MARKER).exists():
        later(share.incoming("a"), share.incoming(MARKER))


def _replace_and_mark(share: Share) -> None:
    replace(share)
    mark(share)


def test_the_marker_goes_with_its_file(scene: Scene) -> None:
    share, nfs = scene
    assert claimed(share, nfs) == ClaimedFile(fingerprint(share.claimed("a")), stable=True)
    assert share.files() == SENT
    assert [nfs.calls[at] for at in (LINK, RENAME_MARKER, RENAME)] == ["link", "rename", "rename"]


@pytest.mark.parametrize("name", ["a", MARKER])
def test_nothing_is_claimed_while_either_is_open(scene: Scene, name: str) -> None:
    share, nfs = scene
    with open_elsewhere(share.incoming(name)):
        assert claimed(share, nfs) is NotClaimed.OPEN
    assert not share.claimed("a").exists()


@pytest.mark.parametrize("change", [Path.touch, Path.unlink], ids=["touched", "gone"])
def test_the_marker_has_to_be_the_one_that_was_seen(scene: Scene, change: Callable[[Path], None]) -> None:
    share, nfs = scene
    marker = fingerprint(share.incoming(MARKER))
    while share.incoming(MARKER).exists() and fingerprint(share.incoming(MARKER)) == marker:
        change(share.incoming(MARKER))
    assert claim(nfs, FILE, fingerprint(share.incoming("a")), "1", leased=True, marker=marker) is NotClaimed.CHANGED
    assert share.incoming("a").exists()


def test_what_a_writer_puts_there_in_the_instant_of_the_link_is_given_back(scene: Scene) -> None:
    share, nfs = scene
    nfs.before[LINK] = lambda: replace(share)
    assert claimed(share, nfs) is NotClaimed.CHANGED
    assert share.files() == {"incoming/s/a": b"second one"}, "the marker was the version's before"
    assert share.incoming("a").stat().st_nlink == 1


def test_a_version_that_came_after_the_link_is_not_touched(scene: Scene) -> None:
    share, nfs = scene
    nfs.before[RENAME_MARKER] = lambda: replace(share)
    assert isinstance(claimed(share, nfs), ClaimedFile)
    assert share.files() == SENT | {"incoming/s/a": b"second one"}
    mark(share)
    assert drained(share, nfs) == [b"first", b"second one"]
    assert share.files() == {}


@pytest.mark.parametrize("name", ["a", "another"])
def test_the_marker_of_a_claim_that_was_cut_off_goes_when_it_is_finished(scene: Scene, name: str) -> None:
    share, nfs = scene
    nfs.before[RENAME_MARKER if name == "a" else RENAME + 2] = killed
    with pytest.raises(Killed):
        claimed(share, nfs)
    if name == "another":
        mark(share)  # by a writer that says it twice
    assert isinstance(finish(nfs, FILE, fingerprint(share.claimed("a")), "2", leased=True), ClaimedFile)
    assert share.files() == SENT


def test_the_marker_of_the_next_version_is_not_removed_with_a_claim_that_is_finished(scene: Scene) -> None:
    share, nfs = scene
    nfs.before[RENAME_MARKER] = killed
    with pytest.raises(Killed):
        claimed(share, nfs)
    replace(share)
    mark(share)
    assert isinstance(finish(nfs, FILE, fingerprint(share.claimed("a")), "2", leased=True), ClaimedFile)
    assert set(share.files()) == {f".processing/{DATE}/s/a", "incoming/s/a", f"incoming/s/{MARKER}"}


def test_the_marker_of_a_displaced_version_is_not_removed_with_the_claim_of_the_one_before(scene: Scene) -> None:
    share, nfs = scene
    with_folders(share)
    share.incoming("a").rename(share.claimed("a"))
    share.written(share.root / ".nfsw/aside/s/1/a", b"second one")
    assert isinstance(finish(nfs, FILE, fingerprint(share.claimed("a")), "2", leased=True), ClaimedFile)
    assert share.incoming(MARKER).exists()


def test_a_marker_that_is_made_anew_while_its_file_is_claimed_goes_as_well(scene: Scene) -> None:
    share, nfs = scene
    nfs.before[RENAME_MARKER - 1] = lambda: mark(share)
    assert isinstance(claimed(share, nfs), ClaimedFile)
    assert share.files() == SENT


def test_a_marker_alone_is_left_alone(scene: Scene) -> None:
    share, nfs = scene
    share.incoming("a").unlink()
    assert drained(share, nfs) == []
    assert list(share.files()) == [f"incoming/s/{MARKER}"]


def test_a_displaced_marker_stays_while_its_file_is_as_it_was_then(scene: Scene) -> None:
    share, nfs = scene
    displaced = share.root / f".nfsw/aside/s/1.markers/{MARKER}"
    share.incoming(MARKER).rename(displaced)
    later(displaced, share.incoming("a"))
    left = DisplacedFile("s", MARKER, "1.markers")
    restore(nfs, left, DATE)
    assert displaced.exists()
    later(share.incoming("a"), displaced)
    restore(nfs, left, DATE)
    assert not displaced.exists(), "another version needs a marker of its own"


def test_a_displaced_marker_stays_while_its_file_is_displaced(scene: Scene) -> None:
    share, nfs = scene
    displaced = share.root / f".nfsw/aside/s/1.markers/{MARKER}"
    share.incoming(MARKER).rename(displaced)
    share.incoming("a").rename(share.root / ".nfsw/aside/s/1/a")
    restore(nfs, DisplacedFile("s", MARKER, "1.markers"), DATE)
    assert displaced.exists()


def test_a_displaced_file_with_a_markers_name_is_put_back(scene: Scene) -> None:
    """From before the setting: it is a file, and no marker."""
    share, nfs = scene
    share.incoming(MARKER).rename(share.root / f".nfsw/aside/s/1/{MARKER}")
    restore(nfs, DisplacedFile("s", MARKER, "1"), DATE)
    assert share.incoming(MARKER).exists()


@pytest.mark.parametrize("kind", ["ext4", "nfs4"])
@pytest.mark.parametrize("marks", [None, *range(8)])
def test_a_writer_at_any_call_gets_its_next_version_sent_and_never_before_its_marker(
    scenes: Callable[[], Scene], marks: int | None, kind: str
) -> None:
    """The next version comes at any call, its marker `marks` calls later, or once all is quiet."""
    for number in range(CALLS):
        share, nfs = scenes()
        nfs.seen_as = kind
        nfs.before[number] = partial(replace, share)
        if marks is not None:
            nfs.before[number + marks] = partial(mark, share) if marks else partial(_replace_and_mark, share)
        calls = _claim(share, nfs)
        if number >= calls:
            break
        sent = drained(share, nfs)
        if marks is None or calls <= number + marks:
            assert b"second one" not in sent, number
            mark(share)
            sent += drained(share, nfs)
        assert sent[-1:] == [b"second one"], (number, sent, share.files(), nfs.calls)
        assert share.files() == {}, number


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_call_the_file_is_sent_once_and_no_marker_is_left(scenes: Callable[[], Scene], after: bool) -> None:
    deaths = 0
    for number in range(CALLS):
        share, nfs = scenes()
        (nfs.after if after else nfs.before)[number] = killed
        try:
            claimed(share, nfs)
        except Killed:
            deaths += 1
        assert drained(share, nfs) == [b"first"]
        assert share.files() == {}, number
    assert 18 <= deaths < CALLS


@pytest.mark.parametrize("code", [5, 13, 116])  # EIO, EACCES, ESTALE
@pytest.mark.parametrize("after", [False, True])
def test_an_error_at_any_call_loses_nothing_and_leaves_no_marker(scenes: Callable[[], Scene], code: int, after: bool) -> None:
    for number in range(CALLS):
        share, nfs = scenes()
        (nfs.after if after else nfs.before)[number] = refused(code)
        _claim(share, nfs)
        assert drained(share, nfs) == [b"first"]
        assert share.files() == {}, number


@pytest.mark.parametrize("death", range(12))
def test_killed_after_a_writer_was_there_nothing_is_lost(scenes: Callable[[], Scene], death: int) -> None:
    """The next version, and then its marker once all is quiet."""
    for number in range(CALLS):
        share, nfs = scenes()
        nfs.before[number] = partial(replace, share)
        if death:
            nfs.before[number + death] = killed
        if number >= _claim(share, nfs):
            break
        sent = drained(share, nfs)
        if share.incoming("a").exists() or not death:
            mark(share)
            sent += drained(share, nfs)
        assert sent[-1] == b"second one"
        assert {*share.files()} <= {f"incoming/s/{MARKER}"}


def _claim(share: Share, nfs: EventfulNfs) -> int:
    """The number of calls that it made."""
    with contextlib.suppress(Killed, OSError):
        claimed(share, nfs)
    return len(nfs.calls)
