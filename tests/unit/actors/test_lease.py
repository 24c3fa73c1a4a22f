"""The lease: real ones, on this machine's own file system, and real writers in other processes."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nfsw.actors.call_board import CallBoard
from nfsw.actors.nfs import Nfs
from nfsw.actors.tree import NfsTree
from tests.support.descriptors import open_below
from tests.support.mortal_nfs import EventfulNfs, refused
from tests.support.open_elsewhere import Writer, open_elsewhere


@pytest.fixture
def nfs(tree: NfsTree, board: CallBoard) -> EventfulNfs:
    return EventfulNfs(tree, board)


@pytest.fixture
def path(tree: NfsTree) -> Path:
    path = Path(tree.root) / "a"
    path.write_bytes(b"content")
    return path


def test_it_is_granted_while_nobody_has_the_file_open_and_each_step_is_on_the_board(nfs: EventfulNfs, path: Path) -> None:
    with nfs.lease(str(path)) as lease:
        assert lease.granted
        assert lease.held()
    assert nfs.calls == ["open", "lease", "close"]


def test_readers_do_not_matter(nfs: Nfs, path: Path) -> None:
    with path.open("rb"), nfs.lease(str(path)) as lease, nfs.lease(str(path)) as another:
        assert lease.granted
        assert another.granted


def test_it_is_refused_while_another_process_has_the_file_open_for_writing(nfs: Nfs, path: Path) -> None:
    with open_elsewhere(path) as writer:
        with nfs.lease(str(path)) as lease:
            assert lease.refused
            assert not lease.granted
            assert not lease.held()
            assert lease.impossible is None
        writer.close()
        with nfs.lease(str(path)) as lease:
            assert lease.granted


def test_it_is_refused_while_the_file_is_mapped_for_writing_though_its_descriptor_is_closed(nfs: Nfs, path: Path) -> None:
    mapping = "import mmap, sys; f = open(sys.argv[1], 'r+b'); m = mmap.mmap(f.fileno(), 0); f.close(); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", mapping, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with nfs.lease(str(path)) as lease:
            assert lease.refused
        process.communicate(b"\n")
    with nfs.lease(str(path)) as lease:
        assert lease.granted


def test_a_writer_waits_while_it_is_held_and_goes_on_as_soon_as_somebody_asks_whether_it_is(nfs: Nfs, path: Path) -> None:
    """The kernel's signal ends nobody."""
    with nfs.lease(str(path)) as lease:
        writer = Writer(path)
        while lease.held():
            time.sleep(0.001)
        writer.opened()
        assert lease.granted, "it was"
        assert not lease.held()
    writer.close()


def test_a_writer_that_waits_goes_on_when_the_block_ends(nfs: Nfs, path: Path) -> None:
    with nfs.lease(str(path)):
        writer = Writer(path)
        waiting = threading.Thread(target=writer.opened)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
    waiting.join()
    writer.close()


def test_on_a_local_file_system_it_lasts_through_our_own_changes(nfs: Nfs, path: Path) -> None:
    with nfs.lease(str(path)) as lease:
        lease.before_own_change()
        nfs.link(str(path), f"{path} claimed")
        nfs.rename(str(path), f"{path} aside")
        nfs.unlink(f"{path} aside")
        assert lease.held()


@pytest.mark.parametrize("kind", ["nfs4", None])
def test_on_nfs_it_is_let_go_before_our_own_changes_which_would_wait_for_it(
    nfs: Nfs, path: Path, monkeypatch: pytest.MonkeyPatch, kind: str | None
) -> None:
    monkeypatch.setattr(nfs, "kind", lambda _: kind)
    with nfs.lease(str(path)) as lease:
        assert lease.held()
        lease.before_own_change()
        assert not lease.held()
        assert open_below(path.parent) == []
        with open_elsewhere(path):
            pass


def test_an_error_while_it_is_asked_for_leaves_nothing_open(nfs: EventfulNfs, path: Path) -> None:
    nfs.before[1] = refused(errno.EIO)
    with pytest.raises(OSError, match="Input"), nfs.lease(str(path)):
        pass
    assert nfs.calls == ["open", "lease", "close"]
    assert open_below(path.parent) == []


def test_a_file_system_without_leases_says_so(nfs: Nfs, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = fcntl.fcntl

    def refuse(fd: int, command: int, argument: int = 0) -> int:
        if command == fcntl.F_SETLEASE:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return ask(fd, command, argument)

    monkeypatch.setattr("fcntl.fcntl", refuse)
    with nfs.lease(str(path)) as lease:
        assert not lease.granted
        assert not lease.refused
        assert not lease.held()
        assert lease.impossible is not None
        assert lease.impossible.errno == errno.EINVAL


def test_a_pipe_in_the_files_place_holds_nobody_up(nfs: Nfs, path: Path) -> None:
    path.unlink()
    os.mkfifo(path)
    with nfs.lease(str(path)) as lease:
        assert lease.impossible is not None


def test_what_is_gone_or_a_link_is_an_error(nfs: Nfs, path: Path) -> None:
    link = Path(f"{path} link")
    link.symlink_to(path)
    for name, code in ((f"{path} gone", errno.ENOENT), (str(link), errno.ELOOP)):
        with pytest.raises(OSError) as error, nfs.lease(name):
            pass
        assert error.value.errno == code


def test_a_writers_own_lease_is_a_refusal(nfs: Nfs, path: Path) -> None:
    """Samba and NFS servers of newer kernels take write leases for their clients."""
    fd = os.open(path, os.O_RDWR)
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, 23)  # SIGURG, which the process ignores
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        with nfs.lease(str(path)) as lease:
            assert lease.refused
            assert not lease.held()
            lease.let_go()
            lease.before_own_change()
    finally:
        os.close(fd)
    with nfs.lease(str(path)) as lease:
        assert lease.granted


#: Without CAP_LEASE, and with or without CAP_SETUID: leases a file of another owner, then makes one.
_OF_ANOTHER = """
import ctypes, struct, sys
from nfsw.actors.call_board import CallBoard
from nfsw.actors.nfs import Nfs
from nfsw.actors.tree import NfsTree

def drop(*capabilities):
    libc = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("=Ii", 0x20080522, 0)
    data = ctypes.create_string_buffer(24)
    assert libc.capget(header, data) == 0
    words = list(struct.unpack("=6I", data.raw))
    for number in capabilities:
        words[0 if number < 32 else 3] &= ~(1 << number % 32)
    assert libc.capset(header, struct.pack("=6I", *words)) == 0

CAP_SETUID, CAP_LEASE = 7, 28
drop(CAP_LEASE, *([] if sys.argv[2] == "with" else [CAP_SETUID]))
root = sys.argv[1]
with Nfs(NfsTree(root), CallBoard(CallBoard.create(1), 1)).lease(root + "/a") as lease:
    print("granted" if lease.granted else lease.impossible, flush=True)
open(root + "/made afterwards", "w").close()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to others")
@pytest.mark.parametrize(("setuid", "answer"), [("with", "granted"), ("without", "[Errno 13]")])
def test_a_file_of_another_owner_takes_the_right_to_be_its_owner_for_the_length_of_the_call(path: Path, setuid: str, answer: str) -> None:
    os.chown(path, 12345, 12345)
    done = subprocess.run([sys.executable, "-c", _OF_ANOTHER, str(path.parent), setuid], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(answer)
    assert (path.parent / "made afterwards").stat().st_uid == 0
