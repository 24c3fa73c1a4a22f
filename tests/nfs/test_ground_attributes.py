"""What the stability check and the copy rely on: which looks at a file the attribute cache answers, and which the server."""

import ctypes
import mmap
import os
import time
from pathlib import Path

import pytest

from nfsw.actors import statx
from tests.nfs.conftest import Place
from tests.support.children import child
from tests.support.figures import Figure
from tests.support.waiting import until


def test_a_forced_look_sees_what_a_plain_one_misses(place: Place, figure: Figure) -> None:
    path = place.mount / "growing"
    path.write_bytes(b"a" * 10)
    assert path.stat().st_size == 10
    (place.export / "growing").write_bytes(b"b" * 20)
    assert path.stat().st_size == 10, "a plain look is answered from the cache"
    assert statx.observe(str(path), fresh=True).fingerprint.size == 20
    assert path.stat().st_size == 20, "a forced look refreshes the cache for all"

    (place.export / "growing").write_bytes(b"c" * 30)
    changed = time.monotonic()
    until(lambda: path.stat().st_size == 30, within=10, what="the attribute cache expires")
    figure("seconds until a plain stat sees a change (actimeo=5)", round(time.monotonic() - changed, 1))


def test_open_and_fstat_see_the_change_too(place: Place) -> None:
    path = place.mount / "growing"
    path.write_bytes(b"a" * 10)
    (place.export / "growing").write_bytes(b"b" * 20)
    with path.open("rb") as file:
        assert os.fstat(file.fileno()).st_size == 20


def test_a_listing_shows_a_name_that_another_client_made_within_the_cache_time(place: Place, figure: Figure) -> None:
    for _ in range(3):
        assert os.listdir(place.mount) == []
    (place.export / "new").write_text("")
    created = time.monotonic()
    until(lambda: os.listdir(place.mount) == ["new"], within=10, what="a new name is listed")
    figure("seconds until a listing shows a name that another client made", round(time.monotonic() - created, 1))


def test_a_name_looked_up_in_vain_stays_missing_for_every_kind_of_look(place: Place, figure: Figure) -> None:
    """So whether a name is free is never learnt by looking: only link(2) and mkdir(2), which ask the server, tell."""
    path = place.mount / "late"
    assert not path.exists()
    (place.export / "late").write_text("here")
    created = time.monotonic()
    with pytest.raises(FileNotFoundError):
        statx.observe(str(path), fresh=True)
    with pytest.raises(FileNotFoundError):
        path.open()
    with pytest.raises(FileExistsError):
        os.link(_some_file(place), path)
    assert path.read_text() == "here", "after the server's EEXIST the name is looked up again"

    later = place.mount / "later"
    assert not later.exists()
    (place.export / "later").write_text("here")
    created = time.monotonic()
    until(later.exists, within=10, what="the missing name is forgotten")
    figure("seconds until a name that was missing is found", round(time.monotonic() - created, 1))


def test_a_forced_look_at_the_folder_brings_a_missing_name_to_light(place: Place) -> None:
    path = place.mount / "late"
    assert not path.exists()
    (place.export / "late").write_text("here")
    statx.observe(str(place.mount), fresh=True)
    assert path.exists()


def test_pages_behind_a_copy_can_be_dropped(place: Place) -> None:
    """mincore(2) tells which pages of the mapped file are in memory."""
    path = place.mount / "large"
    path.write_bytes(bytes(4 * 1024 * 1024))
    with path.open("rb", buffering=0) as file:
        while file.read(1024 * 1024):
            pass
        assert _cached_share(file.fileno()) == 1.0
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert _cached_share(file.fileno()) == 0.0


def test_another_process_sees_the_bytes_after_close(place: Place) -> None:
    path = place.mount / "handed-over"
    program = "import sys; open(sys.argv[1], 'wb').write(b'x' * 100_000); print('written')"
    with child(program, path) as writer:
        assert writer.says() == "written"
    assert (place.export / "handed-over").stat().st_size == 100_000


def _some_file(place: Place) -> Path:
    path = place.mount / "some"
    path.write_text("")
    return path


def _cached_share(file: int) -> float:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)
    with mmap.mmap(file, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
        first = ctypes.c_char.from_buffer(mapped)
        pages = ctypes.create_string_buffer((len(mapped) + mmap.PAGESIZE - 1) // mmap.PAGESIZE)
        failed = libc.mincore(ctypes.addressof(first), len(mapped), pages)
        del first  # mmap cannot be closed while something points into it
    assert not failed, os.strerror(ctypes.get_errno())
    return sum(page & 1 for page in pages.raw[: len(pages)]) / len(pages)
