"""Folders in a session on a real mount: what the server, two clients and what is mounted in between make of them."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.content import Content, some_bytes
from tests.support.service import Service
from tests.support.site import Site
from tests.support.waiting import until

RECURSIVE = {"APP_RECURSIVE": "true"}


def written(site: Site, top: Path, name: str, content: bytes) -> None:
    """`top`: of the session, as the writer's client has it."""
    path = top / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    site.expect("s", name, Content.of([content]))


def folders_of(site: Site) -> list[Path]:
    """At the server."""
    tops = [site.incoming("s"), *(site.nfs / ".processing").glob("*/s"), *(site.nfs / ".nfsw/aside/s").glob("*")]
    return [path for top in tops for path in top.rglob("*")]


def all_gone(site: Site) -> None:
    site.all_arrived(within=120)
    until(lambda: not folders_of(site), within=60, what=lambda: f"no folder is left: {folders_of(site)}\n{site.report()}")


def test_trees_of_writers_here_and_on_another_node_arrive_and_leave_no_folder(site: Site) -> None:
    site.serve(**RECURSIVE).start_session("s")
    here, there = site.seen_at / "incoming/s", site.incoming("s")
    for number in range(40):
        top = there if number % 2 else here
        written(site, top, f"run {number % 7}/camera {number % 3}/{number}.bin", some_bytes(number, 1000 * number))
    all_gone(site)
    assert there.is_dir()


def test_a_folder_that_was_removed_may_come_again_with_the_same_names_from_either_client(site: Site) -> None:
    """A client that goes on believing what it knew of the old one would miss the new one."""
    site.serve(**RECURSIVE).start_session("s")
    for number in range(6):
        top = site.incoming("s") if number % 2 else site.seen_at / "incoming/s"
        written(site, top, "run/a/same.bin", some_bytes(number, 1000 + number))
        all_gone(site)


@contextlib.contextmanager
def mounted(target: Path, *arguments: str) -> Iterator[None]:
    target.mkdir(parents=True)
    subprocess.run(["mount", *arguments, target], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", target], check=True)


def refusals(service: Service) -> dict[str, str]:
    return {one["file"]: one["reason"] for one in service.status()["refused"]}


def test_what_is_mounted_in_a_session_is_refused_also_when_it_is_the_same_export(site: Site) -> None:
    top = site.seen_at / "incoming/s"
    other = site.seen_at / "other"
    other.mkdir(parents=True)
    (other / "file.bin").write_bytes(b"stays")
    with mounted(top / "a/bound", "--bind", str(other)), mounted(top / "tmpfs", "-t", "tmpfs", "none"):
        (top / "tmpfs/file.bin").write_bytes(b"stays")
        service = site.serve(**RECURSIVE)
        service.start_session("s")
        written(site, top, "a/good.bin", b"good")
        until(lambda: set(refusals(service)) == {"a/bound", "tmpfs"}, within=30, what=lambda: f"{refusals(service)}\n{site.report()}")
        until(site.container.names, within=60, what=site.report)
        assert all("mounted" in reason for reason in refusals(service).values())
        assert (top / "a/bound/file.bin").read_bytes() == (top / "tmpfs/file.bin").read_bytes() == b"stays"
        service.stop()
    assert [name.split("/", 1)[1] for name in site.container.names()] == ["s/a/good.bin"]
