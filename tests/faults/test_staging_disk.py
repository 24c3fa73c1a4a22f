"""The staging disk is full, read-only, wiped, or gives back other bytes than it was given: told, outlasted, and never committed."""

import errno
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.telling import SETTINGS, SIZE, what_is_told
from tests.support.content import KIB, MIB, some_bytes
from tests.support.figures import Figure
from tests.support.fuse import FaultyFileSystem, faulty_file_system, unfit
from tests.support.proxy import FaultProxy
from tests.support.site import Site
from tests.support.waiting import until


@pytest.fixture
def staging_disk(tmp_path: Path) -> Iterator[FaultyFileSystem]:
    if reason := unfit():
        pytest.skip(reason)
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
        [copy] = until(
            lambda: [path for path in (site.staging / "copies").rglob("a.bin") if path.stat().st_size == size],
            within=20,
            what="all is staged",
        )
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
