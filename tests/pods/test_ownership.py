"""One owner for each session: while it lives, and when it ends."""

from tests.pods.company import Company, awaits, held
from tests.support.figures import Figure
from tests.support.stopwatch import Stopwatch
from tests.support.waiting import until

#: The default. A free pod takes over within two of these (docs/adr/0003-session-ownership.md).
POLL_S = 2.0
#: What a look and a lock take, in seconds.
SLACK_S = 1.5


def test_a_session_that_another_pod_holds_cannot_be_started_and_its_holder_is_named(company: Company) -> None:
    first, second, third = (company.serve(name) for name in ("pod-a", "pod-b", "pod-c"))
    first.start_session("s")
    second.start_session("t")
    for pod, session, holder in ((third, "s", "pod-a"), (third, "t", "pod-b")):
        answer = pod.call("POST", "/v1/watch/start", {"session": session})
        assert answer.status == 409
        assert holder in answer.detail
    assert third.start_session("u")["session"]["name"] == "u"
    company.write("u", files=1)
    company.site.all_arrived()


def test_each_pod_resumes_one_session_on_start(company: Company) -> None:
    pods = [company.serve(name) for name in ("pod-a", "pod-b", "pod-c")]
    sessions = {"s", "t", "u"}
    for pod, session in zip(pods, sorted(sessions), strict=True):
        pod.start_session(session)
    for pod in pods:
        pod.crash()
    pods = [company.launch(name) for name in ("pod-a", "pod-b", "pod-c")]
    until(lambda: {held(pod.ready()) for pod in pods} == sessions, within=60, what=lambda: f"each has one: {[held(pod) for pod in pods]}")
    for session in sessions:
        company.write(session, files=1)
    company.site.all_arrived()


def test_a_free_pod_takes_over_within_two_poll_intervals_of_the_holders_death(company: Company, figure: Figure) -> None:
    """By default settings; sessions of others, newer ones among them, do not hold it up."""
    first, second = (company.serve(name) for name in ("pod-a", "pod-b"))
    first.start_session("s")
    second.start_session("newer")
    free = company.serve("pod-c", APP_POLL_INTERVAL_S=str(POLL_S))
    assert held(free) is None
    first.crash()
    watch = Stopwatch()
    awaits(free, "s")
    figure("seconds from the holder's death to the takeover", round(watch.wall_s, 2))
    assert watch.seconds < 2 * POLL_S + SLACK_S
    assert held(second) == "newer"
    company.write("s", files=1)
    company.site.all_arrived()


def test_a_pod_that_restarts_has_its_own_session_back(company: Company) -> None:
    first, second = (company.serve(name) for name in ("pod-a", "pod-b"))
    first.start_session("s")
    second.start_session("newer")
    for _ in range(2):
        first.crash()
        first = company.serve("pod-a")
        awaits(first, "s")
        assert held(second) == "newer"


def test_the_files_of_a_session_that_no_pod_is_free_for_are_sent_and_the_session_stays(company: Company) -> None:
    """By a pod that has one of its own; whoever is free next resumes the session."""
    first, second = (company.serve(name) for name in ("pod-a", "pod-b"))
    first.start_session("s")
    second.start_session("t")
    first.call("POST", "/v1/uploads/pause")
    company.site.write("s", "held up.bin", b"held up")
    claimed = company.site.processing("s") / "held up.bin"
    until(claimed.exists, within=30, what="it is claimed")
    first.crash()
    late = company.site.write("s", "late.bin", b"late")
    until(lambda: not claimed.exists(), within=60, what=lambda: f"another pod sends it\n{second.report()}")
    assert late.exists(), "only a pod that has the session claims its arrivals"
    assert held(second) == "t"
    awaits(company.serve("pod-a"), "s")
    company.site.all_arrived()
