"""What the service's processes have and have not: descriptors, keys, limits, and children that are none of theirs."""

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import nfsw
from tests.support.azurite import CHECKOUT
from tests.support.children import state_of
from tests.support.service import Service, clean_environment
from tests.support.site import Site
from tests.support.waiting import until

SECRET = "a-secret-of-azure-identity"
NFS_ACTORS = {"keeper", "scanner", "claimer", "collector"}


def environment(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_bytes().decode()


def test_the_keys_to_azure_are_the_uploaders_alone(site: Site) -> None:
    service = site.serve(AZURE_CLIENT_SECRET=SECRET)
    key = site.endpoint.connection_string
    pids = {name: actor.pid for name, actor in service.actors().items()}
    assert pids.keys() == NFS_ACTORS | {"uploader"}
    with_keys = {name for name, pid in pids.items() if SECRET in environment(pid) or key in environment(pid)}
    assert with_keys == {"uploader"}
    commands = [process.command for process in service.processes()]
    assert len(commands) == 6
    assert not [command for command in commands if SECRET in command or key in command]


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_standard_descriptors_that_are_closed_lead_nowhere(site: Site, closed: str) -> None:
    service = site.launch_through(["sh", "-c", f'exec "$@" {closed}', "sh"]).ready()
    for process in service.processes():
        for standard in range(3):
            target = os.readlink(f"/proc/{process.pid}/fd/{standard}")
            assert target == "/dev/null" or target.startswith(str(site.folder)), process
    service.start_session("s")
    site.write("s", "a.bin", b"a")
    site.all_arrived()


def test_the_service_takes_all_the_descriptors_that_it_may_have(site: Site) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    service = site.launch_through(["sh", "-c", 'ulimit -S -n 64; exec "$@"', "sh"]).ready()
    for process in service.processes():
        assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (hard, hard)


def test_a_child_that_cannot_be_started_for_want_of_descriptors_is_started_once_there_are_some(site: Site) -> None:
    service = site.serve()
    scanner = service.actors()["scanner"]
    soft, hard = resource.prlimit(service.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (3, hard))
    os.kill(scanner.pid, signal.SIGKILL)
    until(lambda: tries(service) >= 2, within=20, what=lambda: f"it is tried again\n{service.report()}")
    assert service.exit_code() is None
    resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (soft, hard))
    service.ready().start_session("s")
    site.write("s", "a.bin", b"a")
    site.all_arrived()


def tries(service: Service) -> int:
    return sum(line["message"].startswith("scanner cannot be started: Too many open files") for line in service.log())


# --- As process 1 ---


@contextmanager
def as_process_1(site: Site) -> Iterator[int]:
    """The service in a process namespace of its own. Its id here."""
    unshare = shutil.which("unshare")
    if os.geteuid() != 0 or unshare is None:
        pytest.skip("a process namespace needs root and util-linux")
    command = [unshare, "--pid", "--fork", "--kill-child", sys.executable, "-m", "nfsw", "serve"]
    with (site.folder / "stdout").open("wb") as stdout:
        process = subprocess.Popen(command, env=clean_environment(site.folder, site.settings()), cwd=CHECKOUT, stdout=stdout)
    try:
        yield int(until(lambda: children(process.pid), within=20, what="it has begun")[0])
    finally:
        process.kill()
        process.wait()


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_process_1_reaps_what_exec_leaves_behind_and_knows_its_own_children(site: Site) -> None:
    with as_process_1(site) as main:
        until(lambda: len(children(main)) == 5, within=30, what="it has its children")
        ours = set(children(main))
        # `kubectl exec POD -- sh -c "sleep 60 &"`: the shell ends, and what it has begun is process 1's.
        enter = ["nsenter", "--target", str(main), "--pid", "sh", "-c", "for i in 1 2 3 4 5; do sleep 0.1 & done"]
        subprocess.run(enter, check=True, timeout=30)
        until(lambda: set(children(main)) == ours, within=10, what=lambda: f"all orphans are reaped: {children(main)}")

        killed = min(ours)
        os.kill(int(killed), signal.SIGKILL)
        until(lambda: state_of(int(killed)) is None and len(children(main)) == 5, within=20, what="a child of ours is replaced")
        assert "has ended: killed" in (site.folder / "stdout").read_text(), "its status was not taken away"


# --- How it ends ---


def test_a_pod_that_has_asked_for_its_restart_says_so_when_it_ends(site: Site) -> None:
    service = site.serve()
    for _ in range(6):
        pid = until(lambda: scanner_of(service), within=20, what="there is a scanner")
        os.kill(pid, signal.SIGKILL)
        until(lambda: scanner_of(service) != pid, within=20, what="it is seen to have ended")  # noqa: B023 - asked at once
    assert service.call("GET", "/healthz").status == 503
    assert service.stop() == 69


def test_a_bug_in_the_main_process_ends_all_of_them_with_70(site: Site, tmp_path: Path) -> None:
    package = tmp_path / "copy/nfsw"
    shutil.copytree(Path(nfsw.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    with (package / "schedule.py").open("a") as module:
        module.write("\n\ndef _fails(*_): raise LookupError('a bug')\nUploadSchedule.limit = _fails\n")
    service = site.launch_through(["env", f"PYTHONPATH={package.parent}", "sh", "-c", f'cd {tmp_path}; exec "$@"', "sh"])
    assert until(service.exit_code, within=30, what="it has ended") == 70
    service.gone()
    [line] = [line for line in service.log() if line["level"] == "CRITICAL"]
    assert "a bug" in line["exception"]


def scanner_of(service: Service) -> int | None:
    actor = service.actors().get("scanner")
    return actor.pid if actor else None
