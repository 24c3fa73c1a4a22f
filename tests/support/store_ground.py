"""A container to try a store on: Azurite's or the one in memory, and another program that uses it too."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol
from uuid import uuid4

from azure.storage.blob import BlobBlock, ContainerClient

from nfsw.actors.azure_store import Store, StoredBlob, crc64_note, source_note
from nfsw.actors.crc64 import crc64
from nfsw.actors.files import Fingerprint
from nfsw.actors.manifest import Block, BlockManifest, Checksums
from tests.support.azurite import Endpoint
from tests.support.content import some_bytes
from tests.support.memory_store import MemoryStore

BLOB = "20260131/s/a.bin"
FINGERPRINT = Fingerprint(30, 1_700_000_000_123_456_789, 42, 1_700_000_000_123_456_790)
BLOCK = 10
CONTENT = some_bytes(1, 30)


class Elsewhere(Protocol):
    """Another program, at the same container."""

    def put_elsewhere(self, blob: str, content: bytes) -> None: ...
    def stage_elsewhere(self, blob: str, block_id: str, content: bytes) -> None: ...
    def commit_elsewhere(self, blob: str, block_ids: Sequence[str]) -> None: ...
    def delete_container(self) -> None: ...


class InAzurite:
    def __init__(self, client: ContainerClient) -> None:
        self._client = client

    def put_elsewhere(self, blob: str, content: bytes) -> None:
        self._client.upload_blob(blob, content, overwrite=True)

    def stage_elsewhere(self, blob: str, block_id: str, content: bytes) -> None:
        self._client.get_blob_client(blob).stage_block(block_id, content)

    def commit_elsewhere(self, blob: str, block_ids: Sequence[str]) -> None:
        self._client.get_blob_client(blob).commit_block_list([BlobBlock(block_id) for block_id in block_ids])

    def delete_container(self) -> None:
        self._client.delete_container()


class Ground:
    """A store, another program at the same container, and what the container holds."""

    def __init__(self, store: Store, elsewhere: Elsewhere, client: ContainerClient | None) -> None:
        self.store = store
        self.elsewhere = elsewhere
        self._client = client

    def content(self, blob: str) -> bytes | None:
        if self._client is None:
            assert isinstance(self.store, MemoryStore)
            kept = self.store.blobs.get(blob)
            return kept.content if kept else None
        client = self._client.get_blob_client(blob)
        return client.download_blob().readall() if client.exists() else None

    def delete(self, blob: str) -> None:
        if self._client is not None:
            self._client.delete_blob(blob)
        elif isinstance(self.store, MemoryStore):
            del self.store.blobs[blob]

    def content_type(self, blob: str) -> str | None:
        assert self._client is not None
        return self._client.get_blob_client(blob).get_blob_properties().content_settings.content_type


@asynccontextmanager
async def in_azurite(endpoint: Endpoint) -> AsyncIterator[Ground]:
    name = f"test-{uuid4().hex}"
    store = Store.connect(None, endpoint.connection_string, name)
    try:
        with ContainerClient.from_connection_string(endpoint.connection_string, name) as client:
            await store.ensure_container()
            yield Ground(store, InAzurite(client), client)
    finally:
        await store.close()


async def in_memory() -> Ground:
    store = MemoryStore()
    await store.ensure_container()
    return Ground(store, store, None)


def blocks_of(content: bytes) -> list[Block]:
    manifest = BlockManifest(Fingerprint(len(content), 0, 0, 0), BLOCK)
    for at in range(0, len(content), BLOCK):
        manifest.add(len(content[at : at + BLOCK]), crc64(content[at : at + BLOCK]))
    return manifest.blocks


def checksums(content: bytes) -> Checksums:
    return Checksums(crc64(content))


def is_made_of(content: bytes, there: StoredBlob | None) -> bool:
    """Whether that is what the service tells of the blob. Azure gives a blob that was put whole an MD5 of its own."""
    return there is not None and (there.size, there.crc64, there.source) == (
        len(content),
        crc64_note(checksums(content)),
        source_note(FINGERPRINT),
    )


def ids_of(blocks: Iterable[Block]) -> list[str]:
    return [block.id for block in blocks]


async def body(content: bytes) -> AsyncIterator[bytes]:
    """In pieces, as a throttled block leaves."""
    for at in range(0, len(content), 3):
        yield content[at : at + 3]


async def stage(store: Store, content: bytes, blocks: Iterable[Block], blob: str = BLOB) -> None:
    for block in blocks:
        await store.stage(blob, block.id, block, body(content[block.offset : block.offset + block.length]))
