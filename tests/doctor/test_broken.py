"""Boxes that are broken for real: the doctor says what is wrong, where, in time, and looks at the rest all the same."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.doctor import SMALL, ask_doctor
from tests.support.fuse import FaultyFileSystem
from tests.support.link import Link
from tests.support.otlp import dead_collector, hanging_collector
from tests.support.service import run_nfsw
from tests.support.site import Site

OTHER_KEY = "b3RoZXIta2V5LW90aGVyLWtleS1vdGhlci1rZXktb3RoZXIta2V5LW90aGVyLWtleS1vdGhlci1rZXktb3RoZXIt"
#: Seconds for each call: enough for those that do not hang, on a busy machine too.
TIMEOUT = "5"
#: The last check of each group.
LAST = {"NFS unlink", "staging disk", "Azure delete", "OTLP"}


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a disk")
    folder = tmp_path / "tiny"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_an_nfs_root_that_is_not_there(site: Site, tmp_path: Path) -> None:
    opinion = ask_doctor(tmp_path, site.settings(**SMALL, APP_NFS_ROOT="/nowhere"))

    assert (opinion.failed, opinion.exit_code) == ({"NFS root"}, 1)
    assert "/nowhere does not exist" in opinion.said("NFS root")
    assert not [check for check in opinion.checks if check.startswith("NFS") and check != "NFS root"]
    assert opinion.checks.keys() >= LAST - {"NFS unlink"}


def test_an_nfs_root_that_is_a_file(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()

    assert ask_doctor(tmp_path, site.settings(**SMALL, APP_NFS_ROOT=str(path))).failed == {"NFS root"}


@pytest.mark.parametrize(
    ("error", "call", "check", "remedy"),
    [
        (errno.EROFS, "mkdir", "NFS mkdir", "rw"),
        (errno.EACCES, "mkdir", "NFS mkdir", "no_root_squash"),
        (errno.EPERM, "link", "NFS link", "no_root_squash"),
        (errno.EACCES, "readdir", "NFS root", "no_root_squash"),
        (errno.ENOLCK, "flock", "NFS flock", "NFSv4.1"),
        (errno.EDQUOT, "write", "NFS write", "quota"),
    ],
)
def test_a_share_that_refuses_a_call_is_named_with_the_call(
    site: Site, disk: FaultyFileSystem, tmp_path: Path, error: int, call: str, check: str, remedy: str
) -> None:
    with disk.failing(error, call):
        opinion = ask_doctor(tmp_path, site.settings(**SMALL, APP_NFS_ROOT=str(disk.mount)))

    assert (opinion.failed, opinion.exit_code) == ({check}, 1)
    assert errno.errorcode[error] in opinion.said(check)
    assert remedy in opinion.checks[check]["remedy"]


def test_a_file_system_that_cannot_tell_who_has_a_file_open_is_a_warning(site: Site, disk: FaultyFileSystem, tmp_path: Path) -> None:
    opinion = ask_doctor(tmp_path, site.settings(**SMALL, APP_NFS_ROOT=str(disk.mount)))

    assert opinion.of("NFS leases") == "warn"
    assert "APP_WRITEBACK_AGE_S" in opinion.said("NFS leases")
    assert "fuse" in opinion.said("NFS leases")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities to go without")
def test_a_pod_that_may_not_lease_files_of_others_is_a_warning(site: Site, tmp_path: Path) -> None:
    """As the container was before it had SETUID."""
    opinion = ask_doctor(tmp_path, site.settings(**SMALL), without_capabilities=("setuid", "lease"))

    assert opinion.of("NFS leases") == "warn"
    assert "SETUID" in opinion.checks["NFS leases"]["remedy"]


def test_what_a_failed_check_has_left_is_removed(site: Site, disk: FaultyFileSystem, tmp_path: Path) -> None:
    with disk.failing(errno.EPERM, "link"):
        ask_doctor(tmp_path, site.settings(**SMALL, APP_NFS_ROOT=str(disk.mount)))

    assert list((disk.behind / ".nfsw").iterdir()) == []


def test_a_folder_of_the_contract_that_is_none(site: Site, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (site.nfs / "incoming").symlink_to(elsewhere)

    opinion = ask_doctor(tmp_path, site.settings(**SMALL))

    assert opinion.failed == {"NFS folders"}
    assert "incoming" in opinion.said("NFS folders")


def test_a_folder_of_the_contract_on_another_device(site: Site, tiny: Path, tmp_path: Path) -> None:
    (site.nfs / "incoming").mkdir()
    subprocess.run(["mount", "--bind", tiny, site.nfs / "incoming"], check=True)
    try:
        opinion = ask_doctor(tmp_path, site.settings(**SMALL))
    finally:
        subprocess.run(["umount", site.nfs / "incoming"], check=True)

    assert opinion.failed == {"NFS folders"}
    assert "a mount of its own" in opinion.said("NFS folders")


@pytest.mark.parametrize("calls", [(), ("link",), ("fsync",)], ids=["all calls", "link", "fsync"])
def test_a_share_that_hangs_is_told_in_time(site: Site, disk: FaultyFileSystem, tmp_path: Path, calls: tuple[str, ...]) -> None:
    """The calls hang in the kernel, so that not even SIGKILL ends the child that makes them."""
    check = {(): "NFS root", ("link",): "NFS link", ("fsync",): "NFS write"}[calls]
    with disk.hanging(*calls) as fault:
        opinion = ask_doctor(tmp_path, site.settings(**SMALL, APP_NFS_ROOT=str(disk.mount)), "--timeout", TIMEOUT)
        assert fault.hits()

    assert (opinion.failed, opinion.exit_code) == ({check}, 1)
    assert opinion.said(check).startswith(f"no answer within {TIMEOUT} s; process ")
    assert opinion.checks.keys() >= LAST - {"NFS unlink"}
    assert opinion.seconds < 60


def test_staging_that_is_too_small(site: Site, tiny: Path, tmp_path: Path) -> None:
    opinion = ask_doctor(tmp_path, site.settings(**SMALL, APP_STAGING_DIR=str(tiny)))

    assert (opinion.failed, opinion.exit_code) == ({"staging room"}, 1)
    assert "1.0 MiB free" in opinion.said("staging room")
    assert "staging disk" in opinion.warned  # it is in memory
    assert not list(tiny.iterdir())


def test_a_limit_above_the_free_space_is_a_warning(site: Site, tmp_path: Path) -> None:
    opinion = ask_doctor(tmp_path, site.settings(APP_STAGING_LIMIT_BYTES=str(2**60)))

    assert (opinion.failed, opinion.exit_code) == (set(), 0)
    assert "staging room" in opinion.warned
    assert "APP_STAGING_LIMIT_BYTES=" in opinion.checks["staging room"]["remedy"]


def test_staging_that_cannot_be_written(site: Site, disk: FaultyFileSystem, tmp_path: Path) -> None:
    with disk.failing(errno.EROFS, "create", "mknod"):
        opinion = ask_doctor(tmp_path, site.settings(**SMALL, APP_STAGING_DIR=str(disk.mount)))

    assert opinion.failed == {"staging write"}


def test_a_key_that_azure_refuses(site: Site, tmp_path: Path) -> None:
    opinion = ask_doctor(tmp_path, site.settings(**SMALL, APP_AZURE_CONNECTION_STRING=site.endpoint.signed_with(OTHER_KEY)))

    assert (opinion.failed, opinion.exit_code) == ({"Azure container"}, 1)
    assert "403" in opinion.said("Azure container")
    assert "APP_AZURE_CONNECTION_STRING" in opinion.checks["Azure container"]["remedy"]
    assert "Azure write" not in opinion.checks


def test_no_secret_is_told(site: Site, tmp_path: Path) -> None:
    settings = site.settings(**SMALL, APP_AZURE_CONNECTION_STRING=site.endpoint.signed_with(OTHER_KEY))
    done = run_nfsw(tmp_path, "doctor", settings=settings)

    assert OTHER_KEY not in done.stdout + done.stderr


def test_an_azure_that_refuses_connections(site: Site, link: Link, tmp_path: Path) -> None:
    link.cut()
    opinion = ask_doctor(tmp_path, site.settings(**SMALL, APP_AZURE_CONNECTION_STRING=link.endpoint.connection_string))

    assert (opinion.failed, opinion.exit_code) == ({"Azure connection"}, 1)
    assert f"port {link.port}: Connection refused" in opinion.said("Azure connection")


def test_an_azure_that_never_answers(site: Site, link: Link, tmp_path: Path) -> None:
    link.hold()
    settings = site.settings(**SMALL, APP_AZURE_CONNECTION_STRING=link.endpoint.connection_string)
    opinion = ask_doctor(tmp_path, settings, "--timeout", TIMEOUT)

    assert (opinion.failed, opinion.exit_code) == ({"Azure container"}, 1)
    assert opinion.said("Azure container") == f"no answer within {TIMEOUT} s"
    assert opinion.seconds < 60


def test_a_name_that_nobody_knows(site: Site, tmp_path: Path) -> None:
    settings = site.settings(**SMALL, APP_AZURE_CONNECTION_STRING="", APP_AZURE_ACCOUNT_URL="https://nowhere.invalid")

    assert ask_doctor(tmp_path, settings).failed == {"Azure name"}


def test_a_collector_that_is_away_or_silent_is_a_warning(site: Site, tmp_path: Path) -> None:
    for endpoint in (dead_collector, hanging_collector):
        with endpoint() as address:
            settings = site.settings(**SMALL, OTEL_EXPORTER_OTLP_ENDPOINT=address)
            opinion = ask_doctor(tmp_path, settings, "--timeout", TIMEOUT)
        assert {"OTLP logs", "OTLP metrics", "OTLP traces"} <= opinion.warned
        assert opinion.exit_code == 0


def test_a_collector_for_grpc_is_a_warning(site: Site, tmp_path: Path) -> None:
    settings = site.settings(**SMALL, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4317", OTEL_EXPORTER_OTLP_PROTOCOL="grpc")

    assert "http/protobuf" in ask_doctor(tmp_path, settings).checks["OTLP traces"]["remedy"]


def test_settings_that_are_wrong_are_exit_2_and_all_that_is_said(site: Site, tmp_path: Path) -> None:
    opinion = ask_doctor(tmp_path, site.settings(APP_WORKERS="many", APP_AZURE_CONNECTION_STRING="nonsense"))

    assert (opinion.failed, opinion.exit_code) == ({"settings"}, 2)
    assert list(opinion.checks) == ["settings"]
    assert "APP_WORKERS" in opinion.said("settings")
    assert "APP_AZURE_CONNECTION_STRING" in opinion.said("settings")


@pytest.mark.parametrize("given", ["0", "-1", "nan", "soon"])
def test_a_time_that_is_none_is_bad_usage(tmp_path: Path, given: str) -> None:
    done = run_nfsw(tmp_path, "doctor", "--timeout", given)

    assert done.returncode == 2
    assert "not a number of seconds" in done.stderr
