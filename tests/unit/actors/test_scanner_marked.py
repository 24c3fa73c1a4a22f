"""Which files the Scanner reports where each one needs a marker. Real leases and writers; no time passes but what a test says."""

import errno
import os
from collections.abc import Callable

import pytest

from nfsw.actors.call_board import CallBoard
from nfsw.actors.files import Arrival, FileRef
from nfsw.actors.lease import Announcement, Lease
from nfsw.actors.messages import DisplacedFile, FileStable, OpenForWriting, ReportAgain, WaitingForMarker
from nfsw.actors.tree import NfsTree
from tests.support.faketime import FakeClock
from tests.support.marking import later
from tests.support.open_elsewhere import open_elsewhere
from tests.support.share import DATE, Share, fingerprint
from tests.support.watching import AGE_S, POLL_S, WRITEBACK_AGE_S, Watching


@pytest.fixture
def watching(tree: NfsTree, board: CallBoard, clock: FakeClock) -> Watching:
    watching = Watching(tree.root, board, clock, done_suffix=".done")
    watching.tick()  # what the file system can tell is known then
    return watching


def marked(share: Share, name: str) -> None:
    share.written(share.incoming(name))
    mark(share, name)


def mark(share: Share, name: str) -> None:
    marker = share.incoming(f"{name}.done")
    marker.touch()
    later(marker, share.incoming(name))


def test_a_file_with_its_marker_is_reported_by_the_first_scan_that_sees_both(watching: Watching, share: Share) -> None:
    marked(share, "a")
    (told,) = watching.tick()
    assert isinstance(told, FileStable)
    assert (told.file, told.version, told.leased) == (Arrival("s", "a"), fingerprint(share.incoming("a")), True)
    assert told.marker == fingerprint(share.incoming("a.done"))
    assert watching.ticks(60) == [], "each version is reported once"


def test_a_file_without_one_waits_however_long_and_is_counted(watching: Watching, share: Share) -> None:
    share.written(share.incoming("a"))
    (told,) = watching.ticks(600)
    assert isinstance(told, WaitingForMarker)
    assert (told.count, told.older, told.oldest) == (1, 0, Arrival("s", "a"))
    mark(share, "a")
    stable, none_waits = watching.tick()
    assert isinstance(stable, FileStable)
    assert none_waits == WaitingForMarker(0)


def test_the_file_that_has_waited_for_longest_is_named(watching: Watching, share: Share) -> None:
    share.written(share.incoming("b"))
    (first,) = watching.ticks(60)
    share.written(share.incoming("a"))
    (second,) = watching.ticks(60)
    assert isinstance(first, WaitingForMarker)
    assert second == WaitingForMarker(2, 0, Arrival("s", "b"), first.since)


def test_a_marker_that_is_older_than_the_file_does_not_count_until_it_is_made_anew(watching: Watching, share: Share) -> None:
    marked(share, "a")
    share.replaced(share.incoming("a"), b"the next version")
    later(share.incoming("a"), share.incoming("a.done"))
    (told,) = watching.ticks(600)
    assert isinstance(told, WaitingForMarker)
    assert (told.count, told.older) == (1, 1)
    mark(share, "a")
    assert watching.stable(POLL_S) == ["a"]


def test_a_change_that_puts_the_times_back_asks_for_the_marker_anew(watching: Watching, share: Share) -> None:
    marked(share, "a")
    before = fingerprint(share.incoming("a"))
    share.written(share.incoming("a"), b"CONTENT")
    os.utime(share.incoming("a"), ns=(0, before.mtime_ns))
    while fingerprint(share.incoming("a")).ctime_ns <= fingerprint(share.incoming("a.done")).ctime_ns:
        os.utime(share.incoming("a"), ns=(0, before.mtime_ns))
    assert fingerprint(share.incoming("a")).same_but_ctime(before)
    assert watching.stable(600) == []


def test_a_marker_alone_is_neither_reported_nor_refused_nor_counted(watching: Watching, share: Share) -> None:
    for name in ("a.done", "b.done.done"):
        share.written(share.incoming(name))
    assert watching.ticks(600) == []


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("a", path)], ids=["folder", "FIFO", "link"])
def test_only_a_regular_file_is_a_marker(watching: Watching, share: Share, make: Callable[[str], None]) -> None:
    share.written(share.incoming("a"))
    make(str(share.incoming("a.done")))
    assert watching.stable(600) == []


@pytest.mark.parametrize("name", ["a", "a.done"])
def test_a_file_waits_while_somebody_has_it_or_its_marker_open(watching: Watching, share: Share, name: str) -> None:
    marked(share, "a")
    with open_elsewhere(share.incoming(name)):
        told = watching.ticks(600)
        assert [type(message) for message in told] == [OpenForWriting]
    mark(share, "a")
    assert watching.stable(120) == ["a"]


def test_extensions_are_those_of_the_file(tree: NfsTree, board: CallBoard, clock: FakeClock, share: Share) -> None:
    watching = Watching(tree.root, board, clock, ".bin", done_suffix=".done")
    for name in ("a.bin", "b.txt"):
        marked(share, name)
    assert watching.stable(60) == ["a.bin"]


def test_case_matters(watching: Watching, share: Share) -> None:
    share.written(share.incoming("a"))
    share.written(share.incoming("a.DONE"))
    assert watching.stable(60) == []


def test_a_file_in_a_folder_has_its_marker_beside_it(tree: NfsTree, board: CallBoard, clock: FakeClock, share: Share) -> None:
    watching = Watching(tree.root, board, clock, recursive=True, done_suffix=".done")
    marked(share, "x/a")
    share.written(share.incoming("x/b"))
    told = watching.ticks(60)
    assert [message.file.name for message in told if isinstance(message, FileStable)] == ["x/a"]
    assert [message.oldest for message in told if isinstance(message, WaitingForMarker)] == [Arrival("s", "x/b")]


def test_a_claimed_file_needs_none(watching: Watching, share: Share) -> None:
    share.written(share.claimed("a"))
    assert watching.stable(60) == ["a"]


def test_one_that_came_to_nothing_is_reported_again(watching: Watching, share: Share) -> None:
    marked(share, "a")
    assert watching.stable(POLL_S) == ["a"]
    watching.hear(ReportAgain(Arrival("s", "a")))
    assert watching.stable(POLL_S) == ["a"]


def test_a_marker_that_is_made_anew_after_the_report_reports_the_file_again_only_when_asked(watching: Watching, share: Share) -> None:
    """The claim finds that the marker is another, and the main process asks."""
    marked(share, "a")
    assert watching.stable(POLL_S) == ["a"]
    os.utime(share.incoming("a.done"))
    assert watching.stable(60) == []
    watching.hear(ReportAgain(Arrival("s", "a")))
    (told,) = watching.tick()
    assert isinstance(told, FileStable)
    assert told.marker == fingerprint(share.incoming("a.done"))


def test_where_no_lease_tells_file_and_marker_have_to_be_quiet(watching: Watching, share: Share, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, *, own_changes_end_it: bool, closing: Announcement) -> Lease:
        return Lease(fd, own_changes_end_it=own_changes_end_it, closing=closing, error=OSError(errno.EINVAL, os.strerror(errno.EINVAL)))

    monkeypatch.setattr(Lease, "on", refuse)
    watching.ticks(120)  # until that is found out again
    marked(share, "a")
    assert watching.stable(WRITEBACK_AGE_S - 2 * POLL_S) == []
    os.utime(share.incoming("a.done"))
    assert watching.stable(WRITEBACK_AGE_S - 2 * POLL_S) == []
    told = [message for message in watching.ticks(4 * POLL_S) if isinstance(message, FileStable)]
    assert [(message.leased, message.marker) for message in told] == [(False, fingerprint(share.incoming("a.done")))]


def test_a_file_beside_a_displaced_marker_goes_by_the_rule_without_markers(watching: Watching, share: Share) -> None:
    """Whether the marker was its own cannot be told any more."""
    share.written(share.incoming("a"))
    displaced = share.root / ".nfsw/aside/s/1.markers/a.done"
    share.written(displaced)
    later(displaced, share.incoming("a"))
    assert watching.stable(AGE_S) == []
    told = watching.ticks(4 * POLL_S)
    assert DisplacedFile("s", "a.done", "1.markers") in told
    assert [(message.file.name, message.marker) for message in told if isinstance(message, FileStable)] == [("a", None)]


def test_but_not_a_later_version_of_it(watching: Watching, share: Share) -> None:
    displaced = share.root / ".nfsw/aside/s/1.markers/a.done"
    share.written(displaced)
    share.written(share.incoming("a"))
    later(share.incoming("a"), displaced)
    assert watching.stable(600) == []


def test_without_the_setting_a_marker_is_a_file_like_any_other(tree: NfsTree, board: CallBoard, clock: FakeClock, share: Share) -> None:
    watching = Watching(tree.root, board, clock)
    marked(share, "a")
    assert sorted(watching.stable(60)) == ["a", "a.done"]
    share.written(share.root / ".nfsw/aside/s/1.markers/b.done")
    share.written(share.claimed("c.done"))
    told = watching.ticks(60)
    assert DisplacedFile("s", "b.done", "1.markers") in told
    assert FileRef(DATE, "s", "c.done") in [message.file for message in told if isinstance(message, FileStable)]
