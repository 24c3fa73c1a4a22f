"""The Keeper killed: its locks are gone in an instant, though its pod lives on."""

import os
import signal

from nfsw.serve import LOST_SESSION
from tests.pods.company import Company, awaits, frozen, held
from tests.support.midway import replaced


def test_a_killed_keepers_session_is_taken_back_by_its_own_pod(company: Company) -> None:
    owner, other = (company.serve(name) for name in ("pod-a", "pod-b"))
    owner.start_session("s")
    other.start_session("t")
    for _ in range(3):
        keeper = owner.actors()["keeper"]
        os.kill(keeper.pid, signal.SIGKILL)
        replaced(owner, keeper)
    assert (held(owner), held(other)) == ("s", "t")
    assert other.call("POST", "/v1/watch/stop").status == 200
    awaits(other, None)
    answer = other.call("POST", "/v1/watch/start", {"session": "s"})
    assert answer.status == 409
    assert "pod-a" in answer.detail, "the new Keeper has the lock"
    company.write("s", files=1)
    company.site.all_arrived()


def test_a_pod_whose_session_another_has_taken_meanwhile_ends_and_comes_back_free(company: Company) -> None:
    owner = company.serve("pod-a")
    owner.start_session("s")
    free = company.serve("pod-b")
    keeper = owner.actors()["keeper"].pid
    with frozen(owner.pid):  # it cannot replace its Keeper for now
        os.kill(keeper, signal.SIGKILL)
        awaits(free, "s")
    assert owner.gone(30) == LOST_SESSION
    again = company.serve("pod-a")
    company.write("s", files=1)
    company.site.all_arrived()
    assert held(again) is None
    assert held(free) == "s"
