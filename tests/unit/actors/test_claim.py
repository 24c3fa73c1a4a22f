"""The claim: what it takes, what it leaves, and whom it lets go first."""

import errno
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from nfsw.actors.claim import ClaimedFile, NotClaimed, claim, finish, restore
from nfsw.actors.messages import DisplacedFile
from tests.support.claiming import FILE, LINK, RENAME, Scene, claimed, drained, ignored, with_folders
from tests.support.mortal_nfs import refused
from tests.support.open_elsewhere import Writer, open_elsewhere
from tests.support.share import DATE, fingerprint


def test_a_claim_gives_the_file_another_name_and_leaves_it_as_it_is(scene: Scene) -> None:
    share, nfs = scene
    before = fingerprint(share.incoming("a"))
    assert claimed(share, nfs) == ClaimedFile(fingerprint(share.claimed("a")), stable=True)
    assert share.files() == {f".processing/{DATE}/s/a": b"first"}
    assert fingerprint(share.claimed("a")).same_but_ctime(before)
    assert share.claimed("a").stat().st_nlink == 1


def test_a_claim_makes_twelve_calls_once_its_folders_are_there(scene: Scene) -> None:
    """Each is a round trip to the server, for each of 10,000 small files."""
    share, nfs = scene
    with_folders(share)
    claimed(share, nfs)
    assert nfs.calls == [
        *("statx", "statx", "open", "lease", "statx"),
        *("link", "statx", "rename", "scandir", "unlink"),
        *("statx", "close"),
    ]


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
    assert claim(nfs, FILE, expected, "1", leased=True) is NotClaimed.CHANGED
    assert share.files() == {"incoming/s/a": b"first and more"}


def test_a_change_that_puts_size_and_mtime_back_is_a_change(scene: Scene) -> None:
    """As `touch -r` and `exiftool -P` do. Nobody can put the ctime back."""
    share, nfs = scene
    expected = fingerprint(share.incoming("a"))
    share.written(share.incoming("a"), b"FIRST")
    os.utime(share.incoming("a"), ns=(0, expected.mtime_ns))
    assert fingerprint(share.incoming("a")).same_but_ctime(expected)
    assert claim(nfs, FILE, expected, "1", leased=True) is NotClaimed.CHANGED
    assert share.files() == {"incoming/s/a": b"FIRST"}


def test_a_writer_that_appends_in_the_instant_of_the_claim_has_its_bytes_in_the_claimed_file(scene: Scene) -> None:
    """On NFS our own calls end the lease. The claim is not undone: the file is not stable, and has to become so."""
    share, nfs = scene
    with_folders(share)
    nfs.seen_as = "nfs4"
    expected = fingerprint(share.incoming("a"))
    nfs.before[LINK] = lambda: ignored(share.written(share.incoming("a"), b"first and more"))
    assert claim(nfs, FILE, expected, "1", leased=True) == ClaimedFile(fingerprint(share.claimed("a")), stable=False)
    assert share.files() == {f".processing/{DATE}/s/a": b"first and more"}


def test_a_file_that_somebody_has_open_is_not_claimed(scene: Scene) -> None:
    share, nfs = scene
    with open_elsewhere(share.incoming("a")):
        assert claimed(share, nfs) is NotClaimed.OPEN
        assert share.files() == {"incoming/s/a": b"first"}
    assert claimed(share, nfs) == ClaimedFile(fingerprint(share.claimed("a")), stable=True)


def test_a_file_that_somebody_opens_in_the_instant_of_the_claim_is_claimed_and_not_stable(scene: Scene) -> None:
    share, nfs = scene
    nfs.seen_as = "nfs4"
    with_folders(share)
    with ExitStack() as writers:
        nfs.before[RENAME] = lambda: ignored(writers.enter_context(open_elsewhere(share.incoming("a"))))
        assert claimed(share, nfs) == ClaimedFile(fingerprint(share.claimed("a")), stable=False)
        assert finish(nfs, FILE, fingerprint(share.claimed("a")), "1", leased=True) is NotClaimed.OPEN
    assert finish(nfs, FILE, fingerprint(share.claimed("a")), "1", leased=True) == ClaimedFile(fingerprint(share.claimed("a")), stable=True)


def test_where_nobody_can_tell_who_has_it_open_a_claim_asks_for_no_lease(scene: Scene) -> None:
    share, nfs = scene
    with open_elsewhere(share.incoming("a")):
        outcome = claim(nfs, FILE, fingerprint(share.incoming("a")), "1", leased=False)
    assert outcome == ClaimedFile(fingerprint(share.claimed("a")), stable=True)
    assert "lease" not in nfs.calls


def test_a_writer_waits_no_longer_than_the_claim_takes(scene: Scene) -> None:
    """On a local file system the lease lasts from before the first change to the last look."""
    share, nfs = scene
    waiting: list[Writer] = []
    nfs.before[LINK] = lambda: waiting.append(Writer(share.incoming("a")))
    claimed(share, nfs)
    (writer,) = waiting
    writer.opened()
    writer.close()


def test_a_newer_version_is_kept_though_the_client_still_takes_its_name_for_the_old_one(scene: Scene) -> None:
    """As an NFS client does when a writer on another node has renamed it into place: only a listing tells, and mends that."""
    share, nfs = scene
    with_folders(share)
    first = nfs.observe(str(share.incoming("a")))
    displaced = str(share.root / ".nfsw/aside/s/1/a")
    observe, listed_inode = nfs.observe, nfs.listed_inode
    stale = {displaced: first}

    def mending(path: str) -> int | None:
        stale.pop(path, None)
        return listed_inode(path)

    nfs.observe = lambda path: stale[path] if path in stale and Path(path).exists() else observe(path)  # type: ignore[method-assign]
    nfs.listed_inode = mending  # type: ignore[method-assign]
    nfs.before[RENAME] = lambda: ignored(share.replaced(share.incoming("a"), b"second one"))
    assert claimed(share, nfs) == ClaimedFile(fingerprint(share.claimed("a")), stable=True)
    assert share.files() == {f".processing/{DATE}/s/a": b"first", "incoming/s/a": b"second one"}


def test_a_displaced_name_that_the_client_takes_for_another_file_stays_where_it_is(scene: Scene) -> None:
    """A link would give the name to the other file, and the newer version would have none."""
    share, nfs = scene
    share.written(share.root / ".nfsw/aside/s/1/a", b"second one")
    other = nfs.observe(str(share.incoming("a")))
    observe = nfs.observe
    nfs.observe = lambda path: other if "aside" in path else observe(path)  # type: ignore[method-assign]
    before = share.files()
    with pytest.raises(OSError, match="still takes the name"):
        restore(nfs, DisplacedFile("s", "a", "1"), DATE)
    assert share.files() == before


def test_what_has_gone_is_gone(scene: Scene) -> None:
    share, nfs = scene
    expected = fingerprint(share.incoming("a"))
    share.incoming("a").unlink()
    assert claim(nfs, FILE, expected, "1", leased=True) is NotClaimed.GONE
    assert share.files() == {}


def test_a_link_in_the_files_place_is_not_claimed(scene: Scene) -> None:
    share, nfs = scene
    expected = fingerprint(share.incoming("a"))
    share.incoming("a").unlink()
    share.incoming("a").symlink_to("/etc/passwd")
    assert claim(nfs, FILE, expected, "1", leased=True) is NotClaimed.CHANGED
    assert share.incoming("a").is_symlink()
    assert not share.claimed("a").is_symlink()


def test_a_displaced_name_that_waits_is_never_replaced_by_the_next_claim(scene: Scene) -> None:
    """Three versions within one claim: the first is sent, and the third was reported before the second is back."""
    share, nfs = scene
    with_folders(share)
    expected = fingerprint(share.incoming("a"))
    nfs.before[RENAME] = lambda: ignored(share.replaced(share.incoming("a"), b"second one"))
    nfs.after[RENAME] = lambda: ignored(share.written(share.incoming("a"), b"the third version"))
    assert claim(nfs, FILE, expected, "1", leased=True) == ClaimedFile(fingerprint(share.claimed("a")), stable=True)
    assert set(share.files().values()) == {b"first", b"second one", b"the third version"}
    share.claimed("a").unlink()
    assert claimed(share, nfs) is NotClaimed.TAKEN
    assert drained(share, nfs) == [b"second one", b"the third version"]


def test_a_displaced_name_goes_before_the_newer_file_that_has_its_name_in_incoming(scene: Scene) -> None:
    share, nfs = scene
    share.written(share.root / ".nfsw/aside/s/1/a", b"older")
    restore(nfs, DisplacedFile("s", "a", "1"), DATE)
    assert share.files() == {"incoming/s/a": b"first", f".processing/{DATE}/s/a": b"older"}


@pytest.mark.parametrize("name", ["a", "a.completed"])
def test_a_displaced_name_waits_while_another_file_of_the_name_is_being_processed(scene: Scene, name: str) -> None:
    share, nfs = scene
    share.written(share.root / ".nfsw/aside/s/1/a", b"second")
    share.written(share.claimed(name), b"older")
    before = share.files()
    restore(nfs, DisplacedFile("s", "a", "1"), DATE)
    assert share.files() == before


def test_a_replayed_link_that_says_exists_is_a_claim(scene: Scene) -> None:
    """NFS may answer EEXIST to a request that it has carried out a moment ago."""
    share, nfs = scene
    with_folders(share)
    nfs.after[LINK] = refused(errno.EEXIST)
    assert claimed(share, nfs) == ClaimedFile(fingerprint(share.claimed("a")), stable=True)
    assert share.files() == {f".processing/{DATE}/s/a": b"first"}


def test_a_replayed_rename_that_says_gone_is_looked_at(scene: Scene) -> None:
    share, nfs = scene
    with_folders(share)
    nfs.after[RENAME] = refused(errno.ENOENT)
    assert claimed(share, nfs) == ClaimedFile(fingerprint(share.claimed("a")), stable=True)
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
    assert claimed(share, nfs) == ClaimedFile(fingerprint(share.claimed("a")), stable=True)
    assert share.files() == {f".processing/{DATE}/s/a": b"first", "incoming/s/b": b"first"}
    seen = nfs.observe(str(share.claimed("a")))
    assert seen is not None
    finish(nfs, FILE, seen.fingerprint, "2", leased=True)
    assert share.files() == {f".processing/{DATE}/s/a": b"first", "incoming/s/b": b"first"}


def test_finish_leaves_a_newer_file_of_the_name_alone(scene: Scene) -> None:
    share, nfs = scene
    claimed(share, nfs)
    share.written(share.incoming("a"), b"second")
    os.link(share.claimed("a"), share.root / "a name that somebody gave it")
    seen = nfs.observe(str(share.claimed("a")))
    assert seen is not None
    finish(nfs, FILE, seen.fingerprint, "2", leased=True)
    assert share.incoming("a").read_bytes() == b"second"
    assert share.claimed("a").read_bytes() == b"first"


def test_a_displaced_name_whose_file_was_claimed_on_another_day_is_removed(scene: Scene) -> None:
    share, nfs = scene
    before = share.claimed("a", date="20260130")
    share.written(before, b"yesterday's")
    displaced = share.root / ".nfsw/aside/s/1/a"
    displaced.parent.mkdir(parents=True)
    os.link(before, displaced)
    restore(nfs, DisplacedFile("s", "a", "1"), DATE)
    assert not displaced.exists()
    assert before.read_bytes() == b"yesterday's"
    assert share.incoming("a").read_bytes() == b"first"


def test_a_displaced_name_that_has_gone_meanwhile_is_nothing_to_do(scene: Scene) -> None:
    share, nfs = scene
    restore(nfs, DisplacedFile("s", "a", "1"), DATE)
    assert share.files() == {"incoming/s/a": b"first"}
