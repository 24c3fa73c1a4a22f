"""As much of HTTP/1.1 as a relay needs: heads are read and passed on as they came, bodies by their length or their chunks."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

PIECE = 64 * 1024
HEAD_LIMIT = 64 * 1024

#: Answers to these methods and statuses have no body, whatever their head says.
_BODILESS_STATUS = frozenset({204, 304})


class Hungup(Exception):
    """The other side closed its connection between two messages, or in the middle of one."""


@dataclass(frozen=True, slots=True)
class Head:
    raw: bytes
    first: str
    fields: Mapping[str, str]  # names in lower case

    @property
    def length(self) -> int:
        return int(self.fields.get("content-length", 0))

    @property
    def chunked(self) -> bool:
        return self.fields.get("transfer-encoding", "").lower() == "chunked"

    @property
    def status(self) -> int:
        """Of an answer."""
        return int(self.first.split()[1])

    @property
    def method(self) -> str:
        """Of a request."""
        return self.first.split()[0]

    @property
    def target(self) -> tuple[str, dict[str, str]]:
        """Of a request: the decoded path, and the query."""
        url = urlsplit(self.first.split()[1])
        return unquote(url.path), {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}

    def rewritten(self, fields: Mapping[str, str | None]) -> "Head":
        """With these fields in place of those of their names; None: without."""
        changed = {name.lower() for name in fields}
        first, *lines = self.raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        kept = [line for line in lines if line.partition(":")[0].lower() not in changed]
        added = {name: value for name, value in fields.items() if value is not None}
        raw = "\r\n".join([first, *kept, *(f"{name}: {value}" for name, value in added.items()), "", ""]).encode("latin-1")
        others = {name: value for name, value in self.fields.items() if name not in changed}
        return Head(raw, first, others | {name.lower(): value for name, value in added.items()})


async def read_head(reader: asyncio.StreamReader) -> Head:
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, OSError) as error:
        raise Hungup from error
    first, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return Head(raw, first, {name.lower(): value.strip() for name, _, value in pairs})


async def body_of(head: Head, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The body as it is on the wire, chunk marks and all."""
    if not head.chunked:
        async for piece in _exactly(head.length, reader):
            yield piece
        return
    size = -1
    while size:
        mark = await _line(reader)
        size = int(mark.split(b";")[0], 16)
        yield mark
        async for piece in _exactly(size, reader):
            yield piece
        yield await _line(reader)


def has_body(method: str, answer: Head) -> bool:
    return method != "HEAD" and answer.status not in _BODILESS_STATUS


async def _exactly(size: int, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size:
        piece = await reader.read(min(size, PIECE))
        if not piece:
            raise Hungup
        size -= len(piece)
        yield piece


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n")
    except asyncio.IncompleteReadError as error:
        raise Hungup from error
