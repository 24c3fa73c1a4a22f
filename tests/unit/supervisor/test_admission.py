"""Whether sessions may be held and files claimed, as far as Azure is concerned."""

import time

import pytest

from nfsw.supervisor.admission import MOST_CLOCK_DIFFERENCE_S, Admission


def answered() -> Admission:
    admission = Admission()
    admission.container_answered()
    return admission


def test_before_the_container_has_answered_no_session_is_held_and_nothing_claimed() -> None:
    admission = Admission()
    assert admission.session_refusal() == admission.claim_refusal() == "the Azure container has not answered yet"


def test_a_container_that_is_refused_says_why() -> None:
    admission = Admission()
    admission.container_refused("403 AuthorizationFailure")
    assert admission.session_refusal() == "the Azure container cannot be used: 403 AuthorizationFailure"


def test_once_it_has_answered_sessions_are_held_and_files_claimed_whatever_becomes_of_it() -> None:
    admission = answered()
    admission.container_refused("503 ServerBusy")
    assert admission.session_refusal() is None
    assert admission.claim_refusal() is None


@pytest.mark.parametrize("ahead_s", [-MOST_CLOCK_DIFFERENCE_S + 1, 0.0, MOST_CLOCK_DIFFERENCE_S - 1])
def test_clocks_that_differ_by_less_than_ten_minutes_agree(ahead_s: float) -> None:
    admission = answered()
    admission.clock_measured(time.time() + ahead_s, time.monotonic())
    assert admission.claim_refusal() is None


@pytest.mark.parametrize(("azure_ahead_s", "words"), [(86_400, "86400 s behind"), (-86_400, "86400 s ahead of")])
def test_a_clock_that_is_off_claims_nothing_but_holds_sessions(azure_ahead_s: float, words: str) -> None:
    admission = answered()
    admission.clock_measured(time.time() + azure_ahead_s, time.monotonic())
    refusal = admission.claim_refusal()
    assert refusal is not None
    assert words in refusal
    assert admission.session_refusal() is None


def test_an_older_measurement_is_as_good_as_a_new_one() -> None:
    """Clocks run on: what Azure said an hour ago tells what it would say now."""
    admission = answered()
    admission.clock_measured(time.time() - 3600, time.monotonic() - 3600)
    assert admission.claim_refusal() is None


def test_a_clock_of_ours_that_is_set_counts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    admission = answered()
    admission.clock_measured(time.time(), time.monotonic())
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    assert admission.claim_refusal() is not None
    monkeypatch.setattr(time, "time", real)
    assert admission.claim_refusal() is None
