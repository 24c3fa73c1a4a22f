"""Recovery is the normal path: whatever lies in `.processing` and is in nobody's hands is taken up again."""

import shutil

from tests.support.content import MIB, Content, some_bytes
from tests.support.link import Link
from tests.support.site import Site
from tests.support.waiting import until


def lay_down(site: Site, date: str, session: str, name: str, content: bytes) -> None:
    folder = site.processing(session, date)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    site.expect_blob(f"{date}/{session}/{name}", Content.of([content]))


def test_what_turns_up_in_processing_is_sent_while_the_service_runs(site: Site) -> None:
    service = site.serve()
    service.start_session("s")
    lay_down(site, "20250102", "other", "a.bin", b"another session's")
    lay_down(site, "20250102", "s", "b.bin", b"an older day's")
    site.all_arrived()
    assert service.status()["session"]["name"] == "s"


def test_what_turns_up_in_processing_is_sent_without_a_session_too(site: Site) -> None:
    site.serve()
    lay_down(site, "20250102", "other", "a.bin", b"a")
    site.all_arrived()


def test_a_mark_that_nothing_proves_is_not_deleted_on_faith(site: Site) -> None:
    """Another node may have left it, and a writer may have changed it since: it is taken up like any claimed file."""
    folder = site.processing("old", "20250102")
    folder.mkdir(parents=True)
    (folder / "a.bin.completed").write_bytes(b"sent, or not")
    site.expect_blob("20250102/old/a.bin", Content.of([b"sent, or not"]))
    site.serve()
    site.all_arrived()


def test_empty_folders_go_but_the_record_of_the_session_stays(site: Site) -> None:
    site.serve().start_session("s")
    lay_down(site, "20250102", "s", "a.bin", b"a")
    site.write("s", "b.bin", b"b")
    site.all_arrived()
    old = site.nfs / ".processing/20250102"
    until(lambda: not old.exists(), within=20, what="the old day's folder is gone")
    assert list((site.nfs / ".processing").glob("*/s")), "the session's folder is its record"


def test_staging_that_was_wiped_is_filled_again(linked: Site, link: Link) -> None:
    service = linked.serve()
    service.start_session("s")
    link.cut()
    linked.write("s", "a.bin", some_bytes(1, 2 * MIB))
    until(lambda: linked.staged_bytes() >= 2 * MIB, within=30, what="the file is staged")
    service.crash()
    shutil.rmtree(linked.staging)
    link.mend()
    linked.serve()
    linked.all_arrived()


def test_staging_left_of_files_that_are_gone_is_cleaned_up(linked: Site, link: Link) -> None:
    service = linked.serve()
    service.start_session("s")
    link.cut()
    linked.write("s", "a.bin", some_bytes(1, 2 * MIB))
    until(lambda: linked.staged_bytes() >= 2 * MIB, within=30, what="the file is staged")
    service.crash()
    (linked.processing("s") / "a.bin").unlink()
    link.mend()
    linked.serve()
    until(lambda: not linked.staged_bytes(), within=30, what="staging is empty")
    assert linked.container.names() == set()


def test_a_staged_copy_of_another_version_is_not_sent(linked: Site, link: Link) -> None:
    """Changed while the service was down: the copy that staging holds is not what the share holds."""
    service = linked.serve()
    service.start_session("s")
    link.cut()
    linked.write("s", "a.bin", some_bytes(1, 2 * MIB))
    until(lambda: linked.staged_bytes() >= 2 * MIB, within=30, what="the file is staged")
    service.crash()
    changed = some_bytes(2, 2 * MIB)
    (linked.processing("s") / "a.bin").write_bytes(changed)
    linked.expect("s", "a.bin", Content.of([changed]))
    link.mend()
    linked.serve()
    linked.all_arrived()
