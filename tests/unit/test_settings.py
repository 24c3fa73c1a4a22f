"""The settings: their defaults are the contract's, and whatever is wrong is said in one line that gives no secret away."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nfsw.actors.block_size import block_size
from nfsw.settings import GIB, MIB, BadSettings, Settings, help_lines, load, unknown, variable

SECRET = "c2VjcmV0LWtleS1vZi1hbi1hY2NvdW50"
CONNECTION = f"AccountName=a;AccountKey={SECRET};BlobEndpoint=http://127.0.0.1:9/a;"
GOOD = {"APP_AZURE_CONNECTION_STRING": CONNECTION, "APP_AZURE_CONTAINER": "files"}


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("APP_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _environment_as_before() -> Iterator[None]:
    """`load` removes what is empty."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def loaded(**changes: str) -> Settings:
    for name in [name for name in os.environ if name.startswith("APP_")]:
        del os.environ[name]
    os.environ.update(GOOD | changes)
    return load()


def told(environment: Mapping[str, str]) -> str | None:
    """What is wrong with the environment; None: nothing is."""
    for name in [name for name in os.environ if name.startswith("APP_")]:
        del os.environ[name]
    os.environ.update(environment)
    try:
        load()
    except BadSettings as wrong:
        return str(wrong)
    return None


def refused(environment: Mapping[str, str]) -> str:
    line = told(environment)
    assert line is not None
    assert len(line.splitlines()) == 1
    assert len(line) < 1000
    assert SECRET not in line
    return line


# --- Defaults ---


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nfs_root", Path("/mnt/nfs")),
        ("staging_dir", Path("/var/lib/nfsw/staging")),
        ("staging_limit_bytes", 100 * GIB * 9 // 10),
        ("azure_account_url", None),
        ("azure_max_concurrency", 8),
        ("workers", 4),
        ("queue_size", 16),
        ("poll_interval_s", 2.0),
        ("min_file_age_s", 5.0),
        ("file_extensions", ()),
        ("gc_interval_s", 30.0),
        ("keep_completed_s", 0.0),
        ("hang_timeout_s", 30.0),
        ("hang_escalate_s", 120.0),
        ("allowed_hosts", ()),
        ("host", "0.0.0.0"),  # noqa: S104 - the contract's
        ("port", 8000),
        ("log_level", "INFO"),
    ],
)
def test_each_default_is_the_contracts(name: str, value: object) -> None:
    assert getattr(loaded(), name) == value


def test_sizes_of_requests_are_the_sdks_by_default() -> None:
    with BlobServiceClient("https://account.blob.core.windows.net", credential=SECRET) as client:
        sdk = client._config
        assert block_size(0, loaded().azure_max_block_size) == sdk.max_block_size
        assert loaded().azure_max_single_put_size == sdk.max_single_put_size


def test_there_is_no_upload_limit_by_default() -> None:
    assert str(loaded().upload_limit) == "off"


def test_a_pod_is_called_what_kubernetes_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTNAME", "nfsw-7d9f")
    assert loaded().pod_name == "nfsw-7d9f"
    monkeypatch.delenv("HOSTNAME")
    assert loaded().pod_name == os.uname().nodename
    assert loaded(APP_POD_NAME="mine").pod_name == "mine"


def test_a_pod_may_be_called_by_its_own_names_and_by_those_that_are_allowed() -> None:
    chosen = loaded(APP_POD_NAME="pod-7", APP_ALLOWED_HOSTS="nfsw,nfsw.nfsw", APP_HOST="box.example")
    assert chosen.hosts == {"pod-7", os.uname().nodename, "nfsw", "nfsw.nfsw", "box.example"}


def test_the_help_has_one_line_for_each_setting_with_its_default() -> None:
    lines = list(help_lines())
    assert [line.split()[0] for line in lines] == [variable(name) for name in Settings.model_fields]
    assert all(line.endswith(")") and "(default: " in line for line in lines)
    [limit] = [line for line in lines if "APP_STAGING_LIMIT_BYTES" in line]
    assert str(90 * GIB) in limit


# --- Values ---


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("APP_NFS_ROOT", "/mnt/other", Path("/mnt/other")),
        ("APP_NFS_ROOT", "/mnt/other/", Path("/mnt/other")),
        ("APP_STAGING_LIMIT_BYTES", "1", 1),
        ("APP_AZURE_ACCOUNT_URL", "https://account.blob.core.windows.net", "https://account.blob.core.windows.net"),
        ("APP_AZURE_CONTAINER", "abc", "abc"),
        ("APP_AZURE_CONTAINER", "a-1-b", "a-1-b"),
        ("APP_AZURE_MAX_BLOCK_SIZE", str(8 * MIB), 8 * MIB),
        ("APP_AZURE_MAX_SINGLE_PUT_SIZE", "0", 0),
        ("APP_FILE_EXTENSIONS", ".bin,.mp4,.dat", (".bin", ".mp4", ".dat")),
        ("APP_FILE_EXTENSIONS", " .bin , .tar.gz ,", (".bin", ".tar.gz")),
        ("APP_FILE_EXTENSIONS", ".BIN,.Mp4", (".bin", ".mp4")),
        ("APP_AZURE_TIER", "Cool", "Cool"),
        ("APP_DONE_SUFFIX", " .done ", ".done"),
        ("APP_DONE_SUFFIX", "_FERTIG", "_FERTIG"),
        ("APP_AZURE_TAGS", "site=a, run={session},", ("site=a", "run={session}")),
        ("APP_POLL_INTERVAL_S", "0.1", 0.1),
        ("APP_MIN_FILE_AGE_S", "0", 0.0),
        ("APP_WRITEBACK_AGE_S", "75", 75.0),
        ("APP_ALLOWED_HOSTS", " nfsw, nfsw.nfsw.svc.cluster.local ,", ("nfsw", "nfsw.nfsw.svc.cluster.local")),
        ("APP_PORT", "0", 0),
        ("APP_LOG_LEVEL", "debug", "DEBUG"),
    ],
)
def test_a_value_is_read_as_it_is_meant(name: str, text: str, value: object) -> None:
    assert getattr(loaded(**{name: text}), name.removeprefix("APP_").lower()) == value


def test_a_schedule_is_read_as_one() -> None:
    assert loaded(APP_UPLOAD_LIMIT="08:00-18:00=2MiB/s, else off").upload_limit.hours[0].bytes_per_s == 2 * MIB


@pytest.mark.parametrize("name", [variable(field) for field in Settings.model_fields if field != "azure_container"])
@pytest.mark.parametrize("nothing", ["", "  "])
def test_an_empty_variable_is_one_that_is_not_set(name: str, nothing: str) -> None:
    other = {"APP_AZURE_ACCOUNT_URL": "https://a.blob.core.windows.net"} if name == "APP_AZURE_CONNECTION_STRING" else {}
    assert loaded(**other, **{name: nothing}) == loaded(**other, **({"APP_AZURE_CONNECTION_STRING": ""} if other else {}))


def test_either_way_to_azure_is_enough() -> None:
    assert loaded().connection_string == CONNECTION
    only_url = loaded(APP_AZURE_CONNECTION_STRING="", APP_AZURE_ACCOUNT_URL="https://a.blob.core.windows.net")
    assert only_url.connection_string is None


@pytest.mark.parametrize(
    "text",
    [
        f"AccountName=a;AccountKey={SECRET}",
        "AccountName=a;SharedAccessSignature=sv=2024-11-04&sig=x%3D",
        "BlobEndpoint=https://a.blob.core.windows.net;SharedAccessSignature=sv=2024-11-04&sig=x%3D",
    ],
    ids=["key", "signature", "signature and endpoint"],
)
def test_a_connection_string_may_have_a_key_or_a_signature(text: str) -> None:
    assert loaded(APP_AZURE_CONNECTION_STRING=text).connection_string == text


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        loaded().workers = 5  # type: ignore[misc]


def test_a_misspelt_variable_is_noticed() -> None:
    environment = {"APP_WORKERS": "1", "APP_WORKER": "1", "APP_POLL_INTERVALL_S": "2", "PATH": "/bin", "OTEL_SERVICE_NAME": "x"}
    assert unknown(environment) == ["APP_POLL_INTERVALL_S", "APP_WORKER"]


# --- What is wrong ---


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("APP_NFS_ROOT", "mnt/nfs"),
        ("APP_STAGING_DIR", "."),
        ("APP_STAGING_LIMIT_BYTES", "0"),
        ("APP_STAGING_LIMIT_BYTES", "1.5"),
        ("APP_STAGING_LIMIT_BYTES", "90GiB"),
        ("APP_STAGING_LIMIT_BYTES", "9" * 5000),
        ("APP_AZURE_ACCOUNT_URL", "account.blob.core.windows.net"),
        ("APP_AZURE_ACCOUNT_URL", "ftp://account"),
        ("APP_AZURE_ACCOUNT_URL", "https://"),
        ("APP_AZURE_CONTAINER", "ab"),
        ("APP_AZURE_CONTAINER", "a" * 64),
        ("APP_AZURE_CONTAINER", "-ab"),
        ("APP_AZURE_CONTAINER", "ab-"),
        ("APP_AZURE_CONTAINER", "a--b"),
        ("APP_AZURE_CONTAINER", "Files"),
        ("APP_AZURE_CONTAINER", "files\nfiles"),
        ("APP_AZURE_CONNECTION_STRING", "no connection string"),
        ("APP_AZURE_CONNECTION_STRING", f"AccountKey={SECRET}"),
        ("APP_AZURE_CONNECTION_STRING", f"SharedAccessSignature={SECRET}"),
        ("APP_AZURE_CONNECTION_STRING", f"{SECRET}\n{SECRET}"),
        ("APP_AZURE_MAX_BLOCK_SIZE", "0"),
        ("APP_AZURE_MAX_BLOCK_SIZE", str(4001 * MIB)),
        ("APP_AZURE_MAX_SINGLE_PUT_SIZE", "-1"),
        ("APP_AZURE_MAX_SINGLE_PUT_SIZE", str(5001 * MIB)),
        ("APP_AZURE_MAX_CONCURRENCY", "0"),
        ("APP_WORKERS", "0"),
        ("APP_WORKERS", "four"),
        ("APP_QUEUE_SIZE", "0"),
        ("APP_POLL_INTERVAL_S", "0"),
        ("APP_POLL_INTERVAL_S", "nan"),
        ("APP_POLL_INTERVAL_S", "inf"),
        ("APP_POLL_INTERVAL_S", "1e400"),
        ("APP_MIN_FILE_AGE_S", "-0.1"),
        ("APP_WRITEBACK_AGE_S", "-1"),
        ("APP_MIN_FILE_AGE_S", "86401"),
        ("APP_FILE_EXTENSIONS", "bin"),
        ("APP_FILE_EXTENSIONS", ".bin,."),
        ("APP_FILE_EXTENSIONS", ".a/b"),
        ("APP_DONE_SUFFIX", ".a/b"),
        ("APP_DONE_SUFFIX", ".completed"),
        ("APP_DONE_SUFFIX", ".x.completed"),
        ("APP_DONE_SUFFIX", ".do\tne"),
        ("APP_DONE_SUFFIX", ".do\udc80ne"),
        ("APP_DONE_SUFFIX", "." + 64 * "d"),
        ("APP_AZURE_TIER", "cold"),
        ("APP_AZURE_TIER", "Archive"),
        ("APP_AZURE_TAGS", "=a"),
        ("APP_AZURE_TAGS", "site=a,site=b"),
        ("APP_AZURE_TAGS", "site=a&b"),
        ("APP_AZURE_TAGS", "site={pod}"),
        ("APP_AZURE_TAGS", ",".join(f"t{number}=a" for number in range(11))),
        ("APP_GC_INTERVAL_S", "0"),
        ("APP_KEEP_COMPLETED_S", "-1"),
        ("APP_KEEP_COMPLETED_S", "a week"),
        ("APP_KEEP_COMPLETED_S", "nan"),
        ("APP_KEEP_COMPLETED_S", "1e12"),
        ("APP_HANG_TIMEOUT_S", "0"),
        ("APP_HANG_ESCALATE_S", "soon"),
        ("APP_UPLOAD_LIMIT", "fast"),
        ("APP_UPLOAD_LIMIT", "9" * 400),
        ("APP_ALLOWED_HOSTS", "http://nfsw"),
        ("APP_ALLOWED_HOSTS", "nfsw,nfsw:8000"),
        ("APP_ALLOWED_HOSTS", "nfsw nfsw.nfsw"),
        ("APP_ALLOWED_HOSTS", "*"),
        ("APP_PORT", "-1"),
        ("APP_PORT", "65536"),
        ("APP_LOG_LEVEL", "LOUD"),
    ],
)
def test_a_wrong_value_is_said_in_one_line_that_names_the_variable(name: str, text: str) -> None:
    assert name in refused(GOOD | {name: text})


def test_the_container_has_to_be_named() -> None:
    assert refused({"APP_AZURE_CONNECTION_STRING": CONNECTION}) == "APP_AZURE_CONTAINER is not set"


def test_some_way_to_azure_has_to_be_given() -> None:
    line = refused({"APP_AZURE_CONTAINER": "files"})
    assert "APP_AZURE_ACCOUNT_URL" in line
    assert "APP_AZURE_CONNECTION_STRING" in line


def test_whoever_has_set_nothing_is_told_of_everything_that_is_needed() -> None:
    assert refused({}) == "APP_AZURE_CONTAINER is not set; set APP_AZURE_ACCOUNT_URL, or APP_AZURE_CONNECTION_STRING instead of it"


def test_all_that_is_wrong_is_said_at_once() -> None:
    line = refused({"APP_WORKERS": "0", "APP_PORT": "x", "APP_AZURE_CONNECTION_STRING": SECRET})
    assert all(name in line for name in ("APP_WORKERS", "APP_PORT", "APP_AZURE_CONTAINER", "APP_AZURE_CONNECTION_STRING"))


def test_the_limits_of_a_hang_have_to_fit_together() -> None:
    line = refused(GOOD | {"APP_HANG_TIMEOUT_S": "60", "APP_HANG_ESCALATE_S": "59"})
    assert "APP_HANG_ESCALATE_S" in line
    assert "APP_HANG_TIMEOUT_S" in line


@pytest.mark.parametrize("staging", ["/mnt/nfs", "/mnt/nfs/staging", "/mnt/nfs/incoming/s"])
def test_staging_does_not_lie_on_nfs(staging: str) -> None:
    assert "APP_STAGING_DIR" in refused(GOOD | {"APP_STAGING_DIR": staging})


# --- Secrets ---


def test_the_secret_is_in_no_picture_of_the_settings() -> None:
    chosen = loaded()
    assert SECRET not in repr(chosen)
    assert SECRET not in str(chosen)
    assert SECRET not in chosen.model_dump_json()


@pytest.mark.parametrize(
    "url",
    [
        f"https://a.blob.core.windows.net/?sv=2024&sig={SECRET} ",
        f"a.blob.core.windows.net/?sv=2024&sig={SECRET}",
        f"https://user:{SECRET}@a.blob.core.windows.net/ x",
    ],
)
def test_a_token_in_an_account_url_is_not_printed_either(url: str) -> None:
    assert "APP_AZURE_ACCOUNT_URL" in refused({"APP_AZURE_CONTAINER": "files", "APP_AZURE_ACCOUNT_URL": url})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([variable(field) for field in Settings.model_fields]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30),
)
def test_any_value_is_taken_or_refused_in_one_line(name: str, text: str) -> None:
    line = told(GOOD | {name: text})
    assert line is None or ("APP_" in line and len(line.splitlines()) == 1)
