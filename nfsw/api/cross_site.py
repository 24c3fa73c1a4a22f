"""Refuses what a browser sends on behalf of a page of another site. Main process; pure ASGI.

The API has no passwords: whoever reaches its port may use it. A browser inside the network reaches it too, and sends what any page asks it
to send. Hence two rules. A request that changes something must come from a page of the service itself, or from no page at all. And every
request must call the service by a name that is its own: a page whose site's name is made to resolve to our address (DNS rebinding) would
otherwise count as ours.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address

from starlette.types import ASGIApp, Receive, Scope, Send

from nfsw.api.problems import problem

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_AUTHORITY = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>\d*))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


class CrossSite:
    """ASGI middleware. `hosts`: the names, besides addresses and `localhost`, under which the service may be called."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        self._names = frozenset({"localhost", *(host.lower().removesuffix(".") for host in hosts)})
        self._ours = lru_cache(128)(self._is_ours)  # a probe always names the same one

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = dict(scope["headers"])
        host: bytes | None = headers.get(b"host")  # None: HTTP/1.0, which no browser speaks
        if host is not None and not self._ours(host):
            refusal = problem(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"{host.decode('latin-1')!r} is not a name of this service; call it by its address, or add the name to APP_ALLOWED_HOSTS",
            )
        elif scope["method"] not in _SAFE and _from_another_origin(headers, host):
            refusal = problem(HTTPStatus.FORBIDDEN, "the request was sent by a web page of another origin")
        else:
            return await self._app(scope, receive, send)
        return await refusal(scope, receive, send)

    def _is_ours(self, host: bytes) -> bool:
        name, _ = _authority(host, "")
        return name in self._names or _is_address(name)


def _from_another_origin(headers: dict[bytes, bytes], host: bytes | None) -> bool:
    """Browsers add these headers, and no page can change them. `Sec-Fetch-Site` comes only with https and with `localhost`."""
    match headers.get(b"sec-fetch-site"):
        case b"same-origin":
            return False
        case None | b"none":
            origin = headers.get(b"origin")
            return origin is not None and (host is None or not _same(origin, host))
        case _:
            return True


def _same(origin: bytes, host: bytes) -> bool:
    """The scheme may differ: TLS ends in front of the service."""
    scheme, _, rest = origin.decode("latin-1").partition("://")
    there = _authority(rest.encode("latin-1"), scheme)
    return there[0] != "" and there == _authority(host, scheme)


def _authority(text: bytes, scheme: str) -> tuple[str, str]:
    """Name and port of `text`; an empty name when it is none. An IPv6 address keeps its brackets."""
    parts = _AUTHORITY.fullmatch(text.decode("latin-1").lower())
    if parts is None:
        return "", ""
    name = f"[{parts['v6']}]" if parts["v6"] is not None else parts["name"].removesuffix(".")
    return name, parts["port"] or _DEFAULT_PORTS.get(scheme, "")


def _is_address(name: str) -> bool:
    try:
        IPv6Address(name[1:-1]) if name.startswith("[") else IPv4Address(name)
    except ValueError:
        return False
    return True
