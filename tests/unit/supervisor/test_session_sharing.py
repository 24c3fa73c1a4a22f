"""Two pods on one share: real Keepers with real locks, and desks that must never both think that a session is theirs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nfsw.supervisor.service import SessionConflict
from nfsw.supervisor.session import ADOPT_AFTER_S
from tests.support.faketime import clock, settled
from tests.unit.supervisor.pods import SharingPod
from tests.unit.supervisor.test_session import begin

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
    assert a.desk.claims("s")
    assert not b.desk.holds_any


async def test_each_pod_has_a_session_of_its_own(a: SharingPod, b: SharingPod) -> None:
    await starts(a, "s")
    await starts(b, "t")
    for pod in (a, b):
        pod.look()
        clock().advance(ADOPT_AFTER_S + 1)
        pod.look()
    assert a.desk.watch().held == {"s"}
    assert b.desk.watch().held == {"t"}


async def test_a_free_pod_takes_over_the_session_of_one_that_has_gone(a: SharingPod, b: SharingPod) -> None:
    await starts(a, "s")
    before = a.desk.status()
    b.look()
    assert not b.desk.holds_any
    a.die()
    clock().advance(2.0)
    b.look()
    status = b.desk.status()
    assert status is not None
    assert before is not None
    assert status.resumed
    assert status.started_at == before.started_at


async def test_a_pod_that_comes_back_after_another_took_its_session_ends_and_leaves_it_alone(a: SharingPod, b: SharingPod) -> None:
    await starts(a, "s")
    a.die()
    b.look()
    assert b.desk.claims("s")

    a.revive()
    a.asked.extend(a.desk.greeting())
    a.keep()

    assert a.lost == ["session s is held by pod-b now"]


async def test_a_busy_pod_sends_the_files_of_one_that_has_gone_and_lets_the_session_go(
    tmp_path: Path, a: SharingPod, b: SharingPod
) -> None:
    await starts(a, "s")
    await starts(b, "t")
    left = has_file(tmp_path, "s")
    a.die()
    b.look()
    clock().advance(ADOPT_AFTER_S)
    b.look()
    assert b.desk.holds("s")
    assert not b.desk.claims("s")

    left.unlink()
    b.look()
    assert not b.desk.holds("s")
    assert any(trace.endswith("/s") for trace in traces(tmp_path)), "a call made it: its record stays for a pod that is free"


async def test_a_session_that_was_stopped_and_has_ended_leaves_nothing_behind(tmp_path: Path, a: SharingPod) -> None:
    await starts(a, "s")
    a.desk.stop()
    a.look()
    assert a.desk.status() is None
    assert traces(tmp_path) == []


async def test_what_others_put_into_its_folder_does_not_bring_a_stopped_session_back(tmp_path: Path, a: SharingPod, b: SharingPod) -> None:
    await starts(a, "s")
    has_folder(tmp_path, "s")
    a.desk.stop()
    a.look()
    for pod in (a, b):
        for _ in range(4):
            pod.look()
            assert not pod.desk.claims("s")
        assert not pod.desk.holds_any
    await starts(b, "s")
    assert b.desk.claims("s")


async def test_a_free_pod_that_looked_just_before_a_session_ended_does_not_bring_it_back(
    tmp_path: Path, a: SharingPod, b: SharingPod
) -> None:
    await starts(a, "s")
    old_look = b.found()
    a.desk.stop()
    a.look()

    b.looks(*old_look)
    b.keep()

    assert b.desk.active is None
    assert traces(tmp_path) == []


async def test_a_start_that_was_given_up_leaves_no_lock_behind_once_nfs_answers(tmp_path: Path, a: SharingPod, b: SharingPod) -> None:
    starting = await begin(a, "s")
    clock().advance(31.0)
    await settled()
    assert starting.exception() is not None
    a.keep()
    assert not a.desk.holds_any
    await starts(b, "s")
    assert b.desk.claims("s")


async def test_a_pod_that_stops_a_session_leaves_the_end_of_it_to_the_next_one(a: SharingPod, b: SharingPod, tmp_path: Path) -> None:
    """The stop is noted beside the lock."""
    await starts(a, "s")
    left = has_file(tmp_path, "s")
    a.desk.stop()
    a.keep()
    a.die()
    b.look()
    assert not b.desk.claims("s")
    assert b.desk.holds("s")
    left.unlink()
    b.look()
    assert traces(tmp_path) == []


async def test_at_no_moment_of_many_restarts_do_two_pods_hold_one_session(a: SharingPod, b: SharingPod, tmp_path: Path) -> None:
    await starts(a, "s")
    has_file(tmp_path, "s")
    owner, other = a, b
    for _ in range(10):
        owner.die()
        owner.revive()
        owner.desk.active = None  # its main process is another one too
        for _ in range(2):
            other.look()
            owner.look()
            assert not (other.desk.holds("s") and owner.desk.holds("s")), BOTH
            clock().advance(3.0)
        assert other.desk.holds("s")
        owner, other = other, owner
    assert not a.lost + b.lost
