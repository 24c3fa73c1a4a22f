"""Folders that writers left empty: which go, when, and in which order; and what stays."""

import errno

import pytest

from nfsw.actors.call_board import CallBoard
from nfsw.actors.files import FileRef
from nfsw.actors.messages import CompleteFile, RuleFound, WatchedSessions
from nfsw.actors.stability import Rule
from nfsw.actors.tree import NfsTree, StagingTree
from tests.support.collecting import Collecting
from tests.support.faketime import FakeClock
from tests.support.mortal_nfs import Killed, killed, refused
from tests.support.share import DATE, Share
from tests.support.told import Told
from tests.support.watching import AGE_S, WRITEBACK_AGE_S

SWEEP_S = 2.0


class Sweeping:
    """Sweeps of a pod whose active session is `s`."""

    def __init__(self, collecting: Collecting, clock: FakeClock) -> None:
        self.collecting, self._clock = collecting, clock
        self.watch("s")

    def watch(self, active: str | None) -> None:
        self.collecting.hear(WatchedSessions(active, frozenset({"s"}), frozenset({"s"})))

    def sweeps(self, seconds: float) -> Told:
        told = Told()
        for _ in range(round(seconds / SWEEP_S)):
            self._clock.advance(SWEEP_S)
            told = self.collecting.sweep()
        return told


@pytest.fixture
def sweeping(
    share: Share, tree: NfsTree, staging: StagingTree, board: CallBoard, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> Sweeping:
    return Sweeping(Collecting(share, tree, staging, board, monkeypatch, recursive=True), clock)


def below(share: Share) -> set[str]:
    top = share.incoming("")
    return {str(path.relative_to(top)) for path in top.rglob("*")}


def made(share: Share, *folders: str) -> None:
    for folder in folders:
        share.incoming(folder).mkdir(parents=True)


def test_a_folder_goes_when_it_has_been_empty_for_the_minimum_age(sweeping: Sweeping, share: Share) -> None:
    made(share, "a")
    sweeping.sweeps(AGE_S)
    assert below(share) == {"a"}
    sweeping.sweeps(2 * SWEEP_S)
    assert below(share) == set()
    assert share.incoming("").is_dir(), "the session's own stays"


def test_a_whole_tree_goes_in_one_sweep_the_deepest_folder_first(sweeping: Sweeping, share: Share) -> None:
    made(share, "a/b/c", "a/d", "e")
    sweeping.sweeps(AGE_S)
    assert below(share) == {"a", "a/b", "a/b/c", "a/d", "e"}
    sweeping.sweeps(2 * SWEEP_S)
    assert below(share) == set()


def test_where_nobody_can_tell_who_has_a_file_open_it_has_to_be_quiet_for_longer(sweeping: Sweeping, share: Share) -> None:
    sweeping.collecting.hear(RuleFound(Rule.TIME, "by a test"))
    made(share, "a")
    sweeping.sweeps(WRITEBACK_AGE_S)
    assert below(share) == {"a"}
    sweeping.sweeps(2 * SWEEP_S)
    assert below(share) == set()


def test_a_folder_in_which_something_happens_is_not_quiet(sweeping: Sweeping, share: Share) -> None:
    made(share, "a")
    for _ in range(20):
        share.written(share.incoming("a/b"))
        share.incoming("a/b").unlink()
        sweeping.sweeps(SWEEP_S)
    assert below(share) == {"a"}


def test_a_folder_that_was_made_anew_under_the_name_is_another_one(sweeping: Sweeping, share: Share) -> None:
    for number in range(10):
        share.incoming(f"spare {number}").mkdir(parents=True)  # each one an inode of its own
        share.written(share.incoming(f"spare {number}/file"))
    for number in range(10):
        if share.incoming("a").exists():
            share.incoming("a").rmdir()
        share.incoming(f"spare {number}/file").unlink()
        share.incoming(f"spare {number}").rename(share.incoming("a"))
        sweeping.sweeps(SWEEP_S)
    assert below(share) == {"a"}


@pytest.mark.parametrize("name", ["file", ".hidden", ".nfs0001", ".hidden folder/"])
def test_a_folder_that_holds_anything_stays_and_so_do_those_above_it(sweeping: Sweeping, share: Share, name: str) -> None:
    made(share, "a/b/c", "a/d")
    path = share.incoming(f"a/b/{name}")
    path.mkdir() if name.endswith("/") else path.touch()
    sweeping.sweeps(60)
    assert below(share) == {"a", "a/b", f"a/b/{path.name}"}


def test_a_file_that_comes_in_the_last_moment_is_kept_with_its_folder(sweeping: Sweeping, share: Share) -> None:
    made(share, "a/b")

    def written() -> None:
        share.incoming("a/b/late").write_bytes(b"late")

    sweeping.collecting.nfs.at["rmdir", "incoming/s/a/b"] = written
    sweeping.sweeps(AGE_S + 2 * SWEEP_S)
    assert share.incoming("a/b/late").read_bytes() == b"late"


def test_links_and_what_they_lead_to_stay(sweeping: Sweeping, share: Share) -> None:
    made(share, "a")
    elsewhere = share.root / "elsewhere"
    (elsewhere / "empty").mkdir(parents=True)
    share.incoming("a/link").symlink_to(elsewhere)
    share.incoming("link").symlink_to(elsewhere)
    sweeping.sweeps(60)
    assert below(share) == {"a", "a/link", "link"}
    assert (elsewhere / "empty").is_dir()


def test_only_the_active_session_is_swept(sweeping: Sweeping, share: Share) -> None:
    made(share, "a")
    share.incoming("a", "other").mkdir(parents=True)
    sweeping.watch(None)
    sweeping.sweeps(60)
    assert below(share) == {"a"}
    sweeping.watch("s")
    sweeping.sweeps(AGE_S)
    assert below(share) == {"a"}, "it has to be quiet while the session is active"
    sweeping.sweeps(2 * SWEEP_S)
    assert below(share) == set()
    assert share.incoming("a", "other").is_dir()


def test_without_the_setting_nothing_in_incoming_is_touched(
    share: Share, tree: NfsTree, staging: StagingTree, board: CallBoard, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    flat = Sweeping(Collecting(share, tree, staging, board, monkeypatch), clock)
    made(share, "a")
    flat.sweeps(60)
    assert below(share) == {"a"}


def test_a_folder_that_nfs_does_not_let_us_remove_holds_up_no_other(sweeping: Sweeping, share: Share) -> None:
    made(share, "a", "b")
    for _ in range(10):
        sweeping.collecting.nfs.at["rmdir", "incoming/s/a"] = refused(errno.EACCES)
        sweeping.sweeps(SWEEP_S)
    assert below(share) == {"a"}


def test_of_very_many_folders_one_sweep_looks_at_so_many(sweeping: Sweeping, share: Share, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nfsw.actors.empty_folders.MOST_FOLDERS", 4)
    made(share, *(f"{number:02}" for number in range(20)))
    sweeping.sweeps(AGE_S + 2 * SWEEP_S)
    assert len(below(share)) >= 16
    sweeping.sweeps(7 * (AGE_S + 2 * SWEEP_S))
    assert below(share) == set()


def test_folders_of_claimed_files_go_as_soon_as_they_are_empty(sweeping: Sweeping, share: Share) -> None:
    share.claimed("a/b/c").mkdir(parents=True)
    share.claimed("d").mkdir()
    share.written(share.claimed("e/f/file"))
    sweeping.sweeps(SWEEP_S)
    assert {path for path in share.folders() if path.startswith(f".processing/{DATE}/s/")} == {
        f".processing/{DATE}/s/e",
        f".processing/{DATE}/s/e/f",
    }


def test_a_mark_in_a_folder_that_a_crash_left_is_ended_and_its_folder_goes(sweeping: Sweeping, share: Share) -> None:
    file = FileRef(DATE, "s", "a/b/c")
    sent = sweeping.collecting.sent(file)
    sweeping.collecting.nfs.at["unlink", f".processing/{DATE}/s/a/b/c.completed"] = killed
    with pytest.raises(Killed):
        sweeping.collecting.hear(CompleteFile(file, sent))
    sweeping.collecting.restart()
    sweeping.sweeps(SWEEP_S)
    assert share.files() == {}
    assert f".processing/{DATE}/s/a" not in share.folders()
