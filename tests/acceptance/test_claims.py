"""A claim never replaces anything, and nothing becomes final with bytes that are not the final ones."""

import time

from tests.support.content import KIB, MIB, Content, some_bytes
from tests.support.link import Link
from tests.support.site import Site
from tests.support.waiting import until


def test_a_second_file_of_a_name_waits_until_the_first_is_sent(linked: Site, link: Link) -> None:
    service = linked.serve()
    service.start_session("s")
    link.cut()
    first, second = some_bytes(1, MIB), some_bytes(2, MIB)
    linked.write("s", "a.bin", first)
    held = linked.processing("s") / "a.bin"
    until(held.exists, within=30, what="the first is claimed")
    waiting = linked.write("s", "a.bin", second)
    linked.write("s", "later.bin", b"later")
    until((linked.processing("s") / "later.bin").exists, within=30, what="a later file is claimed: the second could have been")
    assert held.read_bytes() == first
    assert waiting.read_bytes() == second

    link.mend()
    linked.all_arrived()  # the ledger knows the second one: last writer wins
    again = [line for line in service.log() if line.get("file_name") == "a.bin" and "overwr" in line["message"].lower()]
    assert again, service.report()


def test_a_name_that_comes_again_as_soon_as_it_is_free_ends_with_its_last_version(site: Site) -> None:
    """The next version takes the name at the very moment at which the one before it is claimed."""
    service = site.serve()
    service.start_session("s")
    path, versions = site.incoming("s") / "a.bin", 6
    for version in range(versions):
        site.write("s", path.name, some_bytes(version, 10_000 + version % 2))
        until(lambda: not path.exists(), within=30, what=f"version {version} is claimed")
    site.all_arrived()
    until(lambda: service.status()["files"]["completed"] == versions, within=10, what="each version is counted")


def test_a_name_that_is_marked_completed_is_swept_and_then_claimed(site: Site) -> None:
    """The mark of an earlier run, and a new file of its name."""
    site.serve().start_session("s")
    folder = site.processing("s")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.bin.completed").write_bytes(b"sent in an earlier run")
    site.write("s", "a.bin", b"new")
    site.all_arrived()


def test_a_writer_that_opens_a_claimed_file_and_goes_on_has_its_last_bytes_sent(linked: Site, link: Link) -> None:
    """Each upload takes longer than its pauses."""
    linked.serve().start_session("s")
    link.limit(4 * MIB)
    begin, rest = some_bytes(1, 6 * MIB), some_bytes(2, 2 * MIB)
    linked.write("s", "a.bin", begin)
    held = linked.processing("s") / "a.bin"
    until(held.exists, within=30, what="it is claimed")
    with held.open("ab", buffering=0) as file:
        for place in range(0, len(rest), 256 * KIB):
            file.write(rest[place : place + 256 * KIB])
            time.sleep(0.2)  # the writer's pace
    linked.expect("s", "a.bin", Content.of([begin, rest]))
    linked.all_arrived()


def test_a_claimed_file_that_is_changed_in_place_is_sent_again(linked: Site, link: Link) -> None:
    """Same size, other bytes, while its upload waits for Azure: only mtime tells."""
    linked.serve().start_session("s")
    link.cut()
    linked.write("s", "a.bin", some_bytes(1, 2 * MIB))
    held = linked.processing("s") / "a.bin"
    until(held.exists, within=30, what="it is claimed")
    until(lambda: linked.staged_bytes() >= 2 * MIB, within=30, what="it is staged")
    changed = some_bytes(2, 2 * MIB)
    with held.open("r+b") as file:
        file.write(changed)
    linked.expect("s", "a.bin", Content.of([changed]))
    link.mend()
    linked.all_arrived()


def test_a_claimed_file_that_is_removed_is_let_go(linked: Site, link: Link) -> None:
    service = linked.serve()
    service.start_session("s")
    link.cut()
    gone = linked.incoming("s") / "gone.bin"
    gone.write_bytes(some_bytes(1, MIB))
    held = linked.processing("s") / "gone.bin"
    until(held.exists, within=30, what="it is claimed")
    held.unlink()
    link.mend()
    until(lambda: not service.status()["in_flight"], within=60, what="nothing is in flight")
    linked.write("s", "a.bin", b"a")
    until(lambda: not linked.files_held(), within=60, what="share and staging are empty")
    assert "a.bin" in {name.rpartition("/")[2] for name in linked.container.names()}
