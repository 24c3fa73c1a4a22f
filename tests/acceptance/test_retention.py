"""APP_KEEP_COMPLETED_S from outside: kept for that long and no longer, whatever is killed; nothing waits for it; a change is sent."""

import os
import random
import signal
import time
from contextlib import suppress

import pytest

from tests.support.content import KIB, Content, some_bytes
from tests.support.keeping import COMPLETED, KeptWatch
from tests.support.service import Service, run_nfsw
from tests.support.site import Site, files_below
from tests.support.waiting import until

#: Longer than the slowest of these tests: a file that is kept for so long is there.
LONG_S = "3600"
#: Seconds after it is due in which a file is deleted on a busy machine, with a sweep each second.
WITHIN_S = 30.0


def kept(site: Site, session: str = "s") -> set[str]:
    return {path.name for path in files_below(site.processing(session))}


def is_kept(site: Site, name: str, session: str = "s") -> None:
    until(
        lambda: kept(site, session) >= {f"{name}{COMPLETED}"} and not site.staged_bytes() and (site.nfs / ".nfsw/kept").exists(),
        within=60,
        what=lambda: f"{name} is kept\n{site.report()}",
    )


def says_kept(service: Service, files: int, size: int) -> None:
    """The Collector's word of it comes a moment after the file is kept."""
    until(lambda: service.status()["kept"] == {"files": files, "bytes": size}, within=30, what=lambda: f"it says so\n{service.report()}")


def ends(service: Service) -> None:
    assert service.call("POST", "/v1/watch/stop").status == 200
    until(lambda: service.status()["session"] is None, within=30, what=lambda: f"the session ends\n{service.report()}")


def test_a_file_is_in_azure_and_stays_and_its_session_ends_all_the_same(site: Site) -> None:
    service = site.serve(APP_KEEP_COMPLETED_S=LONG_S)
    service.start_session("s")
    content = some_bytes(1, 64 * KIB)
    site.write("s", "a.bin", content)
    is_kept(site, "a.bin")
    assert (site.processing("s") / f"a.bin{COMPLETED}").read_bytes() == content
    assert [site.container.read(blob).content for blob in site.container.names()] == [Content.of([content])]
    says_kept(service, 1, 64 * KIB)
    assert "kept      1 completed file on NFS, 64.0 KiB" in run_nfsw(site.folder, "status", "--url", service.url).stdout
    assert [line for line in service.log() if "in Azure and kept on NFS" in line["message"]]
    ends(service)
    service.start_session("t")
    site.write("t", "a.bin", content)
    is_kept(site, "a.bin", "t")
    says_kept(service, 2, 128 * KIB)


def test_it_is_deleted_when_it_is_due_with_its_note_and_the_folders_of_its_session(site: Site) -> None:
    with KeptWatch(site.nfs, 4.0) as watch:
        service = site.serve(APP_KEEP_COMPLETED_S="4")
        service.start_session("s")
        for name in ("a.bin", "b.bin", "empty.bin"):
            site.write("s", name, b"" if name == "empty.bin" else some_bytes(1, KIB))
        is_kept(site, "a.bin")
        ends(service)
        until(lambda: not files_below(site.nfs / ".nfsw/kept"), within=60, what=lambda: f"all are deleted\n{site.report()}")
        until(lambda: not list((site.nfs / ".processing").iterdir()), within=30, what="the folders are gone")
    site.all_arrived()
    assert not list((site.nfs / ".nfsw/sessions").iterdir())
    assert (watch.deleted, watch.early, watch.given_back) == (3, [], 0)
    assert watch.longest_s < WITHIN_S
    says_kept(service, 0, 0)


def test_a_new_file_of_the_name_waits_with_its_reason_and_holds_no_other_up(site: Site) -> None:
    service = site.serve(APP_KEEP_COMPLETED_S=LONG_S, APP_WORKERS="1", APP_QUEUE_SIZE="1")
    service.start_session("s")
    site.write("s", "a.bin", b"first")
    is_kept(site, "a.bin")
    (site.incoming("s") / "a.bin").write_bytes(b"second")
    until(lambda: any("kept files" in reason for reason in service.status()["waiting_for"]), within=30, what="the reason is said")
    claims = len([line for line in service.log() if line["message"] == "claimed"])
    for number in range(5):
        site.write("s", f"{number}.bin", b"another")
        is_kept(site, f"{number}.bin")
    status = service.status()
    assert (status["files"]["queued"], status["in_flight"], site.staged_bytes()) == (0, [], 0)
    assert len([line for line in service.log() if line["message"] == "claimed"]) == claims + 5
    (site.processing("s") / f"a.bin{COMPLETED}").unlink()  # its time was too long for somebody
    blob = f"{site.processing('s').parent.name}/s/a.bin"
    until(lambda: site.container.read(blob).content == Content.of([b"second"]), within=90, what=lambda: f"it is taken now\n{site.report()}")


def test_with_another_setting_what_is_kept_goes_with_the_next_sweep(site: Site) -> None:
    service = site.serve(APP_KEEP_COMPLETED_S=LONG_S)
    service.start_session("s")
    site.write("s", "a.bin", some_bytes(1, KIB))
    is_kept(site, "a.bin")
    service.crash()
    site.serve()
    site.all_arrived()


@pytest.mark.parametrize("others", [True, False], ids=["another session is active", "no session is active"])
def test_a_kept_file_that_is_changed_after_its_session_has_ended_is_sent_again(site: Site, *, others: bool) -> None:
    service = site.serve(APP_KEEP_COMPLETED_S=LONG_S)
    service.start_session("s")
    site.write("s", "a.bin", b"as it was sent")
    is_kept(site, "a.bin")
    ends(service)
    if others:
        service.start_session("t")
    changed = Content.of([b"changed later"])
    (site.processing("s") / f"a.bin{COMPLETED}").write_bytes(b"changed later")
    (late := site.incoming("s") / "late.bin").write_bytes(b"of a session that is over")
    blob = f"{site.processing('s').parent.name}/s/a.bin"
    until(lambda: site.container.read(blob).content == changed, within=90, what=lambda: f"the change is in Azure\n{site.report()}")
    is_kept(site, "a.bin")
    session = service.status()["session"]
    assert (session and session["name"]) == ("t" if others else None)
    assert late.exists(), "nothing new is claimed for it"
    until(
        lambda: [line for line in service.log() if line["message"] == "session released" and line.get("session_name") == "s"][1:],
        within=30,
        what=lambda: f"it ends once more\n{site.report()}",
    )


def test_under_kills_nothing_is_lost_nothing_is_kept_for_longer_and_nothing_is_deleted_earlier(site: Site) -> None:
    keep_s, chance = 5.0, random.Random(7)
    with KeptWatch(site.nfs, keep_s) as watch:
        service = site.serve(APP_KEEP_COMPLETED_S=str(keep_s))
        service.start_session("s")
        for number in range(24):
            site.write("s", f"{number}.bin", some_bytes(number, chance.choice((0, KIB, 300 * KIB))))
            time.sleep(0.3)  # so that files are in each of their states when something is killed
            if number % 8 == 7:
                service.crash()
                service = site.serve(APP_KEEP_COMPLETED_S=str(keep_s))
            elif number % 2 and (collector := _pid(service, "collector")):
                os.kill(collector, signal.SIGKILL)
        site.all_arrived(within=120)
    assert watch.early == []
    assert watch.deleted >= 20, "the watch has seen them"
    assert watch.longest_s < WITHIN_S
    assert not files_below(site.nfs / ".nfsw/kept")


def _pid(service: Service, actor: str) -> int | None:
    with suppress(KeyError, OSError):
        return service.actors()[actor].pid
    return None
