"""The service itself checks every body by its CRC64: Azurite does, and the benchmark's sink with `--check`. One that cannot gets an MD5."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from uuid import uuid4

import pytest

from nfsw.actors.azure_errors import BytesRefused, StoreTrouble
from nfsw.actors.azure_store import Store
from nfsw.actors.manifest import Block, Checksums
from tests.support.answering import REQUEST_ID, answering, store_at
from tests.support.azurite import Endpoint
from tests.support.store_ground import BLOB, FINGERPRINT, body
from tools.bench.sink.process import Sink

#: Of the digits 1 to 9, as the catalogue of parametrised CRC algorithms has it.
DIGITS, CHECK = b"123456789", 0xAE8B14860A799888


@pytest.fixture(params=["azurite", "sink"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    with ExitStack() as running:
        if request.param == "azurite":
            endpoint: Endpoint = request.getfixturevalue("azurite")
            connection = endpoint.connection_string
        else:
            connection = running.enter_context(Sink(check=True)).connection_string
        store = Store.connect(None, connection, f"test-{uuid4().hex}")
        await store.ensure_container()
        yield store
        await store.close()


async def test_the_published_value_is_accepted(store: Store) -> None:
    assert await store.takes_crc64()
    await store.put(BLOB, DIGITS, Checksums(CHECK), FINGERPRINT, replace=None)
    block = Block(0, 0, len(DIGITS), CHECK)
    await store.stage(BLOB, block.id, block, body(DIGITS))
    await store.commit(BLOB, [block.id], Checksums(CHECK), FINGERPRINT, replace=await store.look(BLOB))
    there = await store.look(BLOB)
    assert there is not None
    assert there.crc64 == "iJh5CoYUi64=", "the form that the service itself uses"


@pytest.mark.parametrize(
    ("content", "crc64"),
    [(DIGITS, CHECK ^ 1), (DIGITS, int.from_bytes(CHECK.to_bytes(8, "little"), "big")), (b"123456780", CHECK), (b"", CHECK)],
    ids=["one bit", "byte order", "other bytes", "no bytes"],
)
async def test_other_bytes_are_refused(store: Store, content: bytes, crc64: int) -> None:
    with pytest.raises(BytesRefused, match="400 Crc64Mismatch"):
        await store.put(BLOB, content, Checksums(crc64), FINGERPRINT, replace=None)
    block = Block(0, 0, len(content), crc64)
    if content:  # there are no empty blocks
        block = Block(0, 0, len(content), crc64)
        with pytest.raises(BytesRefused, match="400 Crc64Mismatch"):
            await store.stage(BLOB, block.id, block, body(content))
    assert await store.look(BLOB) is None
    assert not await store.blocks(BLOB)


@pytest.mark.parametrize(
    ("status", "code", "takes"),
    [
        ("200 OK", None, True),
        ("500 Internal Server Error", "FeatureNotSupported", False),
        ("400 Bad Request", "InvalidHeaderValue", True),
        ("403 Forbidden", "AuthorizationPermissionMismatch", True),
    ],
)
async def test_only_a_service_that_refuses_the_header_takes_no_crc64(status: str, code: str | None, takes: bool) -> None:
    """Azurite up to 3.36 says FeatureNotSupported. It is asked once, by a request that carries nothing."""
    fields = {"x-ms-request-id": REQUEST_ID} | ({"x-ms-error-code": code} if code else {})
    async with answering(status, fields) as service, store_at(service.endpoint) as store:
        for _ in range(3):
            assert await store.takes_crc64() is takes
    [asked] = service.asked
    assert "x-ms-content-crc64: AAAAAAAAAAA=" in asked


async def test_a_service_that_does_not_answer_is_asked_again() -> None:
    fields = {"x-ms-request-id": REQUEST_ID, "x-ms-error-code": "ServerBusy"}
    async with answering("503 Service Unavailable", fields) as service, store_at(service.endpoint) as store:
        for _ in range(2):
            with pytest.raises(StoreTrouble):
                await store.takes_crc64()
    assert len(service.asked) == 2
