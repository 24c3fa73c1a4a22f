"""The claim: what it takes, what it leaves, and whom it lets go first."""

import errno
import os

import pytest

from nfsw.actors.claim import NotClaimed, claim, finish, put_back
from nfsw.actors.messages import NameAside
from tests.support.claiming import FILE, LINK, RENAME, Scene, claimed, drained, ignored, with_folders
from tests.support.mortal_nfs import refused
from tests.support.share import DATE, fingerprint


def test_a_claim_gives_the_file_another_name_and_leaves_it_as_it_is(scene: Scene) -> None:
    share, nfs = scene
    before = fingerprint(share.incoming("a"))
    assert claimed(share, nfs) == fingerprint(share.claimed("a"))
    assert share.files() == {f".processing/{DATE}/s/a": b"first"}
    assert fingerprint(share.claimed("a")).same_but_ctime(before)
    assert share.claimed("a").stat().st_nlink == 1


def test_a_claim_makes_nine_calls_once_its_folders_are_there(scene: Scene) -> None:
    """Each is a round trip to the server, for each of 10,000 small files."""
    share, nfs = scene
    with_folders(share)
    claimed(share, nfs)
    assert nfs.calls == ["statx", "statx", "statx", "link", "statx", "rename", "statx", "unlink", "statx"]


@pytest.mark.parametrize("name", ["a", "a.completed"])
def test_a_claim_never_replaces_a_file(scene: Scene, name: str) -> None:
    share, nfs = scene
    share.written(share.claimed(name), b"another")
    before = share.files()
    assert claimed(share, nfs) is NotClaimed.TAKEN
    assert share.files() == before


def test_what_changed_since_it_was_stable_is_not_claimed(scene: Scene) -> None:
    share, nfs = scene
    expected = fingerprint(share.incoming("a"))
    share.written(share.incoming("a"), b"first and more")
    assert claim(nfs, FILE, expected, "1") is NotClaimed.CHANGED
    assert share.files() == {"incoming/s/a": b"first and more"}


def test_a_change_that_puts_size_and_mtime_back_is_a_change(scene: Scene) -> None:
    """As `touch -r` and `exiftool -P` do. Nobody can put the ctime back."""
    share, nfs = scene
    expected = fingerprint(share.incoming("a"))
    share.written(share.incoming("a"), b"FIRST")
    os.utime(share.incoming("a"), ns=(0, expected.mtime_ns))
    assert fingerprint(share.incoming("a")).same_but_ctime(expected)
    assert claim(nfs, FILE, expected, "1") is NotClaimed.CHANGED
    assert share.files() == {"incoming/s/a": b"FIRST"}


def test_what_changed_and_is_no_longer_in_incoming_keeps_the_name_that_it_has(scene: Scene) -> None:
    """Its writer has put another file there, or the cut-off claim of an earlier life was ended meanwhile."""
    share, nfs = scene
    with_folders(share)
    expected = fingerprint(share.incoming("a"))
    nfs.before[LINK] = lambda: ignored(share.written(share.incoming("a"), b"first and more"))
    nfs.after[LINK] = lambda: share.incoming("a").unlink()
    assert claim(nfs, FILE, expected, "1") is NotClaimed.CHANGED
    assert share.files() == {f".processing/{DATE}/s/a": b"first and more"}


def test_what_has_gone_is_gone(scene: Scene) -> None:
    share, nfs = scene
    expected = fingerprint(share.incoming("a"))
    share.incoming("a").unlink()
    assert claim(nfs, FILE, expected, "1") is NotClaimed.GONE
    assert share.files() == {}


def test_a_link_in_the_files_place_is_not_claimed(scene: Scene) -> None:
    share, nfs = scene
    expected = fingerprint(share.incoming("a"))
    share.incoming("a").unlink()
    share.incoming("a").symlink_to("/etc/passwd")
    assert claim(nfs, FILE, expected, "1") is NotClaimed.CHANGED
    assert share.incoming("a").is_symlink()
    assert not share.claimed("a").is_symlink()


def test_a_name_that_waits_aside_is_never_replaced_by_the_next_claim(scene: Scene) -> None:
    """Three versions within one claim: the first is sent, and the third was reported before the second is back."""
    share, nfs = scene
    with_folders(share)
    expected = fingerprint(share.incoming("a"))
    nfs.before[RENAME] = lambda: ignored(share.replaced(share.incoming("a"), b"second one"))
    nfs.after[RENAME] = lambda: ignored(share.written(share.incoming("a"), b"the third version"))
    assert claim(nfs, FILE, expected, "1") == fingerprint(share.claimed("a"))
    assert set(share.files().values()) == {b"first", b"second one", b"the third version"}
    share.claimed("a").unlink()
    assert claimed(share, nfs) is NotClaimed.TAKEN
    assert drained(share, nfs) == [b"second one", b"the third version"]


def test_a_name_aside_goes_before_the_newer_file_that_has_its_name_in_incoming(scene: Scene) -> None:
    share, nfs = scene
    share.written(share.root / ".nfsw/aside/s/1/a", b"older")
    put_back(nfs, NameAside("s", "a", "1"), DATE)
    assert share.files() == {"incoming/s/a": b"first", f".processing/{DATE}/s/a": b"older"}


@pytest.mark.parametrize("name", ["a", "a.completed"])
def test_a_name_aside_waits_while_another_file_of_the_name_is_being_processed(scene: Scene, name: str) -> None:
    share, nfs = scene
    share.written(share.root / ".nfsw/aside/s/1/a", b"second")
    share.written(share.claimed(name), b"older")
    before = share.files()
    put_back(nfs, NameAside("s", "a", "1"), DATE)
    assert share.files() == before


def test_a_replayed_link_that_says_exists_is_a_claim(scene: Scene) -> None:
    """NFS may answer EEXIST to a request that it has carried out a moment ago."""
    share, nfs = scene
    with_folders(share)
    nfs.after[LINK] = refused(errno.EEXIST)
    assert claimed(share, nfs) == fingerprint(share.claimed("a"))
    assert share.files() == {f".processing/{DATE}/s/a": b"first"}


def test_a_replayed_rename_that_says_gone_is_looked_at(scene: Scene) -> None:
    share, nfs = scene
    with_folders(share)
    nfs.after[RENAME] = refused(errno.ENOENT)
    assert claimed(share, nfs) == fingerprint(share.claimed("a"))
    assert share.files() == {f".processing/{DATE}/s/a": b"first"}


def test_another_file_that_is_in_the_way_is_not_taken_for_a_replayed_link(scene: Scene) -> None:
    """Same name, same bytes, same size and time: another inode is another file."""
    share, nfs = scene
    share.written(share.claimed("a"), b"first")
    os.utime(share.claimed("a"), ns=(0, share.incoming("a").stat().st_mtime_ns))
    assert claimed(share, nfs) is NotClaimed.TAKEN
    assert len(share.files()) == 2


def test_a_second_name_of_the_writers_own_is_left_alone(scene: Scene) -> None:
    share, nfs = scene
    os.link(share.incoming("a"), share.incoming("b"))
    assert claimed(share, nfs) == fingerprint(share.claimed("a"))
    assert share.files() == {f".processing/{DATE}/s/a": b"first", "incoming/s/b": b"first"}
    seen = nfs.observe(str(share.claimed("a")))
    assert seen is not None
    finish(nfs, FILE, seen.fingerprint, "2")
    assert share.files() == {f".processing/{DATE}/s/a": b"first", "incoming/s/b": b"first"}


def test_finish_leaves_a_newer_file_of_the_name_alone(scene: Scene) -> None:
    share, nfs = scene
    claimed(share, nfs)
    share.written(share.incoming("a"), b"second")
    os.link(share.claimed("a"), share.root / "a name that somebody gave it")
    seen = nfs.observe(str(share.claimed("a")))
    assert seen is not None
    finish(nfs, FILE, seen.fingerprint, "2")
    assert share.incoming("a").read_bytes() == b"second"
    assert share.claimed("a").read_bytes() == b"first"


def test_a_name_aside_whose_file_was_claimed_on_another_day_is_removed(scene: Scene) -> None:
    share, nfs = scene
    before = share.claimed("a", date="20260130")
    share.written(before, b"yesterday's")
    aside = share.root / ".nfsw/aside/s/1/a"
    aside.parent.mkdir(parents=True)
    os.link(before, aside)
    put_back(nfs, NameAside("s", "a", "1"), DATE)
    assert not aside.exists()
    assert before.read_bytes() == b"yesterday's"
    assert share.incoming("a").read_bytes() == b"first"


def test_a_name_aside_that_has_gone_meanwhile_is_nothing_to_do(scene: Scene) -> None:
    share, nfs = scene
    put_back(nfs, NameAside("s", "a", "1"), DATE)
    assert share.files() == {"incoming/s/a": b"first"}
