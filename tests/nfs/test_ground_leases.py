"""What the service relies on when it asks the server who writes: read leases on the mount, with writers on this node and elsewhere.

A client grants a lease when it holds a read delegation, and the server gives one only while nobody has the file open for writing.
"""

import errno
import fcntl
import mmap
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from nfsw.actors import statx
from tests.nfs.conftest import Place
from tests.support import uml_server
from tests.support.figures import Figure
from tests.support.uml_client import second_client, writeback
from tests.support.waiting import until

#: How long after a writer's close a lease may still be refused, in seconds: the server takes its time to see the close.
GRANTED_WITHIN = 5.0


@pytest.fixture(scope="module")
def other_node() -> Iterator[Path]:
    with second_client() as mount:
        yield mount


@pytest.fixture
def elsewhere(place: Place, other_node: Path) -> Path:
    """The folder of the test, as the second client has it."""
    return other_node / place.mount.name


@pytest.fixture
def broken() -> Iterator[list[float]]:
    """Takes a time of time.monotonic() for each lease that somebody wants back."""
    times: list[float] = []
    before = signal.signal(signal.SIGIO, lambda *_: times.append(time.monotonic()))
    yield times
    signal.signal(signal.SIGIO, before)


@pytest.mark.parametrize("where", ["on another node", "on the export", "on this node"])
def test_a_file_that_somebody_has_open_for_writing_gets_no_lease_and_gets_one_after_the_close(
    place: Place, elsewhere: Path, broken: list[float], where: str, figure: Figure
) -> None:
    folder = {"on another node": elsewhere, "on the export": place.export, "on this node": place.mount}[where]
    with (folder / "file").open("wb", buffering=0) as writer:
        writer.write(b"some")
        with leased(place.mount / "file") as answer:
            assert answer == errno.EAGAIN
        writer.write(b" more")
    closed = time.monotonic()
    until(lambda: _granted(place.mount / "file"), within=GRANTED_WITHIN, what="a lease is granted")
    figure("seconds from the close to a lease", round(time.monotonic() - closed, 2))
    assert (place.mount / "file").stat().st_size == 9, "the size is the final one, without a look past the cache"


def test_a_file_that_is_mapped_for_writing_gets_no_lease_though_it_is_closed(place: Place, elsewhere: Path, broken: list[float]) -> None:
    (elsewhere / "file").write_bytes(bytes(4096))
    with (elsewhere / "file").open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 0)
    for _ in range(10):
        assert not _granted(place.mount / "file")
    mapped.close()
    until(lambda: _granted(place.mount / "file"), within=GRANTED_WITHIN, what="a lease is granted")


def test_readers_are_in_nobodys_way(place: Place, elsewhere: Path, broken: list[float]) -> None:
    (place.export / "file").write_bytes(b"content")
    with (elsewhere / "file").open("rb") as far, (place.export / "file").open("rb"), leased(place.mount / "file") as answer:
        assert answer is None
        assert far.read() == b"content"
        assert (place.mount / "file").read_bytes() == b"content"
    assert broken == []


@pytest.mark.parametrize("where", ["on another node", "on the export"])
def test_a_writers_open_waits_for_the_lease_to_be_let_go(
    place: Place, elsewhere: Path, broken: list[float], where: str, figure: Figure
) -> None:
    folder = {"on another node": elsewhere, "on the export": place.export}[where]
    (folder / "file").write_bytes(b"content")
    until(lambda: _granted(place.mount / "file"), within=GRANTED_WITHIN, what="a lease is granted")
    with leased(place.mount / "file", keep=True) as answer, opening(folder / "file") as opened:
        assert answer is None
        until(lambda: broken, within=GRANTED_WITHIN, what="the holder is told")
        assert not opened.wait(0.3), "the lease is still held"
        _let_go()
        let_go = time.monotonic()
        assert opened.wait(GRANTED_WITHIN)
        figure("seconds from letting go until the writer has it open", round(time.monotonic() - let_go, 2))
    assert not _granted(place.mount / "file"), "for about a minute after that the server grants none: not now does not mean that it is open"


def test_our_own_changes_of_names_wait_for_a_lease_of_our_own_unless_it_was_let_go(
    place: Place, broken: list[float], figure: Figure
) -> None:
    """In another thread than the one that takes signals, as in the service: a signal would end the wait."""
    (place.export / "file").write_bytes(b"content")
    folder = place.mount
    changes: list[tuple[str, Callable[[], None]]] = [
        ("file", lambda: os.link(folder / "file", folder / "second")),
        ("file", lambda: os.rename(folder / "file", folder / "third")),
        ("third", lambda: os.unlink(folder / "third")),
    ]
    with _break_time(2), ThreadPoolExecutor(1) as thread:
        for name, change in changes:
            with leased(folder / name, keep=True) as answer:
                assert answer is None
                if name == "third":
                    _let_go()
                begun = time.monotonic()
                thread.submit(change).result()
                took = time.monotonic() - begun
                assert (took < 1) == (name == "third"), f"{name}: {took} s"
            assert (folder / "second").exists()
            assert _granted(folder / "second"), "the next lease can be had at once"


def test_where_leases_are_switched_off_at_the_server_none_is_ever_granted(place: Place, broken: list[float]) -> None:
    (place.export / "file").write_bytes(b"content")
    with uml_server.without_leases(), leased(place.mount / "file") as answer:
        assert answer == errno.EAGAIN
    assert _granted(place.mount / "file")


def test_what_another_client_has_written_is_not_seen_before_its_writeback(place: Place, elsewhere: Path, figure: Figure) -> None:
    """Why quiet alone proves little: the writer writes on, and every look, forced or not, finds the file as it was."""
    with writeback(expire_s=3, every_s=1), (elsewhere / "file").open("wb", buffering=0) as writer:
        writer.write(b"line\n")
        begun = time.monotonic()
        while (size := statx.observe(str(place.mount / "file"), fresh=True).fingerprint.size) == 0:
            assert time.monotonic() - begun < 20
            writer.write(b"line\n")
            time.sleep(0.1)
        waited = time.monotonic() - begun
        figure("seconds until a line that another client has written is seen (dirty_expire 3 s, looked every 1 s)", round(waited, 1))
        assert waited > 0.5, "several lines were written before"
        writer.write(b"line\n")
    assert statx.observe(str(place.mount / "file"), fresh=True).fingerprint.size > size, "the close brings the rest"


def test_after_a_rename_over_the_name_every_look_at_the_moved_name_tells_the_old_file_and_a_listing_tells_the_truth(place: Place) -> None:
    """Our RENAME moves what the server has under the name; our caches go on with what they had."""
    (place.export / "file").write_bytes(b"older")
    (place.export / "newer").write_bytes(b"newer version")
    (place.mount / "aside").mkdir()
    old, new = (place.export / "file").stat().st_ino, (place.export / "newer").stat().st_ino
    os.link(place.mount / "file", place.mount / "claimed")
    (place.export / "newer").rename(place.export / "file")

    os.rename(place.mount / "file", place.mount / "aside/file")

    assert statx.observe(str(place.mount / "aside/file"), fresh=True).fingerprint.inode == old
    with os.scandir(place.mount / "aside") as listing:
        assert [entry.inode() for entry in listing] == [new]
    assert statx.observe(str(place.mount / "aside/file"), fresh=True).fingerprint.inode == new
    assert (place.mount / "aside/file").read_bytes() == b"newer version"


_held: list[int] = []


@contextmanager
def leased(path: Path, *, keep: bool = False) -> Iterator[int | None]:
    """Asks for a read lease: None when it is granted, else the error number. `keep`: nothing is asserted when it is taken away."""
    file = os.open(path, os.O_RDONLY)
    _held.append(file)
    try:
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except OSError as error:
            yield error.errno
        else:
            yield None
            assert keep or fcntl.fcntl(file, fcntl.F_GETLEASE) == fcntl.F_RDLCK
    finally:
        _held.remove(file)
        os.close(file)


def _let_go() -> None:
    fcntl.fcntl(_held[-1], fcntl.F_SETLEASE, fcntl.F_UNLCK)


def _granted(path: Path) -> bool:
    with leased(path) as answer:
        return answer is None


@contextmanager
def _break_time(seconds: int) -> Iterator[None]:
    """How long the kernel waits for the holder of a lease; 45 seconds is usual."""
    setting = Path("/proc/sys/fs/lease-break-time")
    before = setting.read_text()
    setting.write_text(str(seconds))
    try:
        yield
    finally:
        setting.write_text(before)


@contextmanager
def opening(path: Path) -> Iterator[threading.Event]:
    """A writer's open in a thread of its own; the event is set once it has returned."""
    opened = threading.Event()

    def run() -> None:
        with path.open("ab"):
            opened.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield opened
    finally:
        thread.join()
