"""The way to Azure: connections that wait for nothing for ever, hold little unsent, and use the proxy if there is one. Uploader process."""

import socket
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.client_proto import ResponseHandler
from azure.core.pipeline.transport import AioHttpTransport

#: Seconds to set up a connection.
_CONNECT_S = 20
#: A piece of a body that does not leave, or an answer that does not come, for this long ends the request, in seconds.
STALL_S = 60.0
#: Unsent bytes that the kernel holds for a connection. By default it takes in a whole block, and nobody sees that it does not move.
_SEND_BUFFER = 128 * 1024
#: Of these, bytes that are not even on their way yet: what the kernel has taken counts as sent.
_UNSENT = 32 * 1024


def followed(follow: Callable[[Callable[[], int]], None]) -> dict[str, Any]:
    """Options of a request with a body: `follow` is given a way to count the bytes of it that the kernel has taken."""
    tracker = aiohttp.UploadTracker()
    follow(lambda: tracker.bytes_written)
    return {"upload_tracker": tracker}


def streamed(body: AsyncIterator[bytes]) -> dict[str, Any]:
    """Options of a request whose body the SDK wants in one piece: it is given an empty one, and `body` is sent in its place."""
    return {"streamed_body": body}


class _Transport(AioHttpTransport):  # type: ignore[misc]
    async def send(self, request: Any, *, streamed_body: AsyncIterator[bytes] | None = None, **config: Any) -> Any:
        if streamed_body is not None:
            request.set_streamed_data_body(streamed_body)
        return await super().send(request, **config)


class _Connector(aiohttp.TCPConnector):
    """Its connections take no more while anything of what they took is still in this process: over TLS that would be 512 KiB each."""

    async def _create_connection(self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout) -> ResponseHandler:
        made = await super()._create_connection(req, traces, timeout)
        if made.transport is not None:
            made.transport.set_write_buffer_limits(high=1, low=0)
        return made


def transport_to(url: str) -> AioHttpTransport:
    """For requests to `url`, through the proxy that the environment names for it, if any. Needs a running event loop.

    The timeouts are its own: a client to which a transport is given ignores those that it is given itself.
    """
    there = urlsplit(url)
    session = aiohttp.ClientSession(
        connector=_Connector(limit=0, socket_factory=_limited),
        # Only where it is needed: to look for a proxy, and in ~/.netrc, in a thread for each request costs a third of the request.
        trust_env=there.scheme in getproxies() and not proxy_bypass(there.netloc),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )
    return _Transport(session=session, connection_timeout=_CONNECT_S, read_timeout=STALL_S)


def _limited(address: Any) -> socket.socket:
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
    # For bodies that are sent in one go, whose progress nobody watches; by default the kernel tries for a quarter of an hour.
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(STALL_S * 1000))
    return made
