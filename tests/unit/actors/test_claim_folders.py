"""The claim of a file in a folder of its session: the same guarantees, and the folders that it needs come and go."""

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nfsw.actors.abandoned import AbandonedFiles, abandon, claimed_files, forget_abandoned
from nfsw.actors.call_board import CallBoard
from nfsw.actors.claim import ClaimedFile, NotClaimed, claim, finish, restore, tidy
from nfsw.actors.claimer import Claimer
from nfsw.actors.config import ClaimerConfig
from nfsw.actors.files import Arrival, FileRef
from nfsw.actors.folder_walk import everything
from nfsw.actors.messages import DisplacedFile, Failed, FileRefused, Gone, Staged, StageFile
from nfsw.actors.nfs import Nfs
from nfsw.actors.staging_folder import discard, staged_files
from nfsw.actors.tree import NfsTree, StagingTree
from tests.support.mortal_nfs import ERRORS, EventfulNfs, Happening, Killed, killed, refused
from tests.support.share import DATE, Share, fingerprint
from tests.support.told import Told

NAME = "a/b/c"
FILE = FileRef(DATE, "s", NAME)
#: More than such a claim makes, its folders included.
CALLS = 40


@pytest.fixture
def nfs(tree: NfsTree, board: CallBoard) -> EventfulNfs:
    return EventfulNfs(tree, board)


def arrived(share: Share, content: bytes = b"first") -> None:
    share.written(share.incoming(NAME), content)


def claimed(share: Share, nfs: Nfs, instance_id: str = "1") -> ClaimedFile | NotClaimed:
    return claim(nfs, FILE, fingerprint(share.incoming(NAME)), instance_id, leased=True)


def recover(share: Share, nfs: Nfs, instance_id: str) -> None:
    """What the Scanner finds goes to a Claimer."""
    for other in nfs.folders(nfs.tree.all_displaced("s")):
        for place, entries in everything(nfs, nfs.tree.displaced("s", other), lambda _: None):
            for entry in entries:
                if entry.is_file():
                    restore(nfs, DisplacedFile("s", place.below + entry.name, other), DATE)
    tidy(nfs, "s", instance_id)
    if share.incoming(NAME).exists():
        claimed(share, nfs, instance_id)
    if seen := nfs.observe(nfs.tree.source(FILE)):
        finish(nfs, FILE, seen.fingerprint, instance_id, leased=True)


def drained(share: Share, nfs: EventfulNfs) -> list[bytes]:
    """The versions that reached Azure, in this order, now that nothing more happens."""
    nfs.before, nfs.after = {}, {}
    sent: list[bytes] = []
    for number in range(2, 6):
        recover(share, nfs, str(number))
        if share.claimed(NAME).exists():
            assert share.claimed(NAME).stat().st_nlink == 1, "one file, one name"
            sent.append(share.claimed(NAME).read_bytes())
            share.claimed(NAME).unlink()
    tidy(nfs, "s", "none")
    assert share.files() == {}
    assert not any(folder.startswith(".nfsw/aside/s/") for folder in share.folders())
    return sent


def each_call(share: Share, nfs: EventfulNfs, happening: Happening, *, after: bool) -> Iterator[None]:
    for number in range(CALLS):
        arrived(share)
        nfs.calls.clear()
        (nfs.after if after else nfs.before)[number] = happening
        yield


def test_a_claimed_file_has_its_path_under_processing_and_leaves_no_folder_aside(share: Share, nfs: EventfulNfs) -> None:
    arrived(share)
    outcome = claimed(share, nfs)
    assert isinstance(outcome, ClaimedFile)
    assert outcome.stable
    assert share.files() == {f".processing/{DATE}/s/{NAME}": b"first"}
    assert {folder for folder in share.folders() if folder.startswith(".nfsw/aside")} == {".nfsw/aside", ".nfsw/aside/s", ".nfsw/aside/s/1"}
    assert share.incoming("a/b").is_dir(), "the writer's folder is not the claim's to remove"


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_call_the_file_is_sent_once(share: Share, nfs: EventfulNfs, after: bool) -> None:
    deaths = 0
    for _ in each_call(share, nfs, killed, after=after):
        try:
            claimed(share, nfs)
        except Killed:
            deaths += 1
        assert drained(share, nfs) == [b"first"]
    assert 10 <= deaths < CALLS


@pytest.mark.parametrize("code", ERRORS)
@pytest.mark.parametrize("after", [False, True])
def test_an_error_at_any_call_loses_nothing(share: Share, nfs: EventfulNfs, code: int, after: bool) -> None:
    for _ in each_call(share, nfs, refused(code), after=after):
        with contextlib.suppress(OSError):
            claimed(share, nfs)
        assert drained(share, nfs) == [b"first"]


def test_empty_folders_that_others_remove_at_any_call_keep_no_file_from_its_claim(share: Share, nfs: EventfulNfs) -> None:
    """The sweep, or another claim that is through with a folder."""

    def swept() -> None:
        for top in (share.claimed(""), share.root / ".nfsw/aside/s/1"):
            for folder, _, _ in sorted(os.walk(top), reverse=True):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()

    for _ in each_call(share, nfs, swept, after=False):
        outcome = claimed(share, nfs)
        assert isinstance(outcome, ClaimedFile)
        assert outcome.stable
        assert not share.incoming(NAME).exists()
        assert drained(share, nfs) == [b"first"]


def test_a_version_that_is_put_in_its_place_at_any_call_is_kept(share: Share, nfs: EventfulNfs) -> None:
    def replaced() -> None:
        share.incoming("a/b").mkdir(parents=True, exist_ok=True)
        share.replaced(share.incoming(NAME), b"second one")

    for _ in each_call(share, nfs, replaced, after=False):
        claimed(share, nfs)
        if not any(content == b"second one" for content in share.files().values()):
            replaced()  # after all calls
        sent = drained(share, nfs)
        assert sent in ([b"first", b"second one"], [b"second one"])


def test_a_displaced_name_goes_back_to_a_folder_that_its_writer_has_removed(share: Share, nfs: EventfulNfs) -> None:
    share.written(share.root / ".nfsw/aside/s/1" / NAME)
    restore(nfs, DisplacedFile("s", NAME, "1"), DATE)
    assert share.files() == {f"incoming/s/{NAME}": b"content"}
    assert ".nfsw/aside/s/1/a" not in share.folders()


def test_while_a_file_has_the_name_of_a_folder_what_comes_in_the_folder_waits(share: Share, nfs: EventfulNfs) -> None:
    share.written(share.claimed("a"), b"the file")
    arrived(share)
    with contextlib.suppress(NotADirectoryError):
        assert not isinstance(claimed(share, nfs), ClaimedFile)
    assert share.files() == {f".processing/{DATE}/s/a": b"the file", f"incoming/s/{NAME}": b"first"}
    share.claimed("a").unlink()
    assert isinstance(claimed(share, nfs), ClaimedFile)


def test_while_a_folder_has_the_name_of_a_file_the_file_waits(share: Share, nfs: EventfulNfs) -> None:
    share.written(share.claimed("a/b"), b"in the folder")
    file = share.written(share.incoming("a"), b"the file")
    assert claim(nfs, FileRef(DATE, "s", "a"), file, "1", leased=True) is NotClaimed.TAKEN
    assert share.incoming("a").read_bytes() == b"the file"


# --- The Claimer, and staging ---


@pytest.fixture
def claimer(tree: NfsTree, staging: StagingTree, board: CallBoard) -> Claimer:
    return Claimer(ClaimerConfig(tree.root, staging.root, 1000, 2, content_md5=False), board)


def test_the_staged_copy_lies_under_the_name_of_the_blob_and_goes_with_its_folders(
    claimer: Claimer, share: Share, staging: StagingTree
) -> None:
    arrived(share)
    reply = claimer.on_message(StageFile(Arrival("s", NAME), fingerprint(share.incoming(NAME))), Told())
    today = f"{datetime.now(UTC):%Y%m%d}"
    assert reply == Staged()
    assert Path(staging.copies, today, "s", NAME).read_bytes() == b"first"
    ((date, session, name, _),) = staged_files(staging)
    assert (date, session, name) == (today, "s", NAME)
    discard(staging, FileRef(today, "s", NAME))
    assert list(Path(staging.root).iterdir()) == []


def test_what_lies_behind_a_link_that_was_put_in_place_of_a_folder_is_not_claimed(claimer: Claimer, share: Share) -> None:
    arrived(share)
    version = fingerprint(share.incoming(NAME))
    share.incoming("a").rename(share.root / "elsewhere")
    share.incoming("a").symlink_to(share.root / "elsewhere")
    assert claimer.on_message(StageFile(Arrival("s", NAME), version), Told()) == Gone()
    assert share.files() == {"elsewhere/b/c": b"first"}


def test_nothing_is_claimed_through_a_link_in_the_claimed_folders(claimer: Claimer, share: Share) -> None:
    arrived(share)
    folder = share.claimed("", date=f"{datetime.now(UTC):%Y%m%d}")
    folder.mkdir(parents=True)
    (share.root / "elsewhere").mkdir()
    (folder / "a").symlink_to(share.root / "elsewhere")
    reply = claimer.on_message(StageFile(Arrival("s", NAME), fingerprint(share.incoming(NAME))), Told())
    assert isinstance(reply, Failed)
    assert "symbolic link" in reply.error
    assert share.files() == {f"incoming/s/{NAME}": b"first"}


# --- What an operator gives up on ---


def test_a_claimed_file_of_a_folder_can_be_abandoned_by_its_path_and_no_other_path(share: Share, nfs: EventfulNfs) -> None:
    share.written(share.claimed(NAME))
    share.written(share.claimed("c"))
    assert claimed_files(nfs, "s", NAME, None) == [FILE]
    for name in ("../s/c", "a/../c", "/c", "a//b/c", "./c", "a/b"):
        assert claimed_files(nfs, "s", name, None) == []
    assert abandon(nfs, FILE, "no")
    abandoned, told = AbandonedFiles(nfs), Told()
    abandoned.look()
    abandoned.tell_refused(told)
    assert told == [FileRefused(FILE, "abandoned: no", abandoned=True)]
    assert abandoned.names(DATE, "s", "a/b/") == {"c"}
    assert abandoned.names(DATE, "s", "") == abandoned.names(DATE, "s", "a/") == set()
    forget_abandoned(nfs, "s")
    assert not any(folder.startswith(".nfsw/abandoned/") for folder in share.folders())
