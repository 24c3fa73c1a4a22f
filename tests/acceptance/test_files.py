"""Which files are taken, which are left alone, and which are refused with a reason."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

from tests.support.content import MIB, some_bytes
from tests.support.site import Site
from tests.support.waiting import until


def make_link(path: Path) -> None:
    target = path.parents[2] / "target.bin"
    target.write_bytes(b"not to be sent")
    path.symlink_to(target)


def make_folder(path: Path) -> None:
    path.mkdir()


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def make_file(path: Path) -> None:
    path.write_bytes(b"not to be sent")


IGNORED: tuple[tuple[str, Callable[[Path], None]], ...] = (
    (".hidden.bin", make_file),
    (".nfs0000000000a1b2c3", make_file),
    ("link.bin", make_link),
    ("fifo.bin", os.mkfifo),
    ("socket.bin", make_socket),
    ("folder.bin", make_folder),
)
#: Bytes, since not all of them are text.
REFUSED: tuple[bytes, ...] = (
    b"mine.completed",
    b"no-utf8-\xff.bin",
    b"control-\x01.bin",
    b"line\nbreak.bin",
    b"delete-\x7f.bin",
    b"back\\slash.bin",
    b"dot.",
    b"x" * 246,
    "\u00fc".encode() * 123,
)


def pass_twice(site: Site, session: str, left: set[Path]) -> None:
    """Two files, one after the other, go their whole way: whatever else lies there could long have been taken."""
    for name in ("first.bin", "second.bin"):
        site.write(session, name, name.encode())
        site.all_arrived(left=left)


def test_what_is_hidden_or_no_regular_file_is_never_claimed(site: Site) -> None:
    folder = site.incoming("s")
    for name, make in IGNORED:
        make(folder / name)
    service = site.serve()
    service.start_session("s")
    pass_twice(site, "s", {folder / name for name, make in IGNORED if make is not make_folder})
    assert (folder / "folder.bin").is_dir()
    assert service.status()["refused"] == [], "ignored is not refused"


def test_refused_names_stay_with_their_reason_and_are_logged_once(site: Site) -> None:
    folder = os.fsencode(site.incoming("s"))
    paths = [os.path.join(folder, name) for name in REFUSED]
    for path in paths:
        Path(os.fsdecode(path)).write_bytes(b"refused")
    service = site.serve()
    service.start_session("s")
    pass_twice(site, "s", {Path(os.fsdecode(path)) for path in paths})

    refused = service.status()["refused"]
    assert len(refused) == len(REFUSED)
    assert {one["session"] for one in refused} == {"s"}
    assert "mine.completed" in {one["file"] for one in refused}
    for one in refused:
        lines = [line for line in service.log() if line.get("file_name") == one["file"]]
        assert len(lines) == 1, (one, lines)
        assert lines[0]["level"] == "WARNING"
        assert lines[0]["session_name"] == "s"


def test_a_refused_file_that_gets_a_good_name_is_sent(site: Site) -> None:
    service = site.serve()
    service.start_session("s")
    bad = site.write("s", "good.bin", b"good").rename(site.incoming("s") / "bad.")
    until(lambda: service.status()["files"]["refused"] == 1, within=20, what="it is refused")
    bad.rename(bad.with_name("good.bin"))
    site.all_arrived()
    until(lambda: service.status()["files"]["refused"] == 0, within=20, what="it is refused no more")


def test_the_longest_name_that_can_be_marked_is_sent(site: Site) -> None:
    site.serve().start_session("s")
    site.write("s", "x" * 245, b"long")
    site.write("s", "\u00fc" * 122, b"long too")
    site.all_arrived()


def test_only_the_extensions_asked_for_are_taken(site: Site) -> None:
    site.serve(APP_FILE_EXTENSIONS=".bin, .MP4").start_session("s")
    others = {site.incoming("s") / name for name in ("a.txt", "bin", "a.bin.part", "a.mp")}
    for path in others:
        path.write_bytes(b"other")
    site.write("s", "a.mp4", b"film")
    site.write("s", "A.BIN", b"in capitals")
    pass_twice(site, "s", others)


def test_a_file_that_can_never_fit_into_staging_is_refused_and_holds_up_nobody(site: Site) -> None:
    service = site.serve(APP_STAGING_LIMIT_BYTES=str(4 * MIB))
    service.start_session("s")
    large = site.incoming("s") / "large.bin"
    large.write_bytes(some_bytes(1, 4 * MIB + 1))
    pass_twice(site, "s", {large})
    refused = until(lambda: service.status()["refused"], within=20, what="the large file is refused")
    assert [one["file"] for one in refused] == ["large.bin"]
    assert large.stat().st_size == 4 * MIB + 1
