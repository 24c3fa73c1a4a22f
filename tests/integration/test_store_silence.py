"""Nothing waits for ever for a service, or a way to it, that keeps its connections open and does nothing."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from nfsw.actors import azure_transport
from nfsw.actors.azure_errors import StoreTrouble
from nfsw.actors.azure_store import Store
from tests.support.azurite import Endpoint
from tests.support.content import MIB
from tests.support.store_ground import BLOB, FINGERPRINT, checksums


def put(size: int) -> Callable[[Store], Awaitable[object]]:
    body = bytes(size)
    return lambda store: store.put(BLOB, body, checksums(body), FINGERPRINT, replace=None)


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda store: store.look(BLOB), id="a question that nobody answers"),
        pytest.param(put(1), id="a body that nobody answers"),
        pytest.param(put(MIB), id="a body that does not leave"),  # it is more than the kernel takes in
    ],
)
async def test_a_request_on_which_nothing_moves_fails(ask: Callable[[Store], Awaitable[object]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azure_transport, "STALL_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # the kernel takes connections; nobody reads from them
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        store = Store.connect(None, Endpoint(deaf.getsockname()[1], None).connection_string, "c")
        try:
            async with asyncio.timeout(30):
                with pytest.raises(StoreTrouble, match="no answer"):
                    await ask(store)
        finally:
            await store.close()
