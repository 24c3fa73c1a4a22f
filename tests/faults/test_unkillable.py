"""A child in a call that nothing ends, SIGKILL included: it counts as lost, is replaced, and the others go on."""

import time
from datetime import datetime

from tests.support.children import in_the_kernel, state_of
from tests.support.content import some_bytes
from tests.support.figures import Figure
from tests.support.fuse import FaultyFileSystem
from tests.support.service import Service
from tests.support.site import Site
from tests.support.stopwatch import Stopwatch
from tests.support.waiting import until

SETTINGS = {"APP_HANG_TIMEOUT_S": "4", "APP_HANG_ESCALATE_S": "60", "APP_WORKERS": "2"}
#: SIGKILL, and 5 s later the child is given up.
REPLACED_WITHIN = 20.0
#: For each of the four NFS actors three that are lost and one that hangs.
MOST_STUCK = 16


def started(shaky: Site, **changes: str) -> Service:
    service = shaky.serve(**SETTINGS | changes)
    service.start_session("s")
    shaky.write("s", "first.bin", b"first")
    shaky.has_arrived("s", "first.bin")
    return service


def timeline(service: Service, begun: float) -> list[str]:
    """What the supervisor said, in seconds since `begun` (seconds since the epoch)."""
    lines = [line for line in service.log() if line["logger"].startswith("nfsw.supervisor")]
    times = [datetime.fromisoformat(line["timestamp"]).timestamp() - begun for line in lines]
    return [f"{at:.1f} s: {line['message']}" for at, line in zip(times, lines, strict=True) if at >= 0]


def test_an_unkillable_claimer_is_replaced_and_other_files_go_on(shaky: Site, disk: FaultyFileSystem, figure: Figure) -> None:
    service = started(shaky)
    claimer = service.actors()["claimer"]
    with disk.hanging("read", path=".processing/*/s/stuck.bin") as fault:
        begun = time.time()
        shaky.write("s", "stuck.bin", some_bytes(1, 100_000))
        until(fault.hits, within=20, what="the read hangs")
        until(lambda: "claimer" in _words(service), within=10, what=lambda: f"/readyz names it: {_words(service)}\n{service.report()}")
        figure("/readyz", _words(service))
        until(
            lambda: service.actors().get("claimer", claimer).pid != claimer.pid,
            within=REPLACED_WITHIN,
            what=lambda: f"it is replaced\n{service.report()}",
        )
        assert in_the_kernel(claimer.pid)
        shaky.write("s", "other.bin", some_bytes(2, 100_000))
        shaky.has_arrived("s", "other.bin", within=30)
        assert service.call("GET", "/healthz").status == 200
        figure("second by second", timeline(service, begun))
    shaky.all_arrived(within=60)
    until(lambda: state_of(claimer.pid) is None, within=20, what="the lost one has ended and is reaped")


def test_lost_children_are_bounded_and_then_the_pod_has_to_go(shaky: Site, disk: FaultyFileSystem, figure: Figure) -> None:
    service = started(shaky, APP_HANG_ESCALATE_S="12")
    with disk.hanging():
        begun = time.time()
        until(lambda: service.call("GET", "/healthz").status == 503, within=40, what="/healthz is 503")
        figure("seconds until /healthz is 503 (APP_HANG_ESCALATE_S 12)", round(time.time() - begun, 1))
        figure("its words", service.call("GET", "/healthz").detail)
        until(lambda: time.time() - begun > 30, within=40, what="half a minute has passed")
        stuck = [pid for pid in _ever_started(service) if in_the_kernel(pid)]
        figure("unkillable children after half a minute", len(stuck))
        assert 0 < len(stuck) <= MOST_STUCK
        watch = Stopwatch()
        service.call("GET", "/v1/watch/status")
        assert watch.seconds < 1
        figure("second by second", timeline(service, begun))


def test_sigterm_ends_all_but_the_unkillable_within_a_second(shaky: Site, disk: FaultyFileSystem, figure: Figure) -> None:
    service = started(shaky)
    with disk.hanging():
        until(lambda: _words(service), within=20, what="/readyz is 503")
        children = _ever_started(service)
        begun = time.monotonic()
        service.stop()
        figure("seconds until the main process and all killable children were gone", round(time.monotonic() - begun, 2))
        left = [pid for pid in children if in_the_kernel(pid)]
        figure("left", len(left))
        said = service.log()[-1]["message"]
        figure("it said", said)
        assert said.startswith("cannot be killed while blocked in the kernel")
        assert all(f"pid {pid}" in said for pid in left)
    until(lambda: all(state_of(pid) in (None, "Z") for pid in left), within=20, what="these are gone too")


def _words(service: Service) -> str:
    answer = service.call("GET", "/readyz")
    return answer.detail if answer.status == 503 else ""


def _ever_started(service: Service) -> list[int]:
    """From the log: a process that is stuck in its exit is hard to find otherwise."""
    return [int(line["message"].rpartition(" ")[2]) for line in service.log() if line["message"].startswith("started ")]
