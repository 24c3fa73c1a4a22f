"""Where the files go: a sink, a sink behind TLS, or Azurite; always fresh, always with an empty container. The benchmark's process."""

import base64
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

from tests.support.azurite import ACCOUNT, KEY, azurite
from tests.support.certificate import issue
from tools.bench.sink.process import Sink

CONTAINER = "bench"


@dataclass(frozen=True, slots=True)
class Landed:
    """What is known of a blob that was committed."""

    size: int
    md5: str | None  # base64


class Landing(Protocol):
    def landed(self) -> dict[str, Landed]:
        """By blob name."""
        ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    connection_string: str
    sas_url: str  # of the container
    landing: Landing
    sink: Sink | None = None  # None: Azurite
    environment: Mapping[str, str] = field(default_factory=dict)  # what a client needs to trust it


#: How to get to a fresh endpoint; the folder is for what it keeps.
type Place = Callable[[Path], AbstractContextManager[Endpoint]]


@contextmanager
def sink(_folder: Path, *, cap: float | None = None) -> Iterator[Endpoint]:
    with Sink(cap=cap) as running:
        yield _of_sink(running, {})


@contextmanager
def sink_over_tls(folder: Path) -> Iterator[Endpoint]:
    certificate = issue(folder / "certificate")
    both = folder / "certificate" / "server.pem"
    both.write_bytes(certificate.key.read_bytes() + certificate.chain.read_bytes())
    with Sink(certificate=both) as running:
        # OpenSSL and Go both read it, so the SDK and rclone trust the same authority by the same means.
        yield _of_sink(running, {"SSL_CERT_FILE": str(certificate.authority)})


@contextmanager
def emulator(folder: Path) -> Iterator[Endpoint]:
    with azurite(folder / "azurite") as running:
        with BlobServiceClient.from_connection_string(running.connection_string) as service:
            service.create_container(CONTAINER).close()
        everything = ContainerSasPermissions(read=True, add=True, create=True, write=True, delete=True, list=True)
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        signature = generate_container_sas(ACCOUNT, CONTAINER, account_key=KEY, permission=everything, expiry=tomorrow)
        sas_url = f"{running.account_url}/{CONTAINER}?{signature}"
        yield Endpoint(running.connection_string, sas_url, _InAzurite(running.connection_string))


def _of_sink(running: Sink, environment: Mapping[str, str]) -> Endpoint:
    running.create_container(CONTAINER)
    sas_url = f"{running.endpoint}/{CONTAINER}?sv=2021-12-02&sr=c&sp=racwdl&sig=c2luaw%3D%3D"
    return Endpoint(running.connection_string, sas_url, _InSink(running), running, environment)


@dataclass(frozen=True, slots=True)
class _InSink:
    running: Sink

    def landed(self) -> dict[str, Landed]:
        return {
            name: Landed(blob["size"], blob["headers"].get("Content-MD5"))
            for name, blob in self.running.blobs().items()
            if blob["size"] is not None
        }


@dataclass(frozen=True, slots=True)
class _InAzurite:
    connection_string: str

    def landed(self) -> dict[str, Landed]:
        with (
            BlobServiceClient.from_connection_string(self.connection_string) as service,
            service.get_container_client(CONTAINER) as container,
        ):
            found = {}
            for blob in container.list_blobs():
                md5 = blob.content_settings.content_md5
                found[blob.name] = Landed(blob.size, base64.b64encode(bytes(md5)).decode() if md5 else None)
            return found
