"""A container of the image at work: read-only, with the pod's rights and limits."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.image.container import Container, podman
from tests.support.content import MIB, Content, some_bytes
from tests.support.site import Site
from tests.support.stopwatch import Stopwatch
from tests.support.waiting import until

type Note = Callable[[str, object], None]

#: Somebody else than the service.
WRITER = 1000
WITHIN = 120.0


def test_files_of_another_user_are_moved_and_nothing_is_left(running: Container, site: Site, record_property: Note) -> None:
    contents = {"small.bin": some_bytes(1, 1000), "Ä & b.bin": some_bytes(2, 3 * MIB), "large.bin": some_bytes(3, 200 * MIB)}
    for name, content in contents.items():
        _write_as_another_user(site, name, content)
    begin = time.monotonic()

    answer = running.call("POST", "/v1/watch/start", {"session": "s1"})

    assert answer.status == 201, running.logs()
    until(lambda: len(site.container.names()) == len(contents), within=WITHIN, what=lambda: f"all are in Azure\n{running.logs()}")
    until(lambda: _files(site.nfs) == [], within=WITHIN, what=lambda: f"the share is empty: {_files(site.nfs)}\n{running.logs()}")
    for name, content in contents.items():
        (blob,) = (one for one in site.container.names() if one.endswith(f"/s1/{name}"))
        assert site.container.read(blob).content == Content.of([content])
    record_property("203 MiB from incoming to empty, stability rule included", f"{time.monotonic() - begin:.1f} s")
    record_property("memory of the container, page cache included", f"{running.memory_bytes() / MIB:.0f} MiB")


def test_it_starts_quickly_and_answers_its_probes(image: str, site: Site, record_property: Note) -> None:
    with Container(image, site) as container:
        seconds = container.ready()
        record_property("from podman run to /readyz 200", f"{seconds:.1f} s, of that {container.cpu_seconds():.1f} s of processor time")
        assert container.call("GET", "/healthz").status == 200
        assert container.healthy()


def test_a_client_in_the_pod_reaches_the_service(running: Container) -> None:
    url = f"http://127.0.0.1:{running.port}"

    running.exec("nfsw", "start", "by-hand", "--url", url)

    assert "by-hand" in running.exec("nfsw", "status", "--url", url)


def test_the_health_check_fails_when_the_main_process_stands_still(running: Container) -> None:
    assert running.healthy()
    running.send("STOP")

    assert not running.healthy()


@pytest.mark.parametrize("signal", ["TERM", "INT"])
def test_the_first_process_ends_the_container_within_a_second(running: Container, site: Site, signal: str, record_property: Note) -> None:
    _write_as_another_user(site, "in-transfer.bin", some_bytes(4, 300 * MIB))
    running.call("POST", "/v1/watch/start", {"session": "s1"})
    until(lambda: running.call("GET", "/v1/watch/status").json()["in_flight"], within=WITHIN, what=running.logs)
    first = Path(f"/proc/{running.pid}")
    watch = Stopwatch()

    running.send(signal)
    until(lambda: not first.exists(), within=5, what="the first process is gone, and with it all others")

    seconds = watch.seconds
    record_property(f"SIG{signal}", f"gone after {seconds:.2f} s in mid-transfer, exit code {running.gone()}")
    assert seconds < 1


def test_a_restarted_container_takes_up_its_session_and_what_was_in_transfer(running: Container, site: Site) -> None:
    content = some_bytes(5, 300 * MIB)
    _write_as_another_user(site, "resumed.bin", content)
    running.call("POST", "/v1/watch/start", {"session": "s1"})
    until(lambda: running.call("GET", "/v1/watch/status").json()["in_flight"], within=WITHIN, what=running.logs)
    running.send("KILL")
    running.gone()

    podman("start", running.name)
    running.ready()

    session = running.call("GET", "/v1/watch/status").json()["session"]
    assert (session["name"], session["resumed"]) == ("s1", True)
    until(lambda: _files(site.nfs) == [], within=WITHIN, what=lambda: f"the share is empty: {_files(site.nfs)}\n{running.logs()}")
    (blob,) = site.container.names()
    assert site.container.read(blob).content == Content.of([content])


def test_a_child_that_is_killed_leaves_no_zombie_under_the_first_process(running: Container) -> None:
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    before = children.read_text().split()
    os.kill(int(before[0]), 9)

    until(lambda: before[0] not in children.read_text().split(), within=10, what="the killed child has been reaped")
    running.ready()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"APP_WORKERS": "many"}, "APP_WORKERS"),
        ({"APP_AZURE_CONNECTION_STRING": "", "APP_AZURE_ACCOUNT_URL": ""}, "APP_AZURE_ACCOUNT_URL"),
    ],
)
def test_wrong_settings_end_the_container_with_one_line(image: str, site: Site, wrong: dict[str, str], said: str) -> None:
    with Container(image, site, **wrong) as container:
        assert container.gone() == 2
        (line,) = container.logs().splitlines()
        assert said in line


def _write_as_another_user(site: Site, name: str, content: bytes) -> None:
    """Into a folder and a file that only their owner may touch."""
    path = site.incoming("s1") / name
    path.write_bytes(content)
    path.chmod(0o600)
    path.parent.chmod(0o700)
    os.chown(path, WRITER, WRITER)
    os.chown(path.parent, WRITER, WRITER)


def _files(nfs: Path) -> list[str]:
    return [name for part in ("incoming", ".processing") for _, _, names in (nfs / part).walk() for name in names]
