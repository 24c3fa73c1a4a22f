"""HTTP/1.1 as plain values: a request's head, an answer, and the exchange between them. Sink process."""

import http
import urllib.parse
from collections.abc import Buffer, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

type Finish = Callable[[Body], Response]


class BadRequest(Exception):
    """The head of a request cannot be understood."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str  # decoded
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    length: int | None  # None: chunked

    @property
    def expects_continue(self) -> bool:
        return self.headers.get("expect", "").lower() == "100-continue"

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"


@dataclass(frozen=True, slots=True)
class Body:
    """What is left of a request's body."""

    size: int
    content: bytes = b""  # empty unless the exchange keeps it
    checksum: bytes | None = None  # as the exchange takes it; None: it does not


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def encode(self, *, head_only: bool) -> bytes:
        """With HEAD the length is that of the thing asked about, which the headers say themselves."""
        lines = [f"HTTP/1.1 {self.status} {http.HTTPStatus(self.status).phrase}"]
        lines.extend(f"{name}: {value}" for name, value in self.headers.items())
        if "Content-Length" not in self.headers:
            lines.append(f"Content-Length: {len(self.body)}")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        return head if head_only else head + self.body


class CallDurations(Protocol):
    """Where the bytes of a body are counted while they arrive: also those of a request that breaks off."""

    def add(self, count: int) -> None: ...


class Checksum(Protocol):
    """Of a body while it arrives: hashlib's hashes are such."""

    def update(self, data: Buffer, /) -> None: ...
    def digest(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Exchange:
    """What is to be done with a body, and what makes an answer of it."""

    finish: Finish
    tally: CallDurations | None = None
    keep: bool = False
    checksum: Callable[[], Checksum] | None = None


class Api(Protocol):
    def begin(self, request: Request) -> Exchange: ...


def parse_head(head: bytes) -> Request:
    """`head` ends before the blank line."""
    first, *rest = head.decode("latin-1").split("\r\n")
    try:
        method, target, _version = first.split(" ")
        headers = {}
        for line in rest:
            name, colon, value = line.partition(":")
            if not colon:
                raise BadRequest(line)
            headers[name.strip().lower()] = value.strip()
        length = None if headers.get("transfer-encoding", "").lower() == "chunked" else int(headers.get("content-length", "0"))
    except ValueError as wrong:
        raise BadRequest(first) from wrong
    path, _mark, query = target.partition("?")
    pairs = (pair.partition("=") for pair in query.split("&"))
    return Request(
        method=method,
        path=urllib.parse.unquote(path),
        query={name: urllib.parse.unquote_plus(value) if "%" in value or "+" in value else value for name, _equals, value in pairs},
        headers=headers,
        length=length,
    )
