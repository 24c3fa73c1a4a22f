"""A session's life: started, stopped and drained, resumed without a call, held by one pod at a time."""

import os
import signal

import pytest

from tests.support.content import MIB, Content, some_bytes
from tests.support.link import Link
from tests.support.service import Service
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


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_an_idle_session_is_resumed_without_a_call(site: Site, end: signal.Signals) -> None:
    service = site.serve()
    service.start_session("idle")
    service.send(end)
    service.gone()
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


def test_a_session_that_another_pod_holds_is_409_and_names_the_holder(site: Site) -> None:
    first, second = site.serve(**site.pod("pod-one")), site.serve(**site.pod("pod-two"))
    first.start_session("s")
    answer = second.call("POST", "/v1/watch/start", {"session": "s"})
    assert answer.status == 409
    assert "pod-one" in answer.detail
    assert "s" in answer.detail
    assert second.start_session("t")["session"]["name"] == "t"


def test_two_pods_move_their_own_sessions_side_by_side(site: Site) -> None:
    for session in ("one", "two"):
        site.serve(**site.pod(session)).start_session(session)
        for number in range(5):
            site.write(session, f"{number}.bin", f"{session} {number}".encode())
    site.all_arrived()


def test_a_restarted_pod_leaves_the_session_of_another_alone(site: Site) -> None:
    first, second = site.serve(**site.pod("pod-one")), site.serve(**site.pod("pod-two"))
    first.start_session("one")
    second.start_session("two")
    second.crash()
    assert resumed(site.serve(**site.pod("pod-two"))) == "two"
    assert first.status()["session"]["name"] == "one"
