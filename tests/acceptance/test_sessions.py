"""A session's life: started, stopped and drained, resumed without a call. tests/pods has what several pods make of it."""

import os

from tests.support.content import MIB, Content, some_bytes
from tests.support.link import Link
from tests.support.service import Service, run_nfsw
from tests.support.site import Site
from tests.support.waiting import until

AN_HOUR_AGO = 3600.0


def ended(service: Service) -> bool:
    return service.status()["session"] is None


def claimed(site: Site, session: str, name: str) -> bool:
    return (site.processing(session) / name).exists()


def resumed(service: Service) -> str:
    """The name of the session that goes on without a call."""
    session = until(lambda: service.status()["session"], within=20, what="a session is resumed")
    assert (session["resumed"], session["state"]) == (True, "active")
    return str(session["name"])


def test_a_session_may_start_before_its_folder_is_there(site: Site) -> None:
    site.serve().start_session("later")
    site.write("later", "a.bin", b"a")
    site.all_arrived()


def test_only_the_active_session_is_watched(site: Site) -> None:
    service = site.serve()
    other = site.incoming("other") / "o.bin"
    other.write_bytes(b"o")
    service.start_session("mine")
    for name in ("a.bin", "b.bin"):  # the second arrives after `other` could long have been claimed
        site.write("mine", name, b"a")
        site.all_arrived(left={other})


def test_a_stopped_session_finishes_what_it_claimed_and_claims_no_more(linked: Site, link: Link) -> None:
    service = linked.serve()
    service.start_session("s")
    link.limit(4 * MIB)
    linked.write("s", "claimed.bin", some_bytes(1, 8 * MIB))
    until(lambda: claimed(linked, "s", "claimed.bin"), within=30, what="the file is claimed")

    answer = service.call("POST", "/v1/watch/stop")
    assert answer.status == 200
    assert answer.json()["session"]["state"] == "draining"
    late = linked.incoming("s") / "late.bin"
    late.write_bytes(b"late")
    assert service.call("POST", "/v1/watch/start", {"session": "next"}).status == 409, "the old one is still draining"

    until(lambda: ended(service), within=60, what="the session has drained")
    linked.all_arrived(left={late})


def test_a_stopped_session_stays_stopped_over_a_restart(site: Site) -> None:
    service = site.serve()
    service.start_session("s")
    service.call("POST", "/v1/watch/stop")
    until(lambda: ended(service), within=20, what="the session has ended")
    service.stop()
    again = site.serve()
    session = again.status()["session"]  # its folder may not have been removed in time
    assert session is None or session["state"] == "draining"
    until(lambda: ended(again), within=20, what="it has ended for good")


def test_an_idle_session_is_resumed_without_a_call(site: Site) -> None:
    service = site.serve()
    service.start_session("idle")
    service.stop()
    assert resumed(site.serve()) == "idle"
    site.write("idle", "a.bin", b"a")
    site.all_arrived()


def test_a_session_with_files_is_resumed_without_a_call(linked: Site, link: Link) -> None:
    service = linked.serve()
    service.start_session("s")
    link.cut()
    linked.write("s", "a.bin", some_bytes(1, MIB))
    until(lambda: claimed(linked, "s", "a.bin"), within=30, what="the file is claimed")
    service.crash()
    link.mend()
    assert resumed(linked.serve()) == "s"
    linked.write("s", "b.bin", b"b")
    linked.all_arrived()


def test_the_newest_of_several_sessions_is_resumed_and_the_files_of_all_are_sent(site: Site) -> None:
    now = site.folder.stat().st_mtime
    for age, (date, session) in enumerate((("20260110", "newest"), ("20260109", "a-middle"), ("20260108", "z-oldest"))):
        folder = site.processing(session, date)
        folder.mkdir(parents=True)
        content = session.encode()
        (folder / "left.bin").write_bytes(content)
        site.expect_blob(f"{date}/{session}/left.bin", Content.of([content]))
        for path in (folder, folder.parent):
            os.utime(path, (now - age * AN_HOUR_AGO, now - age * AN_HOUR_AGO))
    assert resumed(site.serve()) == "newest"
    site.write("newest", "new.bin", b"new")
    site.all_arrived()


# --- A claimed file that can never be finished ---


def stuck(site: Site, **settings: str) -> Service:
    """A pod whose session "s" was stopped, with a claimed file that is larger than staging may ever be."""
    folder = site.processing("s", "20260131")
    folder.mkdir(parents=True)
    content = some_bytes(1, MIB)
    (folder / "large.bin").write_bytes(content)
    site.expect_blob("20260131/s/large.bin", Content.of([content]))
    service = site.serve(**settings)
    resumed(service)
    assert service.call("POST", "/v1/watch/stop").status == 200
    return service


def named(service: Service) -> str | None:
    """What `start` says of the file, once that is known."""
    answer = service.call("POST", "/v1/watch/start", {"session": "next"})
    assert answer.status == 409
    return answer.detail if "large.bin" in answer.detail else None


def refusals(service: Service) -> dict[str, str]:
    return {one["file"]: one["reason"] for one in service.status()["refused"]}


SMALL = {"APP_STAGING_LIMIT_BYTES": str(MIB // 2)}


def test_a_file_that_keeps_a_stopped_session_is_named_and_a_call_gives_up_on_it(site: Site) -> None:
    service = stuck(site, **SMALL)
    detail = until(lambda: named(service), within=30, what=lambda: f"the conflict names the file\n{service.report()}")
    assert "can never be staged" in detail
    assert "POST /v1/watch/abandon" in detail
    assert any("large.bin" in reason for reason in service.status()["waiting_for"])
    service.crash()
    service = site.serve(**SMALL)
    until(lambda: not ended(service), within=20, what="it is resumed")
    until(lambda: named(service), within=30, what="a restart does not help")

    answer = service.call("POST", "/v1/watch/abandon", {"session": "s", "file": "large.bin"})
    assert answer.status == 200
    until(lambda: ended(service), within=10, what="the session has ended")
    assert (site.processing("s", "20260131") / "large.bin").stat().st_size == MIB
    assert refusals(service)["large.bin"].startswith("abandoned: ")
    service.start_session("next")


def test_an_abandoned_file_holds_up_no_pod_after_a_restart_until_its_note_is_removed(site: Site) -> None:
    service = stuck(site, **SMALL)
    until(lambda: named(service), within=30, what="it is refused")
    assert run_nfsw(site.folder, "abandon", "s", "large.bin", "--url", service.url).returncode == 0
    service.crash()
    service = site.serve()  # by now staging is large enough
    until(lambda: "large.bin" in refusals(service), within=10, what="it is listed")
    until(lambda: ended(service), within=10, what="its session is over")
    assert not site.container.names()
    (site.nfs / ".nfsw/abandoned/20260131/s/large.bin").unlink()
    site.all_arrived()
    until(lambda: ended(service) and not refusals(service), within=20, what="it is over for good")
    assert not site.processing("s", "20260131").exists()


# --- Links ---


def test_a_session_whose_folder_is_a_link_is_not_started(site: Site) -> None:
    elsewhere = site.folder / "elsewhere"
    elsewhere.mkdir()
    folder = site.nfs / "incoming" / "s"
    folder.parent.mkdir()
    folder.symlink_to(elsewhere)
    service = site.serve()
    answer = service.call("POST", "/v1/watch/start", {"session": "s"})
    assert answer.status == 409
    assert "incoming/s is a symbolic link" in answer.detail
    assert service.status()["session"] is None
    folder.unlink()
    service.start_session("s")
    site.write("s", "a.bin", b"a")
    site.all_arrived()


def test_a_link_that_takes_the_place_of_a_folder_later_is_said(site: Site) -> None:
    service = site.serve()
    service.start_session("s")
    site.incoming("s").rmdir()
    (site.nfs / "incoming" / "s").symlink_to(site.folder)
    until(
        lambda: any("incoming/s is a symbolic link" in reason for reason in service.status()["waiting_for"]), within=10, what="it is said"
    )
