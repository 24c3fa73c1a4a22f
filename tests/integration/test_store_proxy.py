"""The way to Azure may lead through a proxy, which the environment names as for any other program."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nfsw.actors.azure_errors import StoreTrouble
from nfsw.actors.azure_store import Store
from tests.support.answering import REQUEST_ID, Answering, answering
from tests.support.azurite import Endpoint
from tests.support.store_ground import BLOB

ACCOUNT = "http://elsewhere.example:10000"


@pytest.fixture
async def proxy() -> AsyncIterator[Answering]:
    """Answers everything itself, as Azure does where there is nothing."""
    async with answering("404 Not Found", {"x-ms-request-id": REQUEST_ID, "x-ms-error-code": "BlobNotFound"}) as proxy:
        yield proxy


async def ask(account: str = ACCOUNT) -> None:
    connection = Endpoint(1, None).connection_string.replace("http://127.0.0.1:1", account)
    assert account in connection
    store = Store.connect(None, connection, "c")
    try:
        await store.look(BLOB)
    finally:
        await store.close()


async def test_requests_go_through_the_environments_proxy_with_its_password(proxy: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:p%40ss@127.0.0.1:{proxy.port}")
    await ask()
    [asked] = proxy.asked
    assert asked.startswith(f"HEAD {ACCOUNT}/devstoreaccount1/c/{BLOB} ")
    assert f"Proxy-Authorization: Basic {base64.b64encode(b'me:p@ss').decode()}\r\n" in asked
    assert "\r\nAuthorization: SharedKey " in asked


@pytest.mark.parametrize("exempt", ["elsewhere.example", ".example", "*"])
async def test_but_not_those_for_a_host_that_is_exempt(proxy: Answering, exempt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("no_proxy", exempt)
    with pytest.raises(StoreTrouble, match=r"elsewhere\.example"):  # a name that nobody has
        await ask()
    assert proxy.asked == []


async def test_a_password_in_netrc_is_none_of_its_business(proxy: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp would rather have it than the signature, and can have but one."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    await ask(f"http://127.0.0.1:{proxy.port}")
    assert "\r\nAuthorization: SharedKey " in proxy.asked[0]
