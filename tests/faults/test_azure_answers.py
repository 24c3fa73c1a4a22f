"""Answers that are not what they should be: the network's own page, another time of day. One service each."""

import time
from email.utils import formatdate

import pytest

from tests.support.content import KIB, some_bytes
from tests.support.figures import Figure
from tests.support.http import Answer
from tests.support.proxy import FaultProxy
from tests.support.proxy_rules import Rewrite, SignInPage
from tests.support.site import Site
from tests.support.waiting import until

DAY_S = 24 * 3600


def test_a_sign_in_page_between_azure_and_us_ends_no_process(site: Site, proxy: FaultProxy, figure: Figure) -> None:
    service = site.serve()
    service.start_session("s")
    with proxy.failing(SignInPage()) as rule:
        site.write("s", "a.bin", some_bytes(1, 100_000))
        until(lambda: rule.hits >= 5, within=60, what=lambda: f"it was asked several times: {service.report()}")
        [flight] = service.status()["in_flight"]
        assert "something on the way answered HTTP 200 OK" in (flight["error"] or ""), flight
        assert service.call("GET", "/healthz").status == 200
    over = time.monotonic()
    site.all_arrived(within=60)
    figure("seconds from the end of a sign-in page until the file was in Azure", round(time.monotonic() - over, 1))
    assert service.actors()["uploader"].restarts == 0


def test_a_sign_in_page_does_not_pass_for_a_container(site: Site, proxy: FaultProxy) -> None:
    with proxy.failing(SignInPage()):
        reason = site.launch().reason_for_exit_1()
    assert "cannot use the Azure container: no answer from Azure: something on the way answered HTTP 200 OK" in reason


def test_a_proxy_that_takes_the_md5_out_of_answers_makes_nothing_sent_twice(site: Site, proxy: FaultProxy) -> None:
    service = site.serve(APP_CONTENT_MD5="true", APP_AZURE_MAX_BLOCK_SIZE=str(64 * KIB), APP_AZURE_MAX_SINGLE_PUT_SIZE=str(128 * KIB))
    service.start_session("s")
    names = ["put.bin", "list.bin", "another.bin"]
    with proxy.failing(Rewrite({"Content-MD5": None}), method="HEAD"):
        for number, name in enumerate(names):
            site.write("s", name, some_bytes(number, (number + 1) * 100 * KIB))
        site.all_arrived()
    assert list(proxy.commits().values()) == [1, 1, 1]
    assert sum(request.received for request in proxy.requests() if request.carries_data) == 600 * KIB
    assert sum("Content-MD5 was sent and does not come back" in line["message"] for line in service.log()) == 1


@pytest.mark.slow
def test_while_the_clock_is_off_nothing_is_claimed_and_once_it_is_right_it_is(site: Site, proxy: FaultProxy, figure: Figure) -> None:
    """The clock that differs is Azure's here. Nothing is uploaded meanwhile that would tell."""
    with proxy.failing(Rewrite({"Date": formatdate(time.time() + DAY_S, usegmt=True)})):
        service = site.launch()
        refused = until(lambda: _not_ready_for_its_clock(service.call("GET", "/readyz")), within=60, what=service.report)
        assert "s behind Azure's" in refused
        service.start_session("s")
        written = site.write("s", "a.bin", b"x" * 1000)
        time.sleep(3)
        assert written.exists(), "it is old enough, and stays"
        assert any("clock" in reason for reason in service.status()["waiting_for"])
    right = time.monotonic()
    service.ready()
    figure("seconds from the clock's repair to /readyz", round(time.monotonic() - right, 1))
    assert time.monotonic() - right < 60
    site.all_arrived(within=30)


def _not_ready_for_its_clock(answer: Answer) -> str | None:
    return answer.body.decode() if answer.status == 503 and b"clock" in answer.body else None
