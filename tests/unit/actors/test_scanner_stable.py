"""Which files the Scanner reports as stable, and when. Every tick is called by hand, and no time passes but what a test says."""

import os

import pytest

from nfsw.actors.call_board import CallBoard
from nfsw.actors.files import Arrival, FileRef
from nfsw.actors.messages import FileStable, HiddenFiles, ReportAgain
from nfsw.actors.scanner import REPORT_AGAIN_S
from nfsw.actors.tree import NfsTree
from tests.support.faketime import FakeClock
from tests.support.mortal_nfs import EventfulNfs
from tests.support.open_elsewhere import open_elsewhere
from tests.support.share import DATE, Share
from tests.support.watching import AGE_S, POLL_S, Watching

#: Seconds after which a file that is quiet has been reported, for sure.
SOON = AGE_S + 2 * POLL_S


def test_a_quiet_file_is_reported_once_when_it_has_been_seen_twice_and_is_old_enough(watching: Watching, share: Share) -> None:
    fingerprint = share.written(share.incoming("a"))
    told = [watching.tick() for _ in range(20)]
    stable = FileStable(Arrival("s", "a"), fingerprint, watching.clock.now() - 38, leased=True)
    assert told == [[], [], [], [stable], *([[]] * 16)], "seen at 2, 4, 6 and 8 s: 5 s are over at 8"


def test_a_growing_file_is_not_reported_until_it_rests(watching: Watching, share: Share) -> None:
    """Its writer pauses for 4 s between two appends: less than the age."""
    path = share.incoming("a")
    share.written(path)
    for _ in range(10):
        with path.open("ab") as file:
            file.write(b"more")
        assert watching.ticks(4) == []
    assert watching.stable(SOON) == ["a"]


def test_a_file_that_is_changed_in_place_starts_over(watching: Watching, share: Share) -> None:
    """Same size and inode: preallocated, and filled. Only mtime tells."""
    path = share.incoming("a")
    share.written(path, bytes(100))
    for number in range(5):
        with path.open("r+b") as file:
            file.write(b"%d" % number)
        assert watching.ticks(4) == []
    assert watching.stable(SOON) == ["a"]


def test_a_file_that_is_replaced_by_one_of_its_size_and_mtime_starts_over(watching: Watching, share: Share) -> None:
    share.written(share.incoming("a"), b"1")
    for number in range(2, 6):
        mtime_ns = share.incoming("a").stat().st_mtime_ns
        made = share.root / "made"
        made.write_bytes(b"%d" % number)
        os.utime(made, ns=(mtime_ns, mtime_ns))
        made.rename(share.incoming("a"))
        assert watching.ticks(4) == []
    assert watching.stable(SOON) == ["a"]


def test_a_writer_that_puts_the_mtime_back_after_each_write_starts_over(watching: Watching, share: Share) -> None:
    """Same size, mtime and inode: only the ctime tells."""
    path = share.incoming("a")
    mtime_ns = share.written(path, b"0").mtime_ns
    for number in range(1, 6):
        with path.open("r+b") as file:
            file.write(b"%d" % number)
        os.utime(path, ns=(mtime_ns, mtime_ns))
        assert watching.ticks(4) == []
    assert watching.stable(SOON) == ["a"]


@pytest.mark.parametrize("mtime", [0, 1, 10**9, 32503680000], ids=["1970", "1970 too", "2001", "3000"])
def test_an_mtime_of_long_ago_or_of_the_future_does_no_harm(watching: Watching, share: Share, mtime: int) -> None:
    """`cp -p` of an old file, a writer whose clock is wrong: the age is ours to measure."""
    path = share.incoming("a")
    share.written(path)
    for size in range(1, 5):
        path.write_bytes(b"x" * size)
        os.utime(path, (mtime, mtime))
        assert watching.ticks(4) == [], "an old mtime lets no growing file through"
    assert watching.stable(SOON) == ["a"]


def test_time_that_a_look_takes_is_no_quiet_time(
    tree: NfsTree, board: CallBoard, clock: FakeClock, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server hangs in the first look at a file. When it answers nobody knows how long the file has been as it says."""
    nfs = EventfulNfs(tree, board)
    monkeypatch.setattr("nfsw.actors.scanner.Nfs", lambda *_: nfs)
    watching = Watching(tree.root, board, clock)
    share.written(share.incoming("a"))

    def hang() -> None:
        clock.advance(60)
        share.written(share.incoming("a"), b"written a moment before the server answers")

    nfs.at["statx", "incoming/s/a"] = hang
    watching.tick()
    assert not nfs.at
    assert watching.stable(AGE_S - 1) == []
    assert watching.stable(SOON) == ["a"]


def test_each_version_is_reported_once(watching: Watching, share: Share) -> None:
    """What became of the one before is nothing that the Scanner has to know."""
    for content in (b"first", b"next", b"last"):
        version = share.written(share.incoming("a"), content)
        stable = [message for message in watching.ticks(60) if isinstance(message, FileStable)]
        assert [message.version for message in stable] == [version]


def test_a_new_file_with_the_name_of_a_reported_one_is_reported(watching: Watching, share: Share) -> None:
    for path in (share.incoming("a"), share.claimed("a")):
        share.written(path)
        assert watching.stable(60) == ["a"]
        share.replaced(path, path.read_bytes())
        assert watching.stable(AGE_S - POLL_S) == [], "it has to be quiet first"
        assert watching.stable(SOON) == ["a"]


def test_a_new_version_that_somebody_has_open_is_not_reported_before_it_is_closed(watching: Watching, share: Share) -> None:
    share.written(share.claimed("a"))
    assert watching.stable(SOON) == ["a"]
    with open_elsewhere(share.claimed("a")):
        share.written(share.claimed("a"), b"more of it")
        assert watching.stable(60) == []
    assert watching.stable(60) == ["a"]


def test_everything_is_reported_again_after_ten_minutes_and_not_before(watching: Watching, share: Share) -> None:
    """Should a bug have lost a file, it comes back by itself."""
    share.written(share.incoming("new"))
    share.written(share.claimed("claimed"))
    for _ in range(3):
        told = sorted(watching.stable(SOON))
        assert told == ["claimed", "new"]
        assert watching.stable(REPORT_AGAIN_S - SOON) == []


def test_a_file_that_is_to_be_reported_again_is_after_it_was_quiet_again(watching: Watching, share: Share) -> None:
    share.written(share.incoming("a"))
    assert watching.stable(SOON) == ["a"]
    assert watching.stable(60) == []
    watching.hear(ReportAgain(Arrival("s", "a")))
    assert watching.stable(AGE_S) == []
    assert watching.stable(SOON) == ["a"]


def test_a_claimed_file_of_a_held_session_is_reported_wherever_it_was_left(watching: Watching, share: Share) -> None:
    watching.watch("s", "adopted")
    for date, session in ((DATE, "s"), ("20251231", "s"), (DATE, "adopted"), (DATE, "another pod's")):
        share.written(share.claimed("a", session, date))
    found = [message.file for message in watching.ticks(SOON) if isinstance(message, FileStable)]
    assert set(found) == {FileRef(DATE, "s", "a"), FileRef("20251231", "s", "a"), FileRef(DATE, "adopted", "a")}


def test_only_new_files_of_the_active_session_are_reported(watching: Watching, share: Share) -> None:
    watching.watch("s", "adopted")
    for session in ("s", "adopted", "another"):
        share.written(share.incoming("a", session))
    assert [message.file for message in watching.ticks(SOON) if isinstance(message, FileStable)] == [Arrival("s", "a")]


def test_without_a_session_nothing_is_reported(watching: Watching, share: Share) -> None:
    watching.watch(None)
    share.written(share.incoming("a"))
    share.written(share.claimed("a"))
    assert watching.ticks(SOON) == []


def test_of_a_flood_of_new_files_each_gets_its_first_look_in_turn(
    watching: Watching, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nfsw.actors.folder_scan.FRESH_SIGHTS", 3)
    names = [f"{number:02}" for number in range(20)]
    for name in names:
        share.written(share.incoming(name))
    assert watching.tick() == []
    assert sorted(watching.stable(POLL_S * (20 / 3 + 2) + SOON)) == names


@pytest.mark.parametrize("name", [".a", ".nfs0000000000000001", ".a.bin"])
def test_hidden_files_are_not_looked_at(watching: Watching, share: Share, name: str) -> None:
    share.written(share.incoming(name))
    share.written(share.claimed(name))
    assert watching.ticks(SOON) == [HiddenFiles(1)]


def test_links_pipes_folders_and_sockets_are_never_reported(watching: Watching, share: Share) -> None:
    for folder in (share.incoming(""), share.claimed("")):
        folder.mkdir(parents=True)
        (folder / "folder").mkdir()
        (folder / "link").symlink_to("/etc/passwd")
        (folder / "link to a file").symlink_to(folder / "a")
        os.mkfifo(folder / "pipe")
        os.mknod(folder / "device", 0o20600, os.makedev(1, 3))
        (folder / "a").touch()
    assert watching.stable(SOON) == ["a", "a"]


def test_a_folder_that_takes_a_files_place_before_it_is_reported_is_left_alone(watching: Watching, share: Share) -> None:
    share.written(share.incoming("a"))
    watching.tick()
    share.incoming("a").unlink()
    share.incoming("a").mkdir()
    assert watching.ticks(SOON) == []


def test_the_extension_filter_spares_the_others_even_a_look(tree: NfsTree, board: CallBoard, clock: FakeClock, share: Share) -> None:
    watching = Watching(tree.root, board, clock, ".bin", ".dat")
    for name in ("a.bin", "b.dat", "c.txt", "bin", "d.bin.tmp"):
        share.written(share.incoming(name))
    share.written(share.claimed("claimed before the filter was set.txt"))
    before = board.finished()
    watching.tick()
    few = board.finished() - before
    for number in range(100):
        share.written(share.incoming(f"{number}.txt"))
    before = board.finished()
    watching.tick()
    assert board.finished() - before <= few
    assert sorted(watching.stable(SOON)) == ["a.bin", "b.dat", "claimed before the filter was set.txt"]
