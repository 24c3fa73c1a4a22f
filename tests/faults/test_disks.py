"""NFS and the staging disk answer with errors, at every call: one file's trouble is told, tried again, and nobody else's."""

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.support.content import KIB, MIB, some_bytes
from tests.support.figures import Figure
from tests.support.fuse import Fault, FaultyFileSystem, faulty_file_system
from tests.support.proxy import FaultProxy
from tests.support.seen_through import SeenThrough
from tests.support.service import Service
from tests.support.site import Site
from tests.support.waiting import until

ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO, errno.ESTALE)
#: What the service does to a file on NFS, from first to last: the call, and the path at which it meets the file.
CALLS = {
    "look": ("getattr", "incoming/s/{}"),
    "claim": ("link", "incoming/s/{}"),
    "aside": ("rename", "incoming/s/{}"),
    "unlink": ("unlink", ".nfsw/aside/s/*/{}"),
    "open": ("open", ".processing/*/s/{}"),
    "read": ("read", ".processing/*/s/{}"),
    "mark": ("rename", ".processing/*/s/{}"),
    "delete": ("unlink", ".processing/*/s/{}.completed"),
}
SETTINGS = {"APP_WORKERS": "4", "APP_AZURE_MAX_BLOCK_SIZE": str(256 * KIB), "APP_AZURE_MAX_SINGLE_PUT_SIZE": str(512 * KIB)}
SIZE = MIB
#: Log lines that one failing file may cost in the seconds that the test lasts: its pauses grow, and each attempt has a line or two.
MOST_LINES = 20


def name_of(error: int) -> str:
    return errno.errorcode[error]


def what_is_told(service: Service, file: str) -> str | None:
    """The reason in the status."""
    status = service.status()
    told = [flight["error"] for flight in status["in_flight"] if flight["file"] == file]
    told += [refused["reason"] for refused in status["refused"] if refused["file"] == file]
    return next(filter(None, told), None)


def is_told(service: Service, file: str, error: int) -> bool:
    return name_of(error) in (what_is_told(service, file) or "")


def what_is_logged(service: Service, file: str, error: int) -> bool:
    return any(
        line.get("file_name") == file and line["level"] in ("WARNING", "ERROR") and name_of(error) in line["message"]
        for line in service.log()
    )


@pytest.mark.parametrize("steps", [["look"], ["claim", "aside", "open", "read", "mark"], ["unlink"], ["delete"]], ids=" ".join)
def test_every_error_at_every_call_is_told_tried_again_and_holds_up_nobody(
    shaky: SeenThrough, disk: FaultyFileSystem, steps: list[str], figure: Figure
) -> None:
    """All at once, a file for each. What is gone (ESTALE) is looked for again and needs no words."""
    service = shaky.serve(**SETTINGS)
    service.start_session("s")
    cases = {f"{step}-{name_of(error)}.bin": (step, error) for step in steps for error in ERRORS}
    faults: dict[str, Fault] = {}
    with ExitStack() as rules:
        for number, (name, (step, error)) in enumerate(cases.items()):
            call, path = CALLS[step]
            faults[name] = rules.enter_context(disk.failing(error, call, path=path.format(name)))
            shaky.write("s", name, some_bytes(number, SIZE))
        begun = time.monotonic()
        until(
            lambda: all(fault.hits() >= 2 for fault in faults.values()),
            within=60,
            what=lambda: f"each is tried again; not: {[name for name, fault in faults.items() if fault.hits() < 2]}\n{service.report()}",
        )
        figure("seconds until each of the failing files had been tried twice", (len(cases), round(time.monotonic() - begun, 1)))
        for number in range(10):
            shaky.write("s", f"good-{number}.bin", some_bytes(number, SIZE))
        for number in range(10):
            shaky.has_arrived("s", f"good-{number}.bin", within=30)
        figure("seconds until ten good files had arrived", round(time.monotonic() - begun, 1))
        worded = {name: error for name, (_, error) in cases.items() if error != errno.ESTALE}
        unlogged = [name for name, error in worded.items() if not what_is_logged(service, name, error)]
        assert not unlogged, unlogged
        for name, error in worded.items():  # between its pause and its next error a file has nothing to tell
            until(partial(is_told, service, name, error), within=20, what=f"{name}: the status says why")
        assert service.call("GET", "/healthz").status == 200
        lines = [line for line in service.log() if line["level"] in ("WARNING", "ERROR")]
        figure("lines logged for each failing file", round(len(lines) / len(cases), 1))
        assert len(lines) < MOST_LINES * len(cases), service.report()
        most = max(faults, key=lambda name: faults[name].hits())
        figure("most calls that met one rule", (most, faults[most].hits()))
    over = time.monotonic()
    shaky.all_arrived(within=60)
    figure("seconds from the end of the errors until all were in Azure", round(time.monotonic() - over, 1))


@pytest.mark.parametrize("error", [errno.ENOENT, errno.EIO], ids=name_of)
@pytest.mark.parametrize("step", ["claim", "aside", "unlink", "mark", "delete"])
def test_a_call_that_was_carried_out_though_it_answers_an_error_loses_nothing(
    shaky: SeenThrough, disk: FaultyFileSystem, proxy: FaultProxy, step: str, error: int
) -> None:
    """As after a restart of the server, when a request is sent again that had been carried out."""
    shaky.serve(**SETTINGS).start_session("s")
    call, path = CALLS[step]
    with disk.failing(error, call, path=path.format("a.bin"), done=True, times=1) as fault:
        shaky.write("s", "a.bin", some_bytes(1, SIZE))
        until(fault.hits, within=20, what="the call is met")
        shaky.all_arrived(within=30)
    assert sum(proxy.commits().values()) == 1


@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO, errno.ESTALE], ids=name_of)
def test_a_folder_that_cannot_be_listed_is_told_and_listed_later(shaky: SeenThrough, disk: FaultyFileSystem, error: int) -> None:
    service = shaky.serve(**SETTINGS)
    service.start_session("s")
    with disk.failing(error, "readdir", "opendir", path="incoming/s") as fault:
        shaky.write("s", "a.bin", some_bytes(1, SIZE))
        until(lambda: fault.hits() >= 3, within=20, what="it is tried again")
        if error != errno.ESTALE:
            assert any(name_of(error) in line["message"] for line in service.log()), service.report()
        assert service.call("GET", "/healthz").status == 200
    shaky.all_arrived(within=30)


@pytest.mark.parametrize("call", ["create", "mkdir", "write", "flock"])
def test_a_session_that_cannot_be_recorded_is_refused_in_words_and_starts_later(
    shaky: SeenThrough, disk: FaultyFileSystem, call: str
) -> None:
    service = shaky.serve(**SETTINGS)
    with disk.failing(errno.EROFS, call) as fault:
        answer = service.call("POST", "/v1/watch/start", {"session": "s"})
        assert fault.hits()
        assert answer.status == 503, answer
        assert name_of(errno.EROFS) in answer.detail
        assert service.status()["session"] is None
    service.start_session("s")
    shaky.write("s", "a.bin", b"a")
    shaky.all_arrived()


# The staging disk


@pytest.fixture
def staging_disk(tmp_path: Path) -> Iterator[FaultyFileSystem]:
    with faulty_file_system(tmp_path / "staging-disk") as mounted:
        yield mounted


STAGING_FAULTS = {
    "full": (errno.ENOSPC, ("write",)),
    "over its quota": (errno.EDQUOT, ("write",)),
    "read-only": (errno.EROFS, ("create", "mkdir")),
    "unreadable": (errno.EIO, ("read",)),
}


@pytest.mark.parametrize("kind", STAGING_FAULTS)
def test_a_staging_disk_in_trouble_is_told_and_outlasted(site: Site, staging_disk: FaultyFileSystem, kind: str, figure: Figure) -> None:
    error, calls = STAGING_FAULTS[kind]
    site.staging = staging_disk.behind
    service = site.serve(**SETTINGS | {"APP_STAGING_DIR": str(staging_disk.mount)})
    service.start_session("s")
    with staging_disk.failing(error, *calls) as fault:
        site.write("s", "a.bin", some_bytes(1, SIZE))
        told = until(lambda: what_is_told(service, "a.bin"), within=20, what=lambda: f"the reason is told\n{service.report()}")
        figure(f"{kind}: the status says", told)
        until(lambda: fault.hits() >= 2, within=20, what="it is tried again")
        assert any(line.get("file_name") == "a.bin" and line["level"] in ("WARNING", "ERROR") for line in service.log())
        assert service.call("GET", "/healthz").status == 200
    over = time.monotonic()
    site.all_arrived(within=40)
    figure(f"{kind}: seconds from its end until the file was in Azure", round(time.monotonic() - over, 1))


def test_staging_wiped_under_the_service_is_filled_again(site: Site, proxy: FaultProxy) -> None:
    service = site.serve(**SETTINGS)
    service.start_session("s")
    with proxy.refusing():
        for number in range(4):
            site.write("s", f"{number}.bin", some_bytes(number, SIZE))
        until(lambda: site.staged_bytes() >= 4 * SIZE, within=20, what="they are staged")
        for entry in os.scandir(site.staging):
            shutil.rmtree(entry.path)
    site.all_arrived(within=60)
    assert sum(proxy.commits().values()) == 4


@pytest.mark.parametrize("size", [SIZE, 256 * KIB], ids=["in blocks", "in one put"])
def test_a_flipped_byte_of_a_staged_copy_is_never_committed(site: Site, proxy: FaultProxy, size: int) -> None:
    """Every version that Azure ever had is the right one: it was committed once."""
    service = site.serve(**SETTINGS)
    service.start_session("s")
    with proxy.refusing():
        site.write("s", "a.bin", some_bytes(1, size))
        until(lambda: what_is_told(service, "a.bin"), within=20, what="it is staged, and an attempt has failed")
        [copy] = (site.staging / "copies").rglob("a.bin")
        with copy.open("r+b") as file:
            file.seek(size // 2)
            [byte] = file.read(1)
            file.seek(size // 2)
            file.write(bytes([byte ^ 1]))
    site.all_arrived(within=60)
    assert sum(proxy.commits().values()) == 1
    assert any(line.get("file_name") == "a.bin" and line["level"] == "ERROR" for line in service.log()), service.report()


def test_leftovers_over_the_limit_do_not_stop_the_service(site: Site) -> None:
    """Staged copies of files that are gone, more of them than the limit allows."""
    folder = site.staging / "copies/20250101/s"
    folder.mkdir(parents=True)
    for number in range(4):
        (folder / f"left-{number}.bin").write_bytes(bytes(4 * MIB))
    site.serve(**SETTINGS | {"APP_STAGING_LIMIT_BYTES": str(8 * MIB)}).start_session("s")
    site.write("s", "a.bin", some_bytes(1, SIZE))
    site.all_arrived(within=60)
