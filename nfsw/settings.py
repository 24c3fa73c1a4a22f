"""The settings of `nfsw serve`: environment variables with the prefix APP_. Read once, in the main process, and passed down as values."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, LiteralString, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from nfsw.actors.names import COMPLETED
from nfsw.schedule import BadSchedule, UploadSchedule

PREFIX = "APP_"
MIB = 1024 * 1024
GIB = 1024 * MIB

#: Azure's largest block, Put Block, service version 2019-12-12 and later.
LARGEST_BLOCK = 4000 * MIB
#: Azure's largest Put Blob, the same versions.
LARGEST_SINGLE_PUT = 5000 * MIB
#: Container names: 3 to 63 of lower-case letters, digits and single hyphens, first and last no hyphen. `$root` and `$logs` are not for us.
CONTAINER_NAME = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(?:-[a-z0-9]+)*")
_ACCOUNT_URL = re.compile(r"https?://\S+")
#: A name in DNS, as a `Host` header has it. With underscores, which some clusters allow.
_HOST_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?", re.IGNORECASE)
_EXTENSION = re.compile(r"\.[^/]+", re.DOTALL)

#: Azure's limits for the index tags of a blob. `{session}` and `{date}` stand for those of its name.
_MOST_TAGS = 10
_TAG = re.compile(r"[\w +\-./:]{1,128}=([\w +\-./:=]|\{session\}|\{date\}){0,256}", re.ASCII)

#: Of a marker's name, in characters.
_LONGEST_SUFFIX = 64

#: Settings whose wrong values are not shown: a token is easily pasted with the account's URL.
_MAY_BE_SECRET = {"azure_account_url", "azure_connection_string"}
#: Characters of a wrong value that are shown.
_LONGEST_SHOWN = 80

_NO_ACCOUNT: LiteralString = "set APP_AZURE_ACCOUNT_URL, or APP_AZURE_CONNECTION_STRING instead of it"


class BadSettings(Exception):
    """The environment does not make a configuration. The message is one line that names each variable that is wrong."""


# --- Values ---


def _valid[Value](good: Callable[[Value], object], message: LiteralString) -> AfterValidator:
    def check(value: Value) -> Value:
        if not good(value):
            raise PydanticCustomError("value", message)
        return value

    return AfterValidator(check)


def _names(pattern: re.Pattern[str], message: LiteralString) -> BeforeValidator:
    """Names separated by commas, each of which matches `pattern`."""

    def split(given: object) -> object:
        if not isinstance(given, str):
            return given
        names = tuple(part.strip() for part in given.split(",") if part.strip())
        if not all(pattern.fullmatch(name) for name in names):
            raise PydanticCustomError("names", message)
        return names

    return BeforeValidator(split)


def _is_connection_string(given: SecretStr) -> bool:
    parts = [part.partition("=") for part in given.get_secret_value().split(";") if part.strip()]
    keys = {key.strip().lower() for key, equals, value in parts if equals and value.strip()}
    signed = "accountname" in keys and not keys.isdisjoint({"accountkey", "sharedaccesssignature"})
    return len(keys) == len(parts) and ("blobendpoint" in keys or signed)


def _schedule(given: object) -> object:
    try:
        return UploadSchedule.parse(given) if isinstance(given, str) else given
    except BadSchedule as bad:
        raise PydanticCustomError("schedule", "{reason}", {"reason": str(bad)}) from bad


Folder = Annotated[Path, _valid(Path.is_absolute, "must be an absolute path")]
Seconds = Annotated[float, Field(allow_inf_nan=False)]
AccountUrl = Annotated[str, _valid(_ACCOUNT_URL.fullmatch, "must be a URL such as https://NAME.blob.core.windows.net")]
ConnectionString = Annotated[
    SecretStr,
    _valid(
        _is_connection_string,
        "is not a valid connection string: Key=Value;... with AccountName and AccountKey or SharedAccessSignature, or BlobEndpoint",
    ),
]
ContainerName = Annotated[str, _valid(CONTAINER_NAME.fullmatch, "must be 3 to 63 lower-case letters, digits and single hyphens")]
Extensions = Annotated[
    tuple[str, ...],
    NoDecode,
    AfterValidator(lambda extensions: tuple(extension.casefold() for extension in extensions)),
    _names(_EXTENSION, "each extension begins with a dot, such as .bin"),
]
DoneSuffix = Annotated[
    str,
    AfterValidator(str.strip),
    _valid(lambda suffix: len(suffix) <= _LONGEST_SUFFIX, "has at most 64 characters"),
    _valid(lambda suffix: suffix.isprintable() and "/" not in suffix, "must be printable, and without a slash"),
    _valid(lambda suffix: not suffix.endswith(COMPLETED), "must not end in .completed, which is nfsw's own mark"),
]
HostNames = Annotated[
    tuple[str, ...], NoDecode, _names(_HOST_NAME, "each one is a host name, without scheme and port, such as nfsw.site.example")
]
Tags = Annotated[
    tuple[str, ...],
    NoDecode,
    _valid(
        lambda tags: len({tag.partition("=")[0] for tag in tags}) == len(tags) <= _MOST_TAGS,
        "there are at most 10 tags, and each name once",
    ),
    _names(
        _TAG, "each tag is name=value, of letters, digits, spaces and + - . / : = _, {session} and {date}; 128 and 256 characters at most"
    ),
]
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(lambda level: level.strip().upper() if isinstance(level, str) else level)
]


class Settings(BaseSettings):
    """Every field is one variable: its name in capitals behind APP_. The description is what `nfsw serve --help` prints."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    nfs_root: Folder = Field(Path("/mnt/nfs"), description="folder that holds incoming/ and .processing/")
    staging_dir: Folder = Field(
        Path("/var/lib/nfsw/staging"),
        description="folder for local staging copies; kept over a container restart if possible, but may be empty at any start",
    )
    staging_limit_bytes: int = Field(90 * GIB, ge=1, description="most bytes that the staging folder may hold")

    azure_account_url: AccountUrl | None = Field(None, description="blob endpoint of the account, used with DefaultAzureCredential")
    azure_connection_string: ConnectionString | None = Field(
        None, description="used instead of the account URL: for an account key, a SAS or Azurite"
    )
    azure_container: ContainerName = Field(description="container; created if it does not exist")
    azure_max_block_size: int | None = Field(
        None, ge=1, le=LARGEST_BLOCK, description="bytes of a block; not set: 4 MiB, and up to 16 MiB for a file of over 1 GiB"
    )
    azure_max_single_put_size: int = Field(
        64 * MIB, ge=0, le=LARGEST_SINGLE_PUT, description="a file of at most this many bytes is uploaded in one request"
    )
    azure_max_concurrency: int = Field(8, ge=1, le=256, description="blocks in flight for one file")
    azure_tier: Literal["Hot", "Cool", "Cold"] | None = Field(
        None, description="access tier of the blobs: Hot, Cool or Cold; not set: the account's own"
    )
    azure_tags: Tags = Field(
        (), description="index tags of the blobs, such as site=a,run={session},day={date}; left out where the account refuses them"
    )

    workers: int = Field(4, ge=1, le=256, description="files staged, and files uploaded, at the same time")
    queue_size: int = Field(16, ge=1, le=100_000, description="size of the work queue; the scanner waits while it is full")
    poll_interval_s: Seconds = Field(2.0, gt=0, le=3600, description="seconds between two scans")
    min_file_age_s: Seconds = Field(5.0, ge=0, le=86_400, description="seconds without a change before a file is claimed")
    writeback_age_s: Seconds = Field(
        40.0, ge=0, le=86_400, description="the same where the file system cannot tell whether a writer has the file open"
    )
    file_extensions: Extensions = Field((), description="such as .bin,.mp4,.dat, compared without case; empty: all files")
    recursive: bool = Field(
        False, description="also take the files in folders of the session's folder; a folder that is left empty is removed once it is quiet"
    )
    done_suffix: DoneSuffix = Field(
        "", description="such as .done: a file is taken once its writer has left x.bin.done beside x.bin; empty: files need no marker"
    )
    gc_interval_s: Seconds = Field(30.0, gt=0, le=86_400, description="seconds between two sweeps for .completed")
    keep_completed_s: Seconds = Field(
        0.0, ge=0, le=31_536_000, description="seconds for which a file in Azure stays on NFS as .completed; 0: it is deleted at once"
    )

    hang_timeout_s: Seconds = Field(30.0, gt=0, le=86_400, description="an NFS call older than this many seconds is a hang")
    hang_escalate_s: Seconds = Field(
        120.0,
        gt=0,
        le=604_800,
        description="a hang that lasts this many seconds, while no staged file makes progress, turns /healthz to 503",
    )

    content_md5: bool = Field(
        False, description="also compute the MD5 of each file and store it as Content-MD5, which rclone check and azcopy read; costs CPU"
    )
    upload_limit: Annotated[UploadSchedule, NoDecode, BeforeValidator(_schedule)] = Field(
        UploadSchedule.OFF, description="upload limit, such as 2MiB/s, or by local time: 08:00-18:00=2MiB/s, else off"
    )

    pod_name: str = Field(
        default_factory=lambda: os.environ.get("HOSTNAME") or os.uname().nodename,
        description="name of this pod as the holder of a session",
        min_length=1,
    )
    host: str = Field("0.0.0.0", min_length=1, description="address of the HTTP API")  # noqa: S104 - a pod's probes come from outside of it
    allowed_hosts: HostNames = Field(
        (),
        description="names besides addresses, localhost and the pod's own under which the API may be called, such as nfsw.site.example",
    )
    port: int = Field(8000, ge=0, le=65_535, description="port of the HTTP API; 0: any free one")
    log_level: LogLevel = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if not self.azure_account_url and not self.connection_string:
            raise PydanticCustomError("azure", _NO_ACCOUNT)
        if self.hang_escalate_s < self.hang_timeout_s:
            raise PydanticCustomError("hang", "APP_HANG_ESCALATE_S must not be less than APP_HANG_TIMEOUT_S")
        if self.staging_dir == self.nfs_root or self.nfs_root in self.staging_dir.parents:
            raise PydanticCustomError("staging", "APP_STAGING_DIR must not lie inside APP_NFS_ROOT")
        return self

    @property
    def hosts(self) -> frozenset[str]:
        """The names under which the API may be called."""
        return frozenset({self.pod_name, os.uname().nodename, self.host, *self.allowed_hosts})

    @property
    def connection_string(self) -> str | None:
        return self.azure_connection_string.get_secret_value() if self.azure_connection_string else None


def load() -> Settings:
    """The settings of this process's environment. Raises BadSettings. An empty variable counts as not set."""
    empty = [name for name in os.environ if name.startswith(PREFIX) and not os.environ[name].strip()]
    for name in empty:
        del os.environ[name]
    try:
        return Settings()
    except ValidationError as wrong:
        raise BadSettings("; ".join(_problems(wrong))) from None


def unknown(environment: Mapping[str, str]) -> list[str]:
    """APP_ variables that the service does not know: most likely misspelt, so it warns of them."""
    known = {variable(name) for name in Settings.model_fields}
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)


def variable(field: str) -> str:
    return PREFIX + field.upper()


def help_lines() -> Iterator[str]:
    """One line a setting: its name, what it means, its default."""
    for name, field in Settings.model_fields.items():
        if field.default_factory is not None:
            default = "the host name"
        elif field.is_required() or field.default is None:
            default = "none"
        elif field.default in ((), ""):
            default = "empty"
        elif isinstance(field.default, bool):
            default = str(field.default).lower()
        else:
            default = str(field.default)
        yield f"  {variable(name):<30} {field.description} (default: {default})"


def _problems(wrong: ValidationError) -> Iterator[str]:
    errors = wrong.errors(include_url=False)
    for error in errors:
        message = error["msg"].replace("Input should be", "must be").partition(", unable to")[0]
        if not error["loc"]:
            yield message
            continue
        field = str(error["loc"][0])
        if error["type"] == "missing":
            yield f"{variable(field)} is not set"
        elif field in _MAY_BE_SECRET:
            yield f"{variable(field)}: {message}"
        else:
            yield f"{variable(field)}: {message} (got {str(error['input'])[:_LONGEST_SHOWN]!r})"
    # How settings fit together is not checked while one of them is wrong; but whoever has set nothing yet has to know of both.
    if all(error["loc"] for error in errors) and not {"APP_AZURE_ACCOUNT_URL", "APP_AZURE_CONNECTION_STRING"} & os.environ.keys():
        yield _NO_ACCOUNT
