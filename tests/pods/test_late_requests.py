"""What a dead process had sent arrives late: by then the blob is another one's, and stays it."""

import os
import signal

import pytest

from tests.pods.company import Company
from tests.support.content import KIB, MIB, some_bytes
from tests.support.proxy import FaultProxy
from tests.support.proxy_rules import Hold
from tests.support.waiting import until


@pytest.mark.parametrize(
    ("single_put", "comp", "refused_first"), [(str(MIB), None, 1), ("1", "blocklist", 0)], ids=["a put", "a commit of blocks"]
)
def test_a_late_request_does_not_overwrite_a_newer_version(
    company: Company, proxy: FaultProxy, single_put: str, comp: str | None, refused_first: int
) -> None:
    """The Uploader is killed while its request is on the way; the next one sends that version again, and the version after it."""
    pod = company.serve("pod-a", APP_AZURE_MAX_SINGLE_PUT_SIZE=single_put)
    pod.start_session("s")
    site = company.site
    site.write("s", "a.bin", some_bytes(1, 8 * KIB))
    site.all_arrived()
    with proxy.failing(Hold(), method="PUT", comp=comp, blob="*/a.bin", skip=refused_first, times=1) as late:
        site.write("s", "a.bin", some_bytes(2, 9 * KIB))
        until(lambda: late.hits, within=30, what=lambda: f"the second version is on its way\n{pod.report()}")
        [request] = [request for request in proxy.requests() if request.fault]
        os.kill(pod.actors()["uploader"].pid, signal.SIGKILL)
        site.has_arrived("s", "a.bin")
        site.write("s", "a.bin", some_bytes(3, 10 * KIB))
        site.all_arrived()
        assert request.status is None
    until(lambda: request.status, within=30, what="the late request has been carried out, or refused")
    site.all_arrived()
    assert request.status != 201
