"""`nfsw serve` and its environment: what is wrong is said in one line that names the variable, and nothing is started."""

import re
from pathlib import Path

import pytest

from tests.support.service import run_nfsw

SECRET = "c2VjcmV0LWtleS1vZi1hbi1hY2NvdW50"
GOOD = {
    "APP_AZURE_CONNECTION_STRING": f"AccountName=a;AccountKey={SECRET};BlobEndpoint=http://127.0.0.1:9/a;",
    "APP_AZURE_CONTAINER": "files",
}
#: The contract's table.
NAMES = (
    "APP_NFS_ROOT",
    "APP_STAGING_DIR",
    "APP_STAGING_LIMIT_BYTES",
    "APP_AZURE_ACCOUNT_URL",
    "APP_AZURE_CONTAINER",
    "APP_AZURE_CONNECTION_STRING",
    "APP_AZURE_MAX_BLOCK_SIZE",
    "APP_AZURE_MAX_SINGLE_PUT_SIZE",
    "APP_AZURE_MAX_CONCURRENCY",
    "APP_WORKERS",
    "APP_QUEUE_SIZE",
    "APP_POLL_INTERVAL_S",
    "APP_MIN_FILE_AGE_S",
    "APP_WRITEBACK_AGE_S",
    "APP_FILE_EXTENSIONS",
    "APP_DONE_SUFFIX",
    "APP_GC_INTERVAL_S",
    "APP_KEEP_COMPLETED_S",
    "APP_HANG_TIMEOUT_S",
    "APP_HANG_ESCALATE_S",
    "APP_ALLOWED_HOSTS",
    "APP_HOST",
    "APP_PORT",
    "APP_LOG_LEVEL",
)
#: The unit tests have more: what each setting may be is decided in one place.
WRONG = {
    "APP_STAGING_LIMIT_BYTES": "0",
    "APP_AZURE_ACCOUNT_URL": "no url",
    "APP_AZURE_CONTAINER": "Not_A_Container",
    "APP_AZURE_CONNECTION_STRING": "no connection string",
    "APP_AZURE_MAX_BLOCK_SIZE": "-1",
    "APP_AZURE_MAX_CONCURRENCY": "0",
    "APP_WORKERS": "four",
    "APP_QUEUE_SIZE": "0",
    "APP_POLL_INTERVAL_S": "nan",
    "APP_MIN_FILE_AGE_S": "-1",
    "APP_WRITEBACK_AGE_S": "inf",
    "APP_DONE_SUFFIX": ".completed",
    "APP_GC_INTERVAL_S": "inf",
    "APP_KEEP_COMPLETED_S": "-1",
    "APP_HANG_TIMEOUT_S": "soon",
    "APP_ALLOWED_HOSTS": "http://nfsw:8000",
    "APP_PORT": "65536",
    "APP_LOG_LEVEL": "LOUD",
}


def refused(home: Path, settings: dict[str, str]) -> str:
    """The one line that the service says of them."""
    run = run_nfsw(home, "serve", settings=settings)
    assert run.returncode == 2, run
    assert not run.stdout, run
    assert run.stderr.count("\n") == 1, run
    assert "Traceback" not in run.stderr, run
    return run.stderr


@pytest.mark.parametrize(("name", "value"), [("APP_WORKERS", "0"), ("APP_HOST", "a..b")])
def test_a_setting_out_of_range_is_named_in_one_line(tmp_path: Path, name: str, value: str) -> None:
    """A host shows to be none only when it is listened on."""
    assert name in refused(tmp_path, {**GOOD, name: value})


def test_a_missing_container_is_named(tmp_path: Path) -> None:
    assert "APP_AZURE_CONTAINER" in refused(tmp_path, {"APP_AZURE_ACCOUNT_URL": "https://a.blob.core.windows.net"})


def test_without_an_account_both_ways_to_name_one_are_named(tmp_path: Path) -> None:
    line = refused(tmp_path, {"APP_AZURE_CONTAINER": "files"})
    assert "APP_AZURE_ACCOUNT_URL" in line
    assert "APP_AZURE_CONNECTION_STRING" in line


def test_every_wrong_setting_is_named_at_once(tmp_path: Path) -> None:
    line = refused(tmp_path, {**GOOD, **WRONG})
    assert [name for name in WRONG if name not in line] == []


def test_no_secret_is_said(tmp_path: Path) -> None:
    line = refused(tmp_path, {**GOOD, "APP_AZURE_CONNECTION_STRING": f"nonsense {SECRET}", "APP_WORKERS": "0"})
    assert "APP_WORKERS" in line
    assert SECRET not in line


def test_help_lists_every_setting_with_its_default(tmp_path: Path) -> None:
    run = run_nfsw(tmp_path, "serve", "--help")
    assert run.returncode == 0, run
    missing = [name for name in NAMES if not re.search(rf"\b{name}\b", run.stdout)]
    assert not missing, run.stdout
    for name, default in (("APP_WORKERS", "4"), ("APP_POLL_INTERVAL_S", "2.0"), ("APP_NFS_ROOT", "/mnt/nfs"), ("APP_PORT", "8000")):
        assert re.search(rf"{name}\b.*\b{default}\b" if default[0] != "/" else rf"{name}\b.*{default}", run.stdout), (name, run.stdout)
