"""What comes back on the way to Azure need not be Azure's, and what is Azure's need not be readable. Neither is a reason to crash."""

import base64
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import pytest

from nfsw.actors.azure_errors import BytesRefused, NotAzure, StoreTrouble
from nfsw.actors.azure_store import Store, Written
from nfsw.actors.crc64 import wire
from tests.support.answering import REQUEST_ID, answering, store_at
from tests.support.store_ground import BLOB, CONTENT, FINGERPRINT, blocks_of, checksums, ids_of, stage

type Ask = Callable[[Store], Awaitable[object]]

PAGE = b"<!DOCTYPE html><html><body>Welcome to the hotel. Please sign in.</body></html>"
OF_AZURE = {"x-ms-request-id": REQUEST_ID}

REQUESTS: Mapping[str, Ask] = {
    "ensure_container": lambda store: store.ensure_container(),
    "probe": lambda store: store.probe(),
    "look": lambda store: store.look(BLOB),
    "blocks": lambda store: store.blocks(BLOB),
    "put": lambda store: store.put(BLOB, CONTENT, checksums(CONTENT), FINGERPRINT, replace=None),
    "stage": lambda store: stage(store, CONTENT, blocks_of(CONTENT)),
    "commit": lambda store: store.commit(BLOB, ids_of(blocks_of(CONTENT)), checksums(CONTENT), FINGERPRINT, replace=None),
    "clear_blocks": lambda store: store.clear_blocks(BLOB),
    "delete": lambda store: store.delete(BLOB),
}


@pytest.mark.parametrize("ask", REQUESTS.values(), ids=REQUESTS.keys())
@pytest.mark.parametrize(
    ("status", "fields"),
    [
        ("200 OK", {"Content-Type": "text/html"}),
        ("302 Found", {"Location": "http://127.0.0.1:1/login"}),
        ("404 Not Found", {"Content-Type": "text/html"}),
        ("403 Forbidden", {"Content-Type": "text/html"}),
        ("511 Network Authentication Required", {"Content-Type": "text/html"}),
    ],
)
async def test_an_answer_that_is_not_azures_is_trouble_of_the_way(ask: Ask, status: str, fields: Mapping[str, str]) -> None:
    """No container is taken for ready, and no blob for missing, because a sign-in page says so."""
    async with answering(status, fields, PAGE) as portal, store_at(portal.endpoint) as store:
        with pytest.raises(NotAzure) as trouble:
            await ask(store)
    assert trouble.value.passing
    assert f"answered HTTP {status}, without x-ms-request-id" in str(trouble.value)


@pytest.mark.parametrize("ask", REQUESTS.values(), ids=REQUESTS.keys())
@pytest.mark.parametrize("body", [PAGE, b"<EnumerationResults", b"\xff\xfe", b"{}", b'<?xml version="1.0"?><a/>'])
async def test_an_answer_that_cannot_be_read_crashes_nothing(ask: Ask, body: bytes) -> None:
    async with answering("200 OK", OF_AZURE | {"Content-Type": "application/xml"}, body) as odd, store_at(odd.endpoint) as store:
        with suppress(StoreTrouble):  # nothing else; a body that a request has no use for troubles nobody
            await ask(store)


HELD = {"x-ms-content-crc64": base64.b64encode(wire(checksums(CONTENT).crc64)).decode()}
MADE = OF_AZURE | {"ETag": '"0x1"'}


@pytest.mark.parametrize(("fields", "proven"), [(MADE | HELD, True), (MADE, False), (OF_AZURE | HELD, False)])
async def test_the_answer_to_a_put_proves_the_blob_when_it_has_an_etag_and_the_checksum(fields: Mapping[str, str], proven: bool) -> None:
    async with answering("201 Created", fields) as service, store_at(service.endpoint) as store:
        written = await store.put(BLOB, CONTENT, checksums(CONTENT), FINGERPRINT, replace=None)
    assert written == Written(REQUEST_ID, proven)


async def test_a_service_that_answers_that_it_holds_other_bytes_is_not_believed_to_hold_ours() -> None:
    other = {"x-ms-content-crc64": base64.b64encode(wire(checksums(CONTENT).crc64 ^ 1)).decode()}
    async with answering("201 Created", MADE | other) as service, store_at(service.endpoint) as store:
        with pytest.raises(BytesRefused, match="it holds other bytes"):
            await store.put(BLOB, CONTENT, checksums(CONTENT), FINGERPRINT, replace=None)


async def test_an_error_names_the_cause_and_the_request() -> None:
    body = (
        b"\xef\xbb\xbf<?xml version='1.0' encoding='utf-8'?><Error><Code>AuthenticationFailed</Code><Message>Server failed to authenticate "
        b"the request. Make sure the value of Authorization header is formed correctly.\n"
        b"RequestId:11111111-2222-3333-4444-555555555555\nTime:2026-01-31T12:00:00.0000000Z</Message><AuthenticationErrorDetail>"
        b"Signature not valid in the specified time frame: Start [Thu, 01 Jan 2026] - Expiry [Fri, 30 Jan 2026] - Current [Sat, 31 Jan]"
        b"</AuthenticationErrorDetail></Error>"
    )
    fields = OF_AZURE | {"x-ms-error-code": "AuthenticationFailed", "Content-Type": "application/xml"}
    async with answering("403 Forbidden", fields, body) as azure, store_at(azure.endpoint) as store:
        with pytest.raises(StoreTrouble) as trouble:
            await store.probe()
    said = str(trouble.value)
    assert said.startswith("HTTP 403 AuthenticationFailed: Server failed to authenticate the request.")
    assert "Expiry [Fri, 30 Jan 2026]" in said
    assert said.count(REQUEST_ID) == 1
    assert said.endswith(f"(request id {REQUEST_ID})")


async def test_an_error_without_a_body_names_the_request_too() -> None:
    """As for a HEAD."""
    fields = OF_AZURE | {"x-ms-error-code": "AuthorizationPermissionMismatch"}
    async with answering("403 This request is not authorized", fields) as azure, store_at(azure.endpoint) as store:
        with pytest.raises(StoreTrouble, match=rf"HTTP 403 AuthorizationPermissionMismatch: .*\(request id {REQUEST_ID}\)"):
            await store.look(BLOB)
