"""The uplink is shared: a limit that can be changed at any time, and a tap that can be shut."""

import time

import pytest

from tests.support.content import KIB, MIB, some_bytes
from tests.support.figures import Figure
from tests.support.http import Answer
from tests.support.link import Link
from tests.support.service import Service
from tests.support.site import Site
from tests.support.stopwatch import Stopwatch
from tests.support.waiting import until

BLOCKS = {"APP_AZURE_MAX_SINGLE_PUT_SIZE": "1", "APP_AZURE_MAX_BLOCK_SIZE": str(512 * KIB)}
RATE = 2 * MIB
WINDOW_S = 10.0


def limited(service: Service, bytes_per_s: int | None) -> Answer:
    return service.call("PUT", "/v1/limits", {"upload_bytes_per_s": bytes_per_s})


def rate_over(link: Link, seconds: float) -> tuple[float, float]:
    """Bytes per second that leave for Azure, requests' heads included: by the clock, and of the time in which the machine was free."""
    watch, before = Stopwatch(), link.sent
    time.sleep(seconds)  # the length of the measurement
    sent = link.sent - before
    return sent / watch.wall_s, sent / max(watch.seconds, 1e-9)


def test_a_limit_that_is_set_while_files_move_is_kept_and_can_be_lifted(linked: Site, link: Link, figure: Figure) -> None:
    service = linked.serve(**BLOCKS)
    service.start_session("s")
    assert limited(service, RATE).status == 200
    for number in range(4):
        linked.write("s", f"{number}.bin", some_bytes(number, 8 * MIB))
    until(lambda: link.sent > RATE, within=30, what="bytes move")
    rate, undisturbed = rate_over(link, WINDOW_S)
    figure(f"rate over {WINDOW_S:.0f} s at a limit of {RATE} bytes/s, in % of it", round(100 * rate / RATE, 1))
    assert rate / RATE < 1.1
    assert undisturbed / RATE > 0.8
    assert service.call("GET", "/v1/limits").json() == {"upload_bytes_per_s": RATE}

    assert limited(service, None).status == 200
    linked.all_arrived(within=20)


def test_a_pause_holds_and_what_was_sent_is_not_sent_again(linked: Site, link: Link, figure: Figure) -> None:
    service = linked.serve(**BLOCKS)
    service.start_session("s")
    link.limit(4 * MIB)
    for number in range(4):
        linked.write("s", f"{number}.bin", some_bytes(number, 8 * MIB))
    until(lambda: link.sent > 4 * MIB, within=30, what="bytes move")

    paused = Stopwatch()
    assert service.call("POST", "/v1/uploads/pause").status == 200
    last, moved = 0.0, link.sent
    while paused.wall_s < 5:
        if link.sent != moved:
            last, moved = paused.seconds, link.sent
        time.sleep(0.01)  # how closely it is looked at
    figure("seconds from the call until the last byte left", round(last, 2))
    assert last < 4
    status = service.status()
    assert status["uploads"] == "paused"
    assert "uploads are paused" in status["waiting_for"]

    assert service.call("POST", "/v1/uploads/resume").status == 200
    link.limit(None)
    linked.all_arrived(within=30)
    assert service.status()["bytes"]["resent"] == 0


@pytest.mark.slow
def test_on_a_slow_uplink_files_are_sent_in_turn_and_the_oldest_is_seen_to_move(linked: Site, link: Link, figure: Figure) -> None:
    """4 files of 8 blocks of 4 MiB want 1 MiB/s: seconds pass before the first block is whole."""
    service = linked.serve(APP_AZURE_MAX_BLOCK_SIZE=str(4 * MIB), APP_AZURE_MAX_SINGLE_PUT_SIZE="1")
    service.start_session("s")
    link.limit(MIB)
    names = [f"{number}.bin" for number in range(4)]
    for number, name in enumerate(names):
        linked.write("s", name, some_bytes(number, 32 * MIB))
    until(
        lambda: [flight["state"] for flight in service.status()["in_flight"]] == ["uploading"] * 4,
        within=60,
        what=lambda: f"all are staged: {service.status()['in_flight']}",
    )
    moved, done, longest = Stopwatch(), dict.fromkeys(names, 0), 0.0
    before = {flight["file"]: flight["done"] for flight in service.status()["in_flight"]}
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for flight in service.status()["in_flight"]:
            assert flight["done"] <= flight["size"]
            if flight["file"] == names[0] and flight["done"] > done[names[0]]:
                moved = Stopwatch()
            done[flight["file"]] = flight["done"]
        longest = max(longest, moved.seconds)
        assert sum(done.values()) <= link.sent + 32 * 96 * KIB, "the kernel holds little unsent"
        time.sleep(0.2)  # how closely it is looked at
    gained = {name: (done[name] - before[name]) / MIB for name in names}
    figure(
        "longest time in s in which the oldest file was not seen to move, and MiB that each file gained in 20 s",
        (round(longest, 1), gained),
    )
    assert gained[names[0]] > 3 * sum(gained[name] for name in names[1:])
    assert longest < 3
    assert not [request for request in service.status()["in_flight"] if request["error"]]
    link.limit(None)
    linked.all_arrived(within=60)
    assert service.status()["bytes"]["resent"] == 0
