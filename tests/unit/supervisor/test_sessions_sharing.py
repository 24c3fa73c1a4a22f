"""Two pods on one share: real Keepers with real locks, and pods that must never both think that a session is theirs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nfsw.supervisor.service import SessionConflict
from nfsw.supervisor.sessions import ORPHANED_AFTER_S
from tests.support.faketime import clock, settled
from tests.unit.supervisor.pods import SharingPod
from tests.unit.supervisor.test_sessions import begin

BOTH = "both pods think that they hold it"


@pytest.fixture
def a(tmp_path: Path) -> Iterator[SharingPod]:
    pod = SharingPod(tmp_path, "pod-a")
    yield pod
    pod.die()


@pytest.fixture
def b(tmp_path: Path) -> Iterator[SharingPod]:
    pod = SharingPod(tmp_path, "pod-b")
    yield pod
    pod.die()


async def starts(pod: SharingPod, name: str) -> None:
    starting = await begin(pod, name)
    pod.keep()
    await starting


def traces(share: Path) -> list[str]:
    """What is left of any session in nfsw's own places."""
    return [str(path.relative_to(share)) for pattern in (".processing/*/*", ".nfsw/sessions/*") for path in share.glob(pattern)]


def has_file(share: Path, session: str) -> Path:
    """A claimed file of the session, which is left behind."""
    [folder] = share.glob(f".processing/*/{session}")
    file = folder / "left.bin"
    file.write_bytes(b"left")
    return file


def has_folder(share: Path, session: str) -> None:
    """Somebody has made one in the session's."""
    [folder] = share.glob(f".processing/*/{session}")
    (folder / "somebody's").mkdir()


async def test_the_second_pod_to_start_a_session_is_told_who_holds_it(a: SharingPod, b: SharingPod) -> None:
    await starts(a, "s")
    with pytest.raises(SessionConflict, match="pod-a"):
        await starts(b, "s")
    assert a.sessions.claims("s")
    assert not b.sessions.holds_any


async def test_each_pod_has_a_session_of_its_own(a: SharingPod, b: SharingPod) -> None:
    await starts(a, "s")
    await starts(b, "t")
    for pod in (a, b):
        pod.scan()
        clock().advance(ORPHANED_AFTER_S + 1)
        pod.scan()
    assert a.sessions.watch().held == {"s"}
    assert b.sessions.watch().held == {"t"}


async def test_a_free_pod_takes_over_the_session_of_one_that_has_gone(a: SharingPod, b: SharingPod) -> None:
    await starts(a, "s")
    before = a.sessions.status()
    b.scan()
    assert not b.sessions.holds_any
    a.die()
    clock().advance(2.0)
    b.scan()
    status = b.sessions.status()
    assert status is not None
    assert before is not None
    assert status.resumed
    assert status.started_at == before.started_at


async def test_a_pod_that_comes_back_after_another_took_its_session_ends_and_leaves_it_alone(a: SharingPod, b: SharingPod) -> None:
    await starts(a, "s")
    a.die()
    b.scan()
    assert b.sessions.claims("s")

    a.revive()
    a.sessions.keeper_restarted()
    a.keep()

    assert a.lost == ["session s is held by pod-b now"]


async def test_a_busy_pod_sends_the_files_of_one_that_has_gone_and_lets_the_session_go(
    tmp_path: Path, a: SharingPod, b: SharingPod
) -> None:
    await starts(a, "s")
    await starts(b, "t")
    left = has_file(tmp_path, "s")
    a.die()
    b.scan()
    clock().advance(ORPHANED_AFTER_S)
    b.scan()
    assert b.sessions.holds("s")
    assert not b.sessions.claims("s")

    left.unlink()
    b.scan()
    assert not b.sessions.holds("s")
    assert any(trace.endswith("/s") for trace in traces(tmp_path)), "a call made it: its record stays for a pod that is free"


async def test_a_session_that_was_stopped_and_has_ended_leaves_nothing_behind(tmp_path: Path, a: SharingPod) -> None:
    await starts(a, "s")
    a.sessions.stop()
    a.scan()
    assert a.sessions.status() is None
    assert traces(tmp_path) == []


async def test_what_others_put_into_its_folder_does_not_bring_a_stopped_session_back(tmp_path: Path, a: SharingPod, b: SharingPod) -> None:
    await starts(a, "s")
    has_folder(tmp_path, "s")
    a.sessions.stop()
    a.scan()
    for pod in (a, b):
        for _ in range(4):
            pod.scan()
            assert not pod.sessions.claims("s")
        assert not pod.sessions.holds_any
    await starts(b, "s")
    assert b.sessions.claims("s")


async def test_a_free_pod_that_scanned_just_before_a_session_ended_does_not_bring_it_back(
    tmp_path: Path, a: SharingPod, b: SharingPod
) -> None:
    await starts(a, "s")
    old_scan = b.found()
    a.sessions.stop()
    a.scan()

    b.scans(*old_scan)
    b.keep()

    assert b.sessions.active is None
    assert traces(tmp_path) == []


async def test_a_start_that_was_given_up_leaves_no_lock_behind_once_nfs_answers(tmp_path: Path, a: SharingPod, b: SharingPod) -> None:
    starting = await begin(a, "s")
    clock().advance(31.0)
    await settled()
    assert starting.exception() is not None
    a.keep()
    assert not a.sessions.holds_any
    await starts(b, "s")
    assert b.sessions.claims("s")


async def test_a_pod_that_stops_a_session_leaves_the_end_of_it_to_the_next_one(a: SharingPod, b: SharingPod, tmp_path: Path) -> None:
    """The stop is noted beside the lock."""
    await starts(a, "s")
    left = has_file(tmp_path, "s")
    a.sessions.stop()
    a.keep()
    a.die()
    b.scan()
    assert not b.sessions.claims("s")
    assert b.sessions.holds("s")
    left.unlink()
    b.scan()
    assert traces(tmp_path) == []


async def test_at_no_moment_of_many_restarts_do_two_pods_hold_one_session(a: SharingPod, b: SharingPod, tmp_path: Path) -> None:
    await starts(a, "s")
    has_file(tmp_path, "s")
    owner, other = a, b
    for _ in range(10):
        owner.restart()
        for _ in range(2):
            other.scan()
            owner.scan()
            assert not (other.sessions.holds("s") and owner.sessions.holds("s")), BOTH
            clock().advance(3.0)
        assert other.sessions.holds("s")
        owner, other = other, owner
    assert not a.lost + b.lost
