"""What the Scanner makes of files that somebody has open for writing. Real leases and writers; no time passes but what a test says."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise

import pytest

from nfsw.actors.call_board import CallBoard
from nfsw.actors.files import Arrival, FileRef
from nfsw.actors.lease import Announcement, Lease
from nfsw.actors.messages import FileStable, LinksInTheWay, OpenForWriting
from nfsw.actors.stability import Rule
from nfsw.actors.tree import NfsTree
from tests.support.claiming import ignored
from tests.support.faketime import FakeClock
from tests.support.mortal_nfs import EventfulNfs, refused
from tests.support.open_elsewhere import open_elsewhere
from tests.support.share import DATE, Share
from tests.support.watching import AGE_S, POLL_S, WRITEBACK_AGE_S, Watching

SOON = AGE_S + 2 * POLL_S


@pytest.fixture
def nfs(tree: NfsTree, board: CallBoard, monkeypatch: pytest.MonkeyPatch) -> EventfulNfs:
    """To be asked for before `watching`."""
    nfs = EventfulNfs(tree, board)
    monkeypatch.setattr("nfsw.actors.scanner.Nfs", lambda *_: nfs)
    return nfs


@contextmanager
def refusing(monkeypatch: pytest.MonkeyPatch, code: int, when: Callable[[str], bool] = lambda _: True) -> Iterator[list[str]]:
    """Leases are answered with this error where `when` holds for the path. Yields the paths that were asked about."""
    asked: list[str] = []
    ask = Lease.on

    def answer(fd: int, *, own_changes_end_it: bool, closing: Announcement) -> Lease:
        path = os.readlink(f"/proc/self/fd/{fd}")
        asked.append(path)
        if when(path):
            return Lease(fd, own_changes_end_it=own_changes_end_it, closing=closing, error=OSError(code, os.strerror(code)))
        return ask(fd, own_changes_end_it=own_changes_end_it, closing=closing)

    with monkeypatch.context() as patch:
        patch.setattr(Lease, "on", answer)
        yield asked


def is_a_writers(path: str) -> bool:
    return ".nfsw" not in path


def test_a_quiet_file_is_not_reported_while_somebody_has_it_open_however_long(watching: Watching, share: Share) -> None:
    share.written(share.incoming("a"))
    with open_elsewhere(share.incoming("a")):
        assert watching.stable(3600) == []
    assert watching.stable(120) == ["a"]


def test_neither_is_one_that_was_claimed_before(watching: Watching, share: Share) -> None:
    share.written(share.claimed("a"))
    with open_elsewhere(share.claimed("a")):
        assert [type(message) for message in watching.ticks(60)] == [OpenForWriting]
    told = watching.ticks(60)
    assert OpenForWriting(0) in told
    assert [message.file for message in told if isinstance(message, FileStable)] == [FileRef(DATE, "s", "a")]


def test_how_many_are_open_and_since_when_the_oldest_is_told_when_it_changes(watching: Watching, share: Share) -> None:
    with ExitStack() as writers:
        share.written(share.incoming("a"))
        writers.enter_context(open_elsewhere(share.incoming("a")))
        (first,) = watching.ticks(60)
        assert first == OpenForWriting(1, Arrival("s", "a"), first.since)  # type: ignore[attr-defined]
        share.written(share.incoming("b"))
        later = writers.enter_context(open_elsewhere(share.incoming("b")))
        (second,) = watching.ticks(60)
        assert second == OpenForWriting(2, Arrival("s", "a"), first.since)
        later.close()
        told = watching.ticks(60)
        assert first in told
        assert [message.file.name for message in told if isinstance(message, FileStable)] == ["b"]
    assert OpenForWriting(0) in watching.ticks(120)


def test_one_that_is_gone_or_no_longer_watched_is_no_longer_counted(watching: Watching, share: Share) -> None:
    for name in ("a", "b"):
        share.written(share.incoming(name))
    with open_elsewhere(share.incoming("a")), open_elsewhere(share.incoming("b")):
        assert [message.count for message in watching.ticks(60) if isinstance(message, OpenForWriting)] == [2]
        share.incoming("a").unlink()
        assert [message.count for message in watching.ticks(60) if isinstance(message, OpenForWriting)] == [1]
        watching.watch(None)
        assert watching.ticks(60) == [OpenForWriting(0)]


def test_a_file_that_is_written_at_its_close_is_reported_once_it_is_quiet_again(watching: Watching, share: Share) -> None:
    """As another NFS client does, which sends what it was keeping. Nobody waits for the turn of the file then."""
    share.written(share.incoming("a"))
    with open_elsewhere(share.incoming("a")):
        assert watching.stable(7200) == []
    share.written(share.incoming("a"), b"the rest of it")
    assert watching.stable(SOON) == ["a"]


def test_an_open_file_is_asked_about_once_a_scan_and_ever_less_often(
    watching: Watching, share: Share, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    share.written(share.incoming("a"))
    times: list[float] = []
    with refusing(monkeypatch, errno.EAGAIN, is_a_writers) as asked:
        for _ in range(1800):
            asked.clear()
            watching.tick()
            asked_here = [path for path in asked if is_a_writers(path)]
            assert len(asked_here) <= 1
            times += [clock.now()] * len(asked_here)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[0] == POLL_S
    assert max(pauses) <= 60 + POLL_S
    assert len(times) < 200, "of 1,800 scans"


def test_of_ten_thousand_open_files_a_scan_asks_about_a_hundred_and_looks_at_a_thousand_until_each_has_had_its_turn(
    nfs: EventfulNfs, watching: Watching, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = share.incoming("")
    folder.mkdir(parents=True)
    for number in range(3000):
        (folder / str(number)).touch()
    with refusing(monkeypatch, errno.EAGAIN, is_a_writers) as asked:
        watching.ticks(60)
        assert len({path for path in asked if is_a_writers(path)}) == 3000
        seen: set[str] = set()
        for _ in range(60):
            asked.clear()
            nfs.calls.clear()
            watching.tick()
            assert sum(map(is_a_writers, asked)) <= 100
            assert nfs.calls.count("stat") <= 4, "of 256 files each"
            seen |= set(filter(is_a_writers, asked))
    assert len(seen) == 3000


def test_a_file_of_which_nobody_can_tell_has_to_be_quiet_for_longer(
    watching: Watching, share: Share, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is another owner's, and the pod lacks a capability. The others go by the lease."""
    for name in ("another's", "another's too", "ours"):
        share.written(share.incoming(name))
    with refusing(monkeypatch, errno.EACCES, lambda path: "another" in path):
        assert watching.stable(SOON) == ["ours"]
        told = watching.ticks(WRITEBACK_AGE_S)
    assert sorted(message.file.name for message in told if isinstance(message, FileStable) and not message.leased) == [
        "another's",
        "another's too",
    ]
    assert sum("cannot tell whether some files are open" in message for message in caplog.messages) == 1


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM])
def test_a_file_that_may_not_be_opened_has_to_be_quiet_for_longer_and_is_then_its_claims_trouble(
    nfs: EventfulNfs, watching: Watching, share: Share, code: int
) -> None:
    share.written(share.incoming("a"))
    nfs.at["open", "incoming/s/a"] = refused(code)
    assert watching.stable(WRITEBACK_AGE_S) == []
    assert watching.stable(2 * POLL_S) == ["a"]


def test_a_file_that_is_changed_between_the_last_look_and_its_lease_starts_over(nfs: EventfulNfs, watching: Watching, share: Share) -> None:
    share.written(share.incoming("a"))
    nfs.at["open", "incoming/s/a"] = lambda: ignored(share.written(share.incoming("a"), b"changed"))
    assert watching.stable(SOON) == []
    assert not nfs.at
    assert watching.stable(SOON) == ["a"]


def test_a_file_that_changes_unseen_by_the_cache_is_not_opened(
    nfs: EventfulNfs, watching: Watching, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that has to call a delegation back from us because the writer goes on gives none for that file for a minute."""
    stale = share.written(share.incoming("a"))
    watching.ticks(AGE_S)
    with refusing(monkeypatch, errno.EAGAIN, lambda _: False) as asked, monkeypatch.context() as cached:
        cached.setattr(nfs, "stats", lambda _, entries: [stale for _ in entries])
        share.written(share.incoming("a"), b"changed")
        watching.ticks(2 * POLL_S)
    assert not any(map(is_a_writers, asked))
    assert watching.stable(SOON) == ["a"]


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ESTALE, errno.ELOOP])
def test_a_file_that_goes_before_it_can_be_opened_is_no_trouble(nfs: EventfulNfs, watching: Watching, share: Share, code: int) -> None:
    share.written(share.incoming("a"))
    nfs.at["open", "incoming/s/a"] = refused(code)
    told = watching.ticks(SOON + POLL_S)
    assert [type(message) for message in told] == [FileStable], "the next scan found it there after all"


def test_where_nobody_can_tell_of_any_file_each_has_to_be_quiet_for_longer_and_none_counts_as_open(
    watching: Watching, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    share.written(share.incoming("a"))
    with refusing(monkeypatch, errno.EINVAL), open_elsewhere(share.incoming("a")):
        assert watching.ticks(WRITEBACK_AGE_S) == []
        (stable,) = watching.ticks(2 * POLL_S)
    assert isinstance(stable, FileStable)
    assert not stable.leased


def test_until_it_is_known_whether_leases_tell_anything_no_file_is_reported(
    watching: Watching, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leases on a file of our own may be refused for some seconds after the start, and then say that the rule is time."""
    share.written(share.incoming("a"))
    with refusing(monkeypatch, errno.EAGAIN):
        watching.tick()
        assert watching.rule() is None
        watching.ticks(AGE_S + POLL_S)
        assert watching.rule() is Rule.TIME
        assert watching.stable(WRITEBACK_AGE_S) == ["a"]


def test_an_outage_has_it_found_out_anew_whether_leases_tell_anything(
    nfs: EventfulNfs, watching: Watching, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching.tick()
    assert watching.rule() is Rule.LEASE
    nfs.at["statvfs", str(share.root)] = refused(errno.EIO)
    watching.tick()
    with refusing(monkeypatch, errno.EINVAL):
        watching.tick()
    assert watching.rule() is Rule.TIME


def test_a_look_that_took_long_does_so_too(
    nfs: EventfulNfs, watching: Watching, share: Share, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching.tick()
    nfs.at["statvfs", str(share.root)] = lambda: clock.advance(20)
    watching.tick()
    with refusing(monkeypatch, errno.EINVAL):
        watching.tick()
    assert watching.rule() is Rule.TIME


@pytest.mark.parametrize("place", ["incoming/s", f".processing/{DATE}", f".processing/{DATE}/s", ".processing"])
def test_a_link_in_a_folders_place_is_said_once_and_not_followed(
    watching: Watching, share: Share, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = share.root / "elsewhere"
    for name in ("a", "s/a", f"{DATE}/s/a"):
        share.written(elsewhere / name)
    (share.root / place).parent.mkdir(parents=True, exist_ok=True)
    (share.root / place).symlink_to(elsewhere)
    assert watching.ticks(60) == [LinksInTheWay((place,))]
    assert sum("is a symbolic link" in message for message in caplog.messages) == 1
    (share.root / place).unlink()
    assert watching.ticks(SOON) == [LinksInTheWay(())]


def test_a_link_that_is_nobodys_is_left_alone(watching: Watching, share: Share) -> None:
    share.written(share.claimed("a", session="another"))
    (share.root / ".processing/latest").symlink_to(DATE)
    share.claimed("", session="a link").parent.joinpath("latest").symlink_to("another")
    assert watching.ticks(60) == []
