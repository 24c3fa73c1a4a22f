"""A session that was stopped stays stopped, whatever ends its pod, and whichever pod goes on with its files."""

import threading

import pytest

from tests.pods.company import Company, awaits, frozen
from tests.support.content import MIB, some_bytes
from tests.support.http import Answer
from tests.support.link import Link
from tests.support.service import Service
from tests.support.waiting import until


def draining(company: Company, link: Link, pod: Service) -> None:
    """The pod's session is stopped, with a claimed file that cannot be sent for now."""
    pod.start_session("s")
    link.cut()
    company.site.write("s", "claimed.bin", some_bytes(1, MIB))
    until((company.site.processing("s") / "claimed.bin").exists, within=30, what="it is claimed")
    assert pod.call("POST", "/v1/watch/stop").status == 200


def stays_stopped(pod: Service) -> None:
    """The pod that was killed may not have come to remove the session's folder: then it is found once more, and ended."""
    session = pod.status()["session"]
    assert session is None or session["state"] == "draining"
    awaits(pod, None)


@pytest.mark.parametrize("successor", ["pod-a", "pod-b"], ids=["itself", "another"])
def test_a_draining_session_is_finished_after_a_crash_and_not_made_active_again(company: Company, link: Link, successor: str) -> None:
    pod = company.serve("pod-a")
    draining(company, link, pod)
    late = company.site.incoming("s") / "late.bin"
    late.write_bytes(b"late")
    pod.crash()
    link.mend()
    link.limit(MIB / 4)
    next_one = company.serve(successor)
    session = until(lambda: next_one.status()["session"], within=30, what="the session has an owner again")
    assert (session["name"], session["state"]) == ("s", "draining")
    link.limit(None)
    awaits(next_one, None)
    next_one.crash()
    again = company.serve("pod-a")  # its staging has copies of files that another may have sent
    company.site.all_arrived(left={late})
    stays_stopped(again)


def test_a_stop_holds_from_the_moment_at_which_it_is_answered(company: Company) -> None:
    """The Keeper is slow: until it has noted the stop, a restart would make the session active again."""
    pod = company.serve("pod-a")
    pod.start_session("s")
    answers: list[Answer] = []
    stopping = threading.Thread(target=lambda: answers.append(pod.call("POST", "/v1/watch/stop", timeout=60)))
    with frozen(pod.actors()["keeper"].pid):
        stopping.start()
        # Draining until the next look at NFS, and over with it: no claimed file is left to send.
        until(lambda: (pod.status()["session"] or {}).get("state") != "active", within=10, what="nothing is claimed from now on")
        assert not answers, "a kill at this moment would lose the stop"
    stopping.join(60)
    assert [answer.status for answer in answers] == [200]
    pod.crash()
    stays_stopped(company.serve("pod-a"))
