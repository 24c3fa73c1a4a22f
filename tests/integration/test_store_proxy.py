"""The way to Azure may lead through a proxy, which the environment names as for any other program."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nfsw.actors.azure_store import Store, StoreTrouble
from tests.support.azurite import Endpoint
from tests.support.store_ground import BLOB

ACCOUNT = "http://elsewhere.example:10000"


class Proxy:
    """Answers everything itself, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.port = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    proxy = Proxy()
    server = await asyncio.start_server(proxy.answer, "127.0.0.1")
    proxy.port = server.sockets[0].getsockname()[1]
    yield proxy
    server.close()


async def ask(account: str = ACCOUNT) -> None:
    connection = Endpoint(1, None).connection_string.replace("http://127.0.0.1:1", account)
    assert account in connection
    store = Store.connect(None, connection, "c")
    try:
        await store.look(BLOB)
    finally:
        await store.close()


async def test_requests_go_through_the_proxy_of_the_environment_with_its_password(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:p%40ss@127.0.0.1:{proxy.port}")
    await ask()
    [asked] = proxy.asked
    assert asked.startswith(f"HEAD {ACCOUNT}/devstoreaccount1/c/{BLOB} ")
    assert f"Proxy-Authorization: Basic {base64.b64encode(b'me:p@ss').decode()}\r\n" in asked
    assert "\r\nAuthorization: SharedKey " in asked


@pytest.mark.parametrize("exempt", ["elsewhere.example", ".example", "*"])
async def test_but_not_those_for_a_host_that_is_exempt(proxy: Proxy, exempt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("no_proxy", exempt)
    with pytest.raises(StoreTrouble, match=r"elsewhere\.example"):  # a name that nobody has
        await ask()
    assert proxy.asked == []


async def test_a_password_in_netrc_is_none_of_its_business(proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp would rather have it than the signature, and can have but one."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    await ask(f"http://127.0.0.1:{proxy.port}")
    assert "\r\nAuthorization: SharedKey " in proxy.asked[0]
