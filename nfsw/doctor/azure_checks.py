"""Azure: the name, the way there, credentials, the container, and a blob that is written, read back and deleted. A child of the doctor."""

import asyncio
import hashlib
import os
import socket
import urllib.request
from collections.abc import AsyncIterator, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import SplitResult, urlsplit
from uuid import uuid4

from nfsw.actors.azure_errors import StoreTrouble
from nfsw.actors.azure_store import Store, crc64_note
from nfsw.actors.crc64 import crc64
from nfsw.actors.files import Fingerprint
from nfsw.actors.manifest import Block, Checksums
from nfsw.doctor.finding import Check, Verdict, Wrong
from nfsw.doctor.plan import Plan

#: A managed identity may take its time, and several kinds of credentials are tried in turn, in seconds.
_TOKEN_S = 60.0
_ROLE = "give the identity the role Storage Blob Data Contributor on the account or the container"
_KEY = "replace APP_AZURE_CONNECTION_STRING; a SAS needs the permissions rcwdl and must not have expired; the node's clock must be right"
_LET_IN = "allow the node's address in the account's firewall"


def checks(plan: Plan) -> Generator[Check]:
    with asyncio.Runner() as runner:
        account = Account(plan, runner)
        try:
            yield Check("Azure settings", account.settings, needed=True)
            yield Check("Azure name", account.name, needed=True)
            yield Check("Azure connection", account.connection, needed=True)
            yield Check("Azure credentials", account.credentials, needed=True, limit_s=max(plan.limit_s, _TOKEN_S))
            yield Check("Azure container", account.container, needed=True)
            yield Check("Azure write", account.write, needed=True)
            yield Check("Azure blocks", account.blocks)
            yield Check("Azure read back", account.read_back)
            yield Check("Azure delete", account.delete)
        finally:
            account.close()


class Account:
    """The checks, in their order: one finds what the one before it has left."""

    def __init__(self, plan: Plan, runner: asyncio.Runner) -> None:
        self._plan = plan
        self._runner = runner
        self._connected: Store | None = None
        self._blob = f"nfsw-doctor/{uuid4().hex}"
        self._data = os.urandom(4096)
        self._whole = Checksums(crc64(self._data))
        self._fingerprint = Fingerprint(len(self._data), 0, 0, 0)

    def settings(self) -> str:
        async def connect() -> Store:
            return Store.connect(self._plan.account_url, self._plan.connection_string, self._plan.container)

        try:
            self._connected = self._runner.run(connect())
        except ValueError as error:
            raise Wrong(
                f"APP_AZURE_CONNECTION_STRING is not a valid connection string: {error}", "copy it again from the account's access keys"
            ) from error
        return f"{self._store.url}, container {self._plan.container}"

    def name(self) -> str:
        host, port = self._peer()
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise Wrong(f"{host}: {error.strerror}", "check the name, and the pod's DNS (dnsPolicy, CoreDNS)") from error
        return f"{host} resolves to {found[0][4][0]}"

    def connection(self) -> str:
        host, port = self._peer()
        try:
            socket.create_connection((host, port)).close()
        except OSError as error:
            said = f"{host} port {port}: {error.strerror or error}"
            raise Wrong(
                said, "allow the pod's outgoing connections: check firewall, NetworkPolicy, private endpoint, HTTPS_PROXY"
            ) from error
        return f"connected to {host} port {port}"

    def credentials(self) -> str:
        with self._told("cannot get a token"):
            has_token = self._run(self._store.authenticate())
        return "got a token" if has_token else "from the connection string, sent with each request"

    def container(self) -> str:
        with self._told("cannot reach the container"):
            try:
                self._run(self._store.probe())
            except StoreTrouble as trouble:
                if trouble.status != 404:
                    raise
                self._run(self._store.ensure_container())
                return f"{self._plan.container} did not exist and was created"
        return f"{self._plan.container} exists"

    def write(self) -> str:
        with self._told("cannot write a blob"):
            self._run(self._put())
        return f"{self._blob}, {len(self._data)} bytes"

    def blocks(self) -> str:
        """As for files that are larger than one request."""
        block = Block(0, 0, len(self._data), self._whole.crc64)

        async def body() -> AsyncIterator[bytes]:
            yield self._data

        async def send() -> None:
            await self._store.stage(self._blob, block.id, block, body(), await self._md5())
            if await self._store.blocks(self._blob) != {block.id: block.length}:
                raise StoreTrouble("the block that was sent is not among the blocks")
            await self._store.commit(self._blob, [block.id], self._whole, self._fingerprint, replace=await self._store.look(self._blob))

        with self._told("cannot write a blob in blocks"):
            self._run(send())
        return f"sent in blocks, whose {'CRC64' if self._run(self._store.takes_crc64()) else 'MD5'} Azure checked"

    async def _put(self) -> None:
        await self._store.put(self._blob, self._data, self._whole, self._fingerprint, replace=None, md5=await self._md5())

    async def _md5(self) -> bytes | None:
        """For a service that does not take a CRC64."""
        return None if await self._store.takes_crc64() else hashlib.md5(self._data, usedforsecurity=False).digest()

    def read_back(self) -> str:
        with self._told("cannot read the blob back"):
            there, data = self._run(self._store.look(self._blob)), self._run(self._store.read(self._blob))
        if there is None or there.crc64 != crc64_note(self._whole) or data != self._data:
            raise Wrong("the blob differs from what was written", "look for a proxy that changes what it passes on")
        return "size, CRC64 and content match"

    def delete(self) -> str:
        try:
            self._run(self._store.delete(self._blob))
        except StoreTrouble as trouble:
            needed = "nfsw needs that right only to clear what others have left under a name"
            raise Wrong(f"cannot delete the blob: {trouble}", f"delete {self._blob} by hand; {needed}", Verdict.WARN) from trouble
        return "the test blob is deleted"

    def close(self) -> None:
        if self._connected:
            self._runner.run(self._connected.close())

    @property
    def _store(self) -> Store:
        assert self._connected is not None
        return self._connected

    def _peer(self) -> tuple[str, int]:
        """Host and port that the pod itself has to reach: Azure's, or those of the proxy."""
        azure = urlsplit(self._store.url)
        proxy = None if urllib.request.proxy_bypass(str(azure.hostname)) else urllib.request.getproxies().get(azure.scheme)
        peer = urlsplit(proxy) if proxy else azure
        return str(peer.hostname), peer.port or _port_of(peer)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """`what`: what trouble in here means."""
        try:
            yield
        except StoreTrouble as trouble:
            raise Wrong(f"{what}: {trouble}", _remedy(trouble, signed=self._plan.connection_string is not None)) from trouble

    def _run[T](self, request: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(request)


def _port_of(url: SplitResult) -> int:
    return 443 if url.scheme == "https" else 80


def _remedy(trouble: StoreTrouble, *, signed: bool) -> str:
    """`signed`: by a connection string."""
    match trouble.status:
        case 401 | 403 if signed:
            return f"{_KEY}; {_LET_IN}"
        case 401 | 403:
            return f"{_ROLE}; {_LET_IN}"
        case 404:
            return "check the account's name"
        case None if signed:
            return "check the network: firewall, proxy, route"
        case None:
            return "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or give the node an identity; check the network"
        case _:
            return "check the account in the portal, and Azure's status page"
