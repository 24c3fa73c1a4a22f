"""Azure: the name, the way there, credentials, the container, and a blob that is written, read back and deleted. A child of the doctor."""

import asyncio
import hashlib
import os
import socket
import urllib.request
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from nfsw.actors.azure_errors import StoreTrouble
from nfsw.actors.azure_store import Store, crc64_note
from nfsw.actors.crc64 import crc64
from nfsw.actors.files import Fingerprint
from nfsw.actors.manifest import Block, Checksums
from nfsw.doctor.check import Check, Problem, Severity
from nfsw.settings import Settings

#: A managed identity may take its time, and several kinds of credentials are tried in turn, in seconds.
_TOKEN_S = 60.0
_ROLE = "give the identity the role Storage Blob Data Contributor on the account or the container"
_KEY = "replace APP_AZURE_CONNECTION_STRING; a SAS needs the permissions rcwdl and must not have expired; the node's clock must be right"
_LET_IN = "allow the node's address in the account's firewall"


def checks(chosen: Settings, limit_s: float) -> Generator[Check]:
    with asyncio.Runner() as runner:
        azure = AzureChecks(chosen)

        def check(name: str, call: Callable[[], Coroutine[Any, Any, str]], *, needed: bool = False, limit_s: float | None = None) -> Check:
            return Check(f"Azure {name}", lambda: runner.run(call()), needed, limit_s)

        try:
            yield check("settings", azure.settings, needed=True)
            yield check("name", azure.name, needed=True)
            yield check("connection", azure.connection, needed=True)
            yield check("credentials", azure.credentials, needed=True, limit_s=max(limit_s, _TOKEN_S))
            yield check("container", azure.container, needed=True)
            yield check("write", azure.write, needed=True)
            yield check("blocks", azure.blocks)
            yield check("read back", azure.read_back)
            yield check("delete", azure.delete)
        finally:
            runner.run(azure.close())


class AzureChecks:
    """The checks, in their order: one finds what the one before it has left."""

    def __init__(self, chosen: Settings) -> None:
        self._settings = chosen
        self._connected: Store | None = None
        self._blob = f"nfsw-doctor/{uuid4().hex}"
        self._data = os.urandom(4096)
        self._checksums = Checksums(crc64(self._data))
        self._fingerprint = Fingerprint(len(self._data), 0, 0, 0)

    async def settings(self) -> str:
        given = self._settings
        try:
            self._connected = Store.connect(given.azure_account_url, given.connection_string, given.azure_container)
        except ValueError as error:
            description = f"APP_AZURE_CONNECTION_STRING is not a valid connection string: {error}"
            raise Problem(description, "copy it again from the account's access keys") from error
        return f"{self._store.url}, container {given.azure_container}"

    async def name(self) -> str:
        host, port = self._peer()
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise Problem(f"{host}: {error.strerror}", "check the name, and the pod's DNS (dnsPolicy, CoreDNS)") from error
        return f"{host} resolves to {found[0][4][0]}"

    async def connection(self) -> str:
        host, port = self._peer()
        try:
            socket.create_connection((host, port)).close()
        except OSError as error:
            remedy = "allow the pod's outgoing connections: check firewall, NetworkPolicy, private endpoint, HTTPS_PROXY"
            raise Problem(f"{host} port {port}: {error.strerror or error}", remedy) from error
        return f"connected to {host} port {port}"

    async def credentials(self) -> str:
        with self._explained("cannot get a token"):
            has_token = await self._store.authenticate()
        return "got a token" if has_token else "from the connection string, sent with each request"

    async def container(self) -> str:
        name = self._settings.azure_container
        with self._explained("cannot reach the container"):
            try:
                await self._store.probe()
            except StoreTrouble as trouble:
                if trouble.status != 404:
                    raise
                await self._store.ensure_container()
                return f"{name} did not exist and was created"
        return f"{name} exists"

    async def write(self) -> str:
        with self._explained("cannot write a blob"):
            await self._store.put(self._blob, self._data, self._checksums, self._fingerprint, replace=None, md5=await self._md5())
        return f"{self._blob}, {len(self._data)} bytes"

    async def blocks(self) -> str:
        """As for files that are larger than one request."""
        block = Block(0, 0, len(self._data), self._checksums.crc64)

        async def body() -> AsyncIterator[bytes]:
            yield self._data

        with self._explained("cannot write a blob in blocks"):
            await self._store.stage(self._blob, block.id, block, body(), await self._md5())
            if await self._store.blocks(self._blob) != {block.id: block.length}:
                raise StoreTrouble("the block that was sent is not among the blocks")
            replaced = await self._store.look(self._blob)
            await self._store.commit(self._blob, [block.id], self._checksums, self._fingerprint, replace=replaced)
        return f"sent in blocks, whose {'CRC64' if await self._store.takes_crc64() else 'MD5'} Azure checked"

    async def read_back(self) -> str:
        with self._explained("cannot read the blob back"):
            found, data = await self._store.look(self._blob), await self._store.read(self._blob)
        if found is None or found.crc64 != crc64_note(self._checksums) or data != self._data:
            raise Problem("the blob differs from what was written", "look for a proxy that changes what it passes on")
        return "size, CRC64 and content match"

    async def delete(self) -> str:
        try:
            await self._store.delete(self._blob)
        except StoreTrouble as trouble:
            remedy = f"delete {self._blob} by hand; nfsw needs that right only to clear what others have left under a name"
            raise Problem(f"cannot delete the blob: {trouble}", remedy, Severity.WARN) from trouble
        return "the test blob is deleted"

    async def close(self) -> None:
        if self._connected:
            await self._connected.close()

    @property
    def _store(self) -> Store:
        assert self._connected is not None
        return self._connected

    async def _md5(self) -> bytes | None:
        """For a service that does not take a CRC64."""
        return None if await self._store.takes_crc64() else hashlib.md5(self._data, usedforsecurity=False).digest()

    def _peer(self) -> tuple[str, int]:
        """Host and port that the pod itself has to reach: Azure's, or those of the proxy."""
        azure = urlsplit(self._store.url)
        proxy = None if urllib.request.proxy_bypass(str(azure.hostname)) else urllib.request.getproxies().get(azure.scheme)
        peer = urlsplit(proxy) if proxy else azure
        return str(peer.hostname), peer.port or (443 if peer.scheme == "https" else 80)

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """`what`: what an error of Azure in here means."""
        try:
            yield
        except StoreTrouble as trouble:
            raise Problem(f"{what}: {trouble}", _remedy(trouble, signed=self._settings.connection_string is not None)) from trouble


def _remedy(trouble: StoreTrouble, *, signed: bool) -> str:
    """`signed`: by a connection string."""
    match trouble.status:
        case 401 | 403:
            return f"{_KEY if signed else _ROLE}; {_LET_IN}"
        case 404:
            return "check the account's name"
        case None if signed:
            return "check the network: firewall, proxy, route"
        case None:
            return "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or give the node an identity; check the network"
        case _:
            return "check the account in the portal, and Azure's status page"
