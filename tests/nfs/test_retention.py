"""Kept files on a real NFS mount: leases, locks and the server's clock are those of NFS."""

from tests.support.content import KIB, some_bytes
from tests.support.keeping import KeptWatch
from tests.support.site import Site, files_below
from tests.support.waiting import until

KEEP_S = 6.0


def test_a_file_is_kept_for_its_time_and_deleted_and_a_changed_one_is_sent_again(site: Site) -> None:
    service = site.serve(APP_KEEP_COMPLETED_S=str(KEEP_S))
    service.start_session("s")
    marks = site.processing("s")
    with KeptWatch(site.nfs, KEEP_S) as watch:
        for name in ("a.bin", "b.bin"):
            site.write("s", name, some_bytes(1, 64 * KIB))
        until(lambda: len(list(marks.glob("*.completed"))) == 2 and not site.staged_bytes(), within=60, what="both are kept")
        with (marks / "b.bin.completed").open("r+b") as changed:
            changed.write(b"changed")
        site.write("s", "c.bin", b"another")
        until(lambda: watch.given_back >= 1, within=60, what=lambda: f"the changed one is given back\n{site.report()}")
        until(lambda: watch.deleted >= 3, within=90, what=lambda: f"all are deleted in the end\n{site.report()}")
    assert watch.early == []
    assert watch.longest_s < 45
    assert not files_below(site.nfs / ".nfsw/kept")
    blob = site.container.read(f"{marks.parent.name}/s/b.bin")
    assert blob.content.size == 64 * KIB
    assert [line for line in service.log() if line["message"].startswith("a kept file is taken up again")]
