"""What the Scanner tells besides stable files: refusals, sessions, displaced names, and trouble."""

import errno
import os
from unittest.mock import ANY

import pytest

from nfsw.actors.call_board import CallBoard
from nfsw.actors.channel import PACKET, pack
from nfsw.actors.envelope import Envelope
from nfsw.actors.files import Arrival, FileRef
from nfsw.actors.messages import (
    DisplacedFile,
    FileGone,
    FileRefused,
    FileStable,
    HiddenFiles,
    RefusalLifted,
    ReportAgain,
    ScanFailed,
    ScanFinished,
    SessionFound,
)
from nfsw.actors.tree import NfsTree
from tests.support.mortal_nfs import EventfulNfs, refused
from tests.support.share import DATE, Share
from tests.support.watching import AGE_S, LARGEST, POLL_S, Watching

SOON = AGE_S + 2 * POLL_S


@pytest.fixture
def eventful(tree: NfsTree, board: CallBoard, monkeypatch: pytest.MonkeyPatch) -> EventfulNfs:
    """To be asked for before `watching`."""
    nfs = EventfulNfs(tree, board)
    monkeypatch.setattr("nfsw.actors.scanner.Nfs", lambda *_: nfs)
    return nfs


ODD = os.fsdecode(b"\xff")


@pytest.mark.parametrize("name", ["a.completed", "a\n", "a\\b", "a.", ODD, "a" * 250])
def test_a_name_that_cannot_be_sent_is_refused_once_and_left_alone(watching: Watching, share: Share, name: str) -> None:
    share.written(share.incoming(name))
    told = watching.ticks(60)
    assert [type(message) for message in told] == [FileRefused]
    assert share.incoming(name).read_bytes() == b"content"


def test_a_name_that_is_not_utf_8_is_told_as_text_from_its_refusal_to_its_end(watching: Watching, share: Share) -> None:
    """Messages carry nothing else. What is told of is never taken, so nobody has to find it by that name."""
    new, left = Arrival("s", "caf\\xe9"), FileRef(DATE, "s", "caf\\xe9")
    for path in (share.incoming("caf\udce9"), share.claimed("caf\udce9"), share.root / ".nfsw/aside/s/1/caf\udce9"):
        share.written(path)
    (share.root / ".nfsw/aside/s/1/caf\udce9").unlink()
    assert {message.file for message in watching.ticks(60) if isinstance(message, FileRefused)} == {new, left}
    for path in (share.incoming("caf\udce9"), share.claimed("caf\udce9")):
        path.unlink()
    assert {message.file for message in watching.tick() if isinstance(message, RefusalLifted)} == {new, left}
    share.written(share.root / ".nfsw/aside/s/1/caf\udce9")
    assert watching.tick() == [DisplacedFile("s", "caf\\xe9", "1")]


def test_a_folder_whose_name_is_not_utf_8_is_no_sessions(watching: Watching, share: Share) -> None:
    for date in ("20260130", DATE):
        share.claimed("", "caf\udce9", date).mkdir(parents=True)
    assert watching.looked() == ()
    share.written(share.claimed("a", "caf\udce9", "20260130"))
    assert watching.looked() == ()


def test_how_many_names_are_hidden_is_told_when_it_changes(watching: Watching, share: Share) -> None:
    for name in (".a.bin", ".nfs0001", "..b"):
        share.written(share.incoming(name))
    (share.root / "incoming" / "s" / ".folder").mkdir()
    share.written(share.claimed(".c"))
    assert watching.ticks(60) == [HiddenFiles(3)]
    share.incoming(".a.bin").rename(share.incoming("a.bin"))
    assert watching.tick() == [HiddenFiles(2)]
    watching.watch(None, "s")
    assert watching.tick() == [HiddenFiles(0)], "only arrivals are waited for"


def test_a_refusal_is_lifted_when_the_file_is_gone(watching: Watching, share: Share) -> None:
    share.written(share.incoming("a."))
    watching.tick()
    share.incoming("a.").rename(share.incoming("a"))
    assert watching.tick() == [RefusalLifted(Arrival("s", "a."))]
    assert watching.stable(SOON) == ["a"]


def test_a_file_that_can_never_be_staged_is_refused_once_it_is_whole(watching: Watching, share: Share) -> None:
    share.written(share.incoming("a"), bytes(LARGEST + 1))
    (told,) = watching.ticks(60)
    assert isinstance(told, FileRefused)
    assert str(LARGEST + 1) in told.reason
    assert str(LARGEST) in told.reason


def test_one_of_just_the_largest_size_is_taken(watching: Watching, share: Share) -> None:
    share.written(share.incoming("a"), bytes(LARGEST))
    assert watching.stable(SOON) == ["a"]


def test_a_file_that_was_too_large_is_taken_when_it_is_smaller(watching: Watching, share: Share) -> None:
    share.written(share.incoming("a"), bytes(LARGEST + 1))
    watching.ticks(60)
    smaller = share.written(share.incoming("a"), b"smaller")
    assert watching.ticks(SOON) == [RefusalLifted(Arrival("s", "a")), FileStable(Arrival("s", "a"), smaller, ANY, leased=True)]


def test_a_file_that_was_too_large_and_still_is_is_refused_anew(watching: Watching, share: Share) -> None:
    for size in (LARGEST + 1, LARGEST + 2):
        share.written(share.incoming("a"), bytes(size))
        reasons = [message.reason for message in watching.ticks(60) if isinstance(message, FileRefused)]
        assert len(reasons) == 1
        assert str(size) in reasons[0]


def test_refusals_of_a_session_that_is_given_up_are_lifted(watching: Watching, share: Share) -> None:
    share.written(share.incoming("a."))
    share.written(share.claimed("b."))
    watching.tick()
    watching.watch(None)
    assert set(watching.told.taken()) == {RefusalLifted(Arrival("s", "a.")), RefusalLifted(FileRef(DATE, "s", "b."))}


def test_a_claimed_file_that_was_to_be_reported_again_and_is_gone_is_told(watching: Watching, share: Share) -> None:
    share.written(share.claimed("a"))
    watching.ticks(SOON)
    watching.hear(ReportAgain(FileRef(DATE, "s", "a")))
    share.claimed("a").unlink()
    assert watching.tick() == [FileGone(FileRef(DATE, "s", "a"))]
    assert watching.tick() == []


def test_a_completed_file_is_not_reported_but_says_that_its_session_has_files(watching: Watching, share: Share) -> None:
    share.written(share.claimed("a.completed"))
    assert watching.ticks(SOON) == []
    assert [session.files for session in watching.looked()] == [True]


def test_sessions_are_found_newest_first_with_their_newest_date(watching: Watching, share: Share) -> None:
    watching.watch(None)
    for date, session, mtime in (
        ("20260101", "old", 1),
        ("20260131", "older today", 2),
        ("20260131", "newer today", 3),
        ("20260101", "s", 9),
    ):
        folder = share.claimed("", session, date)
        folder.mkdir(parents=True)
        os.utime(folder, (mtime, mtime))
    share.written(share.claimed("a", "older today", "20260101"))
    for junk in (".nfs01", "aside", "2026"):
        (share.root / ".processing" / junk / "x").mkdir(parents=True)
    (share.root / ".processing" / DATE / ".hidden").mkdir()
    (share.root / ".processing" / DATE / "a file").touch()
    s = 1_000_000_000
    assert watching.looked() == (
        SessionFound("newer today", "20260131", 3 * s, files=False),
        SessionFound("older today", "20260131", 2 * s, files=True),
        SessionFound("s", "20260101", 9 * s, files=False),
        SessionFound("old", "20260101", 1 * s, files=False),
    )


def test_an_empty_share_is_looked_at_in_vain(watching: Watching) -> None:
    assert watching.looked() == ()


def test_however_many_sessions_there_are_the_news_of_them_fits_a_packet(watching: Watching, share: Share) -> None:
    """Ours are among them, and those with files before those without."""
    watching.watch("s", "ours and old")
    for number in range(700):
        share.claimed("", f"{number:04}-{'x' * 123}").mkdir(parents=True)
    share.written(share.claimed("a", "with a file", "20250101"))
    share.claimed("", "ours and old", "20240101").mkdir(parents=True)
    sessions = watching.looked()
    assert len(pack([Envelope(ScanFinished(sessions))])) < PACKET / 2
    assert {"ours and old", "with a file"} <= {session.name for session in sessions}
    assert list(sessions) == sorted(sessions, key=lambda session: (session.date, session.mtime_ns, session.name), reverse=True)


def test_displaced_names_are_told_at_every_scan(watching: Watching, share: Share) -> None:
    watching.watch("s", "adopted")
    for session in ("s", "adopted", "another pod's"):
        share.written(share.root / ".nfsw/aside" / session / "1" / "a")
    displaced = [DisplacedFile("adopted", "a", "1"), DisplacedFile("s", "a", "1")]
    assert [watching.tick() for _ in range(2)] == [displaced, displaced]


def test_a_newer_file_of_a_name_that_is_displaced_waits_for_it(watching: Watching, share: Share) -> None:
    displaced = share.root / ".nfsw/aside/s/1/a"
    share.written(displaced)
    for path in (share.incoming("a"), share.incoming("b"), share.claimed("a")):
        share.written(path)
    told = [message.file for message in watching.ticks(60) if isinstance(message, FileStable)]
    assert set(told) == {Arrival("s", "b"), FileRef(DATE, "s", "a")}
    displaced.unlink()
    assert watching.stable(SOON) == ["a"]


def test_a_session_without_a_folder_is_not_over_while_a_name_of_it_is_displaced(watching: Watching, share: Share) -> None:
    share.written(share.root / ".nfsw/aside/s/1/a")
    assert [(session.name, session.files) for session in watching.looked()] == [("s", True)]


def test_a_session_with_a_displaced_name_is_not_over(watching: Watching, share: Share) -> None:
    share.claimed("").mkdir(parents=True)
    assert [session.files for session in watching.looked()] == [False]
    share.written(share.root / ".nfsw/aside/s/1/a")
    assert [session.files for session in watching.looked()] == [True]


def test_trouble_is_logged_once_and_its_end_too(
    eventful: EventfulNfs, watching: Watching, share: Share, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "nfsw.scanner")
    share.written(share.incoming("a"))
    for _ in range(5):
        eventful.at["statvfs", str(share.root)] = refused(errno.EIO)
        (told,) = watching.tick()
        assert isinstance(told, ScanFailed)
        assert "EIO" in told.error
    assert watching.tick() == []
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "a file is taken when nobody has it open for writing",
        "cannot look at NFS, will go on trying",
        "NFS answers again",
    ]


def test_a_share_that_is_not_there_is_trouble_and_not_an_empty_one(watching: Watching, share: Share) -> None:
    share.root.rmdir()
    told = watching.tick()
    assert [type(message) for message in told] == [ScanFailed]
    assert not watching.told.of(ScanFinished)


@pytest.mark.parametrize(
    "call",
    [
        ("stat", "incoming/s"),
        ("scandir", "incoming/s"),
        ("scandir", f".processing/{DATE}/s"),
        ("scandir", f".processing/{DATE}/bad"),
        ("statx", f".processing/{DATE}/bad/a"),
        ("statx", "incoming/s/a"),
    ],
)
def test_what_cannot_be_looked_at_holds_nothing_else_up(
    eventful: EventfulNfs, watching: Watching, share: Share, call: tuple[str, str]
) -> None:
    """One folder, or one file: a broken inode, say. The others are reported, and nobody takes its session for one that is over."""
    watching.watch("s", "bad")
    paths = [share.incoming("a"), share.incoming("b"), share.claimed("c"), share.claimed("a", "bad"), share.claimed("d", "good")]
    for path in paths:
        share.written(path)
    watching.watch("s", "bad", "good")
    stable: set[str] = set()
    for _ in range(10):
        eventful.at[call] = refused(errno.EIO)
        watching.clock.advance(POLL_S)
        watching.scanner.on_tick(watching.told)
        assert all(found.files for found in watching.told.of(ScanFinished)[-1].sessions)
        assert watching.told.of(ScanFailed)
        stable |= {f"{message.file.session}/{message.file.name}" for message in watching.told.of(FileStable)}
    assert "good/d" in stable
    assert len(stable) >= 2
    eventful.at.clear()
    watching.told.clear()
    assert not [message for message in watching.tick() if isinstance(message, ScanFailed)]


def test_claimed_files_of_a_session_that_another_pod_holds_are_neither_looked_at_nor_reported(
    eventful: EventfulNfs, watching: Watching, share: Share
) -> None:
    """Whoever holds it sends them; reported here, they would be sent twice, or deleted under its hands."""
    share.written(share.claimed("theirs", "another pod's"))
    share.written(share.claimed("ours"))
    looks: list[str] = []
    eventful.at["stat", f".processing/{DATE}/another pod's"] = lambda: looks.append("theirs")
    assert watching.stable(60) == ["ours"]
    assert looks == []
    watching.watch("s", "another pod's")
    assert watching.stable(60) == ["theirs"], "now it is ours"
    assert looks == ["theirs"]
