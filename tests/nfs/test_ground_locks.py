"""What the ownership of sessions relies on: flock(2) on the mount, between processes and over the server's absence.

On NFSv4 a flock is a byte-range lock of the whole file at the server, so that clients on other machines conflict too.
"""

import fcntl
import os
import time

import pytest

from tests.nfs.conftest import Place
from tests.support import uml_server
from tests.support.children import child
from tests.support.figures import Figure
from tests.support.waiting import until

_TAKE = """
import fcntl, sys
file = open(sys.argv[1], "r+b", buffering=0)
try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError as error:
    print(f"refused {error.errno}")
else:
    print("taken")
sys.stdin.readline()
"""

_TAKE_AND_START_ANOTHER = """
import fcntl, os, subprocess, sys
file = open(sys.argv[1], "r+b", buffering=0)
fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
if sys.argv[2] == "fork":
    other = os.fork()
    if not other:
        sys.stdin.readline()
        os._exit(0)
else:
    other = subprocess.Popen([sys.executable, "-S", "-c", "import sys; sys.stdin.readline()"]).pid
print(other)
sys.stdin.readline()
"""


@pytest.fixture
def lock(place: Place) -> Place:
    """Paths of one empty file, from both sides."""
    (place.mount / "lock").write_bytes(b"")
    return Place(place.mount / "lock", place.export / "lock")


def test_a_second_process_is_refused_at_once(lock: Place) -> None:
    with child(_TAKE, lock.mount) as holder, child(_TAKE, lock.mount) as second:
        assert {holder.says(), second.says()} == {"taken", "refused 11"}


def test_a_read_only_descriptor_cannot_take_it(lock: Place) -> None:
    with lock.mount.open("rb") as file, pytest.raises(OSError) as refused:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert refused.value.errno == 9  # EBADF: the server needs a writer


def test_the_server_knows_of_the_lock(lock: Place) -> None:
    with child(_TAKE, lock.mount) as holder:
        assert holder.says() == "taken"
        assert _held_at_the_server(lock)
    assert not _held_at_the_server(lock)


def test_a_killed_holder_frees_it(lock: Place, figure: Figure) -> None:
    with child(_TAKE, lock.mount) as holder:
        assert holder.says() == "taken"
        killed = time.monotonic()
        holder.kill()
        until(lambda: _can_take(lock), within=10, what="the lock is free")
        figure("seconds from SIGKILL of the holder until another has the lock", round(time.monotonic() - killed, 2))


def test_a_killed_holder_frees_it_though_a_program_that_it_started_lives_on(lock: Place) -> None:
    with child(_TAKE_AND_START_ANOTHER, lock.mount, "start") as holder:
        other = int(holder.says())
        holder.kill()
        until(lambda: _can_take(lock), within=10, what="the lock is free")
        os.kill(other, 9)


def test_a_fork_that_inherited_the_descriptor_keeps_it(lock: Place) -> None:
    """Why every process of the service is started with exec, which closes the descriptor."""
    with child(_TAKE_AND_START_ANOTHER, lock.mount, "fork") as holder:
        other = int(holder.says())
        holder.kill()
        assert holder.gone_within(5) is not None
        assert not _can_take(lock)
        os.kill(other, 9)
        until(lambda: _can_take(lock), within=10, what="the lock is free")


def test_the_holder_keeps_it_when_it_reads_the_file_by_another_descriptor(lock: Place) -> None:
    """Closing that one gives up no flock, as it would a lock of lockf(3)."""
    with lock.mount.open("r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.mount.read_bytes()
        assert _held_at_the_server(lock)
        assert not _can_take(lock)


def test_the_holder_keeps_it_over_a_restart_of_the_server(lock: Place, figure: Figure) -> None:
    with child(_TAKE, lock.mount) as holder:
        assert holder.says() == "taken"
        with uml_server.stopped():
            pass
        back = time.monotonic()
        os.listdir(lock.mount.parent)  # an idle client learns of the restart when it renews its lease, within 60 s
        until(lambda: _held_at_the_server(lock), within=30, what="the client has reclaimed the lock")
        figure("seconds from the server's return until the lock is reclaimed", round(time.monotonic() - back, 2))
        assert not _can_take(lock)


def test_a_holder_killed_while_the_server_is_away_stays_in_the_kernel_and_frees_it_after_the_return(lock: Place, figure: Figure) -> None:
    """Giving back a lock at exit waits for the server, and nothing interrupts a process that is exiting."""
    with child(_TAKE, lock.mount) as holder:
        assert holder.says() == "taken"
        with uml_server.stopped():
            holder.kill()
            assert holder.gone_within(2) is None
            assert holder.state() == "D"
        back = time.monotonic()
        until(lambda: _can_take(lock), within=60, what="the lock is free")
        figure("seconds from the server's return until another has the lock of one killed in the outage", round(time.monotonic() - back, 2))


def _can_take(lock: Place) -> bool:
    with child(_TAKE, lock.mount) as taker:
        return taker.says(60) == "taken"


def _held_at_the_server(lock: Place) -> bool:
    """nfsd's locks are byte-range locks of the exported file: lockf(3) by the side of NFS conflicts with them."""
    with lock.export.open("r+b", buffering=0) as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.lockf(file, fcntl.LOCK_UN)
        return False
