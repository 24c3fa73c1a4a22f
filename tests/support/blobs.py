"""What is in Azure, read with the SDK's plain client: shares no code with the service."""

import base64
from dataclasses import dataclass

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContainerClient, ContentSettings, PublicAccess

from tests.support.azurite import Endpoint
from tests.support.content import Content


@dataclass(frozen=True, slots=True)
class Blob:
    content: Content
    stated_md5: bytes | None
    stated_crc64: str | None
    content_type: str | None

    @property
    def misstated(self) -> str | None:
        """What is said of the bytes and is not so: of the MD5 perhaps nothing is said, of the CRC64 something is by the service."""
        if self.stated_md5 not in (None, self.content.md5):
            return "its Content-MD5 is not that of its bytes"
        if self.stated_crc64 != _written(self.content.crc64):
            return "its CRC64 is not that of its bytes"
        return None


class Container:
    """One container, named at its making; the service makes it in Azure."""

    def __init__(self, endpoint: Endpoint, name: str) -> None:
        self.name = name
        verify = str(endpoint.authority) if endpoint.authority else True
        self._client = ContainerClient.from_connection_string(endpoint.connection_string, name, connection_verify=verify)

    def close(self) -> None:
        self._client.close()

    def make(self) -> None:
        self._client.create_container()

    def remove(self) -> None:
        self._client.delete_container()

    def put(self, name: str, content: bytes, *, stated_md5: bytes) -> None:
        """By someone else than the service. The stated MD5 is stored unchecked, as it is for a blob of many blocks."""
        settings = ContentSettings(content_type="application/octet-stream", content_md5=bytearray(stated_md5))
        notes = {"nfsw_crc64": _written(Content.of([content]).crc64)}
        self._client.upload_blob(name, content, overwrite=True, metadata=notes).set_http_headers(settings)

    def publish(self) -> None:
        """Whoever reaches the account may read it, without a key."""
        self._client.set_container_access_policy(signed_identifiers={}, public_access=PublicAccess.CONTAINER)

    def exists(self) -> bool:
        return self._client.exists()

    def names(self) -> set[str]:
        """Of the committed blobs. Uncommitted blocks make no blob."""
        try:
            return set(self._client.list_blob_names())
        except ResourceNotFoundError:
            return set()

    def bytes_of(self, name: str) -> bytes:
        """Of a small one."""
        return self._client.download_blob(name).readall()

    def labels(self, name: str) -> tuple[str | None, dict[str, str]]:
        """Its access tier and its index tags."""
        client = self._client.get_blob_client(name)
        tier = client.get_blob_properties().blob_tier
        return str(tier) if tier else None, client.get_blob_tags()

    def read(self, name: str) -> Blob:
        download = self._client.download_blob(name)
        content = Content.of(download.chunks())
        settings, notes = download.properties.content_settings, download.properties.metadata or {}
        stated = settings.content_md5
        return Blob(content, bytes(stated) if stated else None, notes.get("nfsw_crc64"), settings.content_type)


def _written(crc64: bytes) -> str:
    return base64.b64encode(crc64).decode()
