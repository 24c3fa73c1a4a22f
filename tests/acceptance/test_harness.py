"""The harness itself, without the service: a checker that cannot fail proves nothing."""

import hashlib
import socket
import time

import pytest

from tests.support.blobs import Container
from tests.support.content import MIB, some_bytes
from tests.support.link import Link
from tests.support.site import Site, utc_date
from tests.support.waiting import NeverHappened

CONTENT = b"what the writer wrote"
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).digest()


def arrived(site: Site, blob: str, content: bytes, *, md5: bytes = MD5) -> None:
    """A writer's file and what somebody made of it."""
    site.write("s", "a.bin", CONTENT).unlink()
    site.container.make()
    site.container.put(f"{utc_date()}/{blob}", content, stated_md5=md5)


def test_the_checker_accepts_what_is_right(site: Site) -> None:
    arrived(site, "s/a.bin", CONTENT)
    site.all_arrived()


def test_the_checker_sees_a_missing_blob(site: Site) -> None:
    site.write("s", "a.bin", CONTENT).unlink()
    with pytest.raises(AssertionError):
        site.all_arrived()


def test_the_checker_sees_other_bytes(site: Site) -> None:
    arrived(site, "s/a.bin", CONTENT[::-1])
    with pytest.raises(AssertionError, match="other bytes"):
        site.all_arrived()


def test_the_checker_sees_a_wrong_content_md5(site: Site) -> None:
    arrived(site, "s/a.bin", CONTENT, md5=MD5[::-1])
    with pytest.raises(AssertionError, match="Content-MD5"):
        site.all_arrived()


def test_the_checker_sees_a_blob_too_many(site: Site) -> None:
    arrived(site, "s/a.bin", CONTENT)
    site.container.put(f"{utc_date()}/s/b.bin", CONTENT, stated_md5=MD5)
    with pytest.raises(AssertionError):
        site.all_arrived()


@pytest.mark.parametrize("left", ["nfs/incoming/s/b", "nfs/.processing/20260101/s/b", "staging/copies/b"])
def test_the_checker_sees_a_file_that_is_left(site: Site, left: str) -> None:
    arrived(site, "s/a.bin", CONTENT)
    path = site.folder / left
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with pytest.raises(NeverHappened):
        site.all_arrived(within=0.1)


def test_a_cut_link_refuses_and_a_mended_one_serves_again(link: Link, container: Container) -> None:
    container.make()
    through = Container(link.endpoint, container.name)
    assert through.exists()
    link.cut()
    with pytest.raises(ConnectionRefusedError):
        _connect(link.port)
    link.mend()
    assert through.exists()
    through.close()


def test_a_limited_link_keeps_its_rate(link: Link, container: Container) -> None:
    container.make()
    through = Container(link.endpoint, container.name)
    link.limit(4 * MIB)
    begin = time.monotonic()
    through.put("a.bin", some_bytes(1, 2 * MIB), stated_md5=MD5)
    assert time.monotonic() - begin >= 0.4
    assert link.sent > 2 * MIB
    through.close()


def _connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port)).close()
