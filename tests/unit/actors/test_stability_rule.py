"""Which stability rule holds, by what the file system answers on a file of our own."""

import errno
import os
from pathlib import Path

import pytest

from nfsw.actors.call_board import CallBoard
from nfsw.actors.lease import Announcement, Lease
from nfsw.actors.stability import Rule
from nfsw.actors.stability_rule import StabilityRule
from nfsw.actors.tree import NfsTree
from tests.support.mortal_nfs import EventfulNfs, refused


@pytest.fixture
def nfs(tree: NfsTree, board: CallBoard) -> EventfulNfs:
    return EventfulNfs(tree, board)


@pytest.fixture
def rule(nfs: EventfulNfs) -> StabilityRule:
    return StabilityRule(nfs)


class Leases:
    """How leases are answered: granted, or with an error."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.code: int | None = None
        monkeypatch.setattr(Lease, "on", self._answer)

    def _answer(self, fd: int, *, own_changes_end_it: bool, closing: Announcement) -> Lease:
        error = OSError(self.code, os.strerror(self.code)) if self.code else None
        return Lease(fd, own_changes_end_it=own_changes_end_it, closing=closing, error=error)


@pytest.fixture
def leases(monkeypatch: pytest.MonkeyPatch) -> Leases:
    return Leases(monkeypatch)


def found(rule: StabilityRule, now: float) -> Rule | None:
    """What holds after a look at this time."""
    rule.find_out(now)
    return rule.rule


def probes(nfs: EventfulNfs) -> list[str]:
    return os.listdir(nfs.tree.probes)


@pytest.mark.parametrize("kind", ["nfs4", "ext4", "xfs", "btrfs", "tmpfs"])
def test_where_a_lease_is_granted_it_tells_and_nothing_is_left_of_the_file_that_told(
    nfs: EventfulNfs, rule: StabilityRule, kind: str
) -> None:
    nfs.seen_as = kind
    assert found(rule, 0.0) is Rule.LEASE
    assert kind in rule.reason
    assert probes(nfs) == []


@pytest.mark.parametrize("kind", ["fuse.sshfs", "ceph", "9p", "cifs", "nfs"])
def test_a_grant_by_a_file_system_that_may_not_see_other_nodes_writers_counts_for_nothing(
    nfs: EventfulNfs, rule: StabilityRule, kind: str
) -> None:
    nfs.seen_as = kind
    assert found(rule, 0.0) is Rule.TIME
    assert kind in rule.reason


def test_a_file_system_without_leases_leaves_time(rule: StabilityRule, leases: Leases) -> None:
    leases.code = errno.EINVAL
    assert found(rule, 0.0) is Rule.TIME
    assert "EINVAL" in rule.reason


def test_refusals_are_believed_after_some_seconds(rule: StabilityRule, leases: Leases) -> None:
    """A server may take a second to grant one on a file that was just closed."""
    leases.code = errno.EAGAIN
    for now in (0.0, 2.0, 4.0):
        assert found(rule, now) is None
    assert found(rule, 6.0) is Rule.TIME
    assert "delegations" in rule.reason


def test_a_grant_that_comes_late_is_one(nfs: EventfulNfs, rule: StabilityRule, leases: Leases) -> None:
    """It is the same file that is asked about: an NFS client closes one in the background, so the first lease on each is refused."""
    leases.code = errno.EAGAIN
    rule.find_out(0.0)
    leases.code = None
    assert found(rule, 2.0) is Rule.LEASE
    assert nfs.calls.count("create") == 1
    assert probes(nfs) == []


def test_a_file_of_ours_that_somebody_removes_is_made_again(nfs: EventfulNfs, rule: StabilityRule, leases: Leases) -> None:
    leases.code = errno.EAGAIN
    rule.find_out(0.0)
    (left,) = probes(nfs)
    Path(nfs.tree.probes, left).unlink()
    with pytest.raises(FileNotFoundError):
        rule.find_out(2.0)
    leases.code = None
    assert found(rule, 4.0) is Rule.LEASE


def test_where_leases_were_granted_refusals_are_believed_only_when_they_last(rule: StabilityRule, leases: Leases) -> None:
    """A server keeps who was called back in a small table, and may take our file for one of those for a minute."""
    rule.find_out(0.0)
    leases.code = errno.EAGAIN
    for now in range(60, 180, 2):
        assert found(rule, float(now)) is Rule.LEASE
    assert found(rule, 180.0) is Rule.TIME


def test_a_refusal_in_between_is_forgotten(rule: StabilityRule, leases: Leases) -> None:
    rule.find_out(0.0)
    for now in range(60, 6000, 60):
        leases.code = errno.EAGAIN
        rule.find_out(float(now))
        leases.code = None
        rule.find_out(now + 2.0)
    leases.code = errno.EAGAIN
    assert found(rule, 6060.0) is Rule.LEASE


def test_it_is_found_out_again_every_minute_and_in_doubt(nfs: EventfulNfs, rule: StabilityRule, leases: Leases) -> None:
    leases.code = errno.EINVAL
    rule.find_out(0.0)
    calls = len(nfs.calls)
    leases.code = None
    rule.find_out(59.0)
    assert (rule.rule, len(nfs.calls)) == (Rule.TIME, calls)
    assert found(rule, 60.0) is Rule.LEASE
    leases.code = errno.EINVAL
    rule.doubt()
    assert rule.rule is Rule.LEASE, "until it is found out"
    assert found(rule, 61.0) is Rule.TIME


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_where_no_file_can_be_made_the_rule_that_is_safe_holds_and_files_can_go(nfs: EventfulNfs, rule: StabilityRule, code: int) -> None:
    """A full export is emptied by sending what was claimed."""
    nfs.at["mkdir", ".nfsw/probes"] = refused(code)
    assert found(rule, 0.0) is Rule.TIME
    assert errno.errorcode[code] in rule.reason
    assert found(rule, 60.0) is Rule.LEASE
    nfs.at["mkdir", ".nfsw/probes"] = refused(code)
    assert found(rule, 120.0) is Rule.LEASE, "that leases are granted was found out before"


def test_a_root_that_is_not_there_is_an_error_and_tells_nothing(rule: StabilityRule, tree: NfsTree) -> None:
    Path(tree.root).rmdir()
    with pytest.raises(FileNotFoundError):
        assert found(rule, 0.0) is None
    Path(tree.root).mkdir()
    assert found(rule, 0.0) is Rule.LEASE


def test_files_that_crashes_left_are_removed_and_those_of_other_pods_are_not(nfs: EventfulNfs, rule: StabilityRule) -> None:
    folder = Path(nfs.tree.probes)
    folder.mkdir(parents=True)
    for name, age_s in (("left", 4000), ("another pod's", 2)):
        (folder / name).touch()
        os.utime(folder / name, (0, (folder / name).stat().st_mtime - age_s))
    rule.find_out(0.0)
    assert probes(nfs) == ["another pod's"]
