"""When a pod asks for its restart: not while it still sends what it has staged, and then with a reason and an exit code of its own."""

import signal
import time

from tests.support.content import some_bytes
from tests.support.figures import Figure
from tests.support.fuse import FaultyFileSystem
from tests.support.service import Service
from tests.support.site import Site
from tests.support.stopwatch import Stopwatch
from tests.support.waiting import until

HANG_S = 4  # a busy machine may not run a process for a second or two
ESCALATE_S = 6
#: Takes three times as long to send as a hang may last.
SIZE, LIMIT = 3_600_000, 200_000
SETTINGS = {
    "APP_HANG_TIMEOUT_S": str(HANG_S),
    "APP_HANG_ESCALATE_S": str(ESCALATE_S),
    "APP_UPLOAD_LIMIT": f"{LIMIT}B/s",
    "APP_AZURE_MAX_BLOCK_SIZE": "100000",
    "APP_AZURE_MAX_SINGLE_PUT_SIZE": "0",
    "APP_AZURE_MAX_CONCURRENCY": "1",
}


def sent(service: Service) -> int:
    return int(service.status()["bytes"]["sent"])


def test_nfs_that_hangs_does_not_end_the_uploads_of_what_is_staged(shaky: Site, disk: FaultyFileSystem, figure: Figure) -> None:
    service = shaky.serve(**SETTINGS)
    service.start_session("s")
    shaky.write("s", "a.bin", some_bytes(1, SIZE))
    until(
        lambda: [file["state"] for file in service.status()["in_flight"]] == ["uploading"],
        within=20,
        what=lambda: f"all of it is staged\n{service.report()}",
    )
    with disk.hanging():
        begun, progressed = time.monotonic(), Stopwatch()
        until(lambda: service.call("GET", "/readyz").status == 503, within=20, what="the hang is seen")
        before = sent(service)
        while (health := service.call("GET", "/healthz")).status == 200:
            if (now := sent(service)) != before:
                before, progressed = now, Stopwatch()
            time.sleep(0.1)
        figure(f"seconds of NFS hanging until /healthz is 503 (APP_HANG_ESCALATE_S {ESCALATE_S})", round(time.monotonic() - begun, 1))
        figure("seconds since the last progress by then", round(progressed.wall_s, 1))
        figure("its words", health.detail)
        assert before == SIZE, "all of it had been sent by then"
        assert time.monotonic() - begun > 2 * ESCALATE_S
        assert progressed.wall_s > ESCALATE_S - 1
        assert progressed.seconds < ESCALATE_S + 4
        service.send(signal.SIGTERM)
        assert until(service.exit_code, within=10, what="the main process has ended") == 69
