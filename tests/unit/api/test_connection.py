"""How long a connection may be kept without being used, in fake time: no socket, uvicorn and h11 are real."""

import asyncio
import logging
from typing import Any

import h11
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from nfsw.api.connection import PATIENCE_S, QUIET_S, BadRequests, Connection
from tests.support.faketime import FakeTimeLoop, clock, settled

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
BIG = 200_000


class Wire(asyncio.Transport):
    """A transport whose client reads all at once, or, once it is `stuck`, only what `read` says."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = Connection(
            BadRequests(), config=uvicorn.Config(_app, ws="none", log_config=None), server_state=ServerState(), app_state={}
        )
        self.stuck = False
        self.buffered = 0
        self.said = bytearray()
        self.closed_at: float | None = None
        self._closing = False
        self.connection.connection_made(self)

    def sends(self, data: bytes) -> None:
        self.connection.data_received(data)

    def read(self, size: int) -> None:
        self.buffered -= size
        if self.buffered < BIG // 4:
            self.connection.resume_writing()

    def write(self, data: Any) -> None:
        self.said += data
        if self.stuck:
            self.buffered += len(data)
            if self.buffered > BIG // 2:
                self.connection.pause_writing()

    def close(self) -> None:
        self._closing = True
        if not self.buffered:
            self.abort()

    def abort(self) -> None:
        self._closing = True
        if self.closed_at is None:
            self.closed_at = clock().passed
            asyncio.get_running_loop().call_soon(self.connection.connection_lost, None)

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def _app(scope: Any, receive: Any, send: Any) -> None:
    """Answers each path in its own way."""
    body = b"x" * BIG if scope["path"] == "/big" else b"ok"
    if scope["path"] == "/slow":
        await asyncio.sleep(10 * PATIENCE_S)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


async def after(seconds: float) -> None:
    await asyncio.sleep(seconds)


@pytest.mark.parametrize("sent", [b"", b"G", GET[:-2]], ids=repr)
async def test_a_request_that_does_not_come_to_its_end_is_waited_for_that_long_and_no_longer(sent: bytes) -> None:
    wire = Wire()
    if sent:
        wire.sends(sent)
    await after(2 * PATIENCE_S)
    assert wire.closed_at == pytest.approx(PATIENCE_S)


async def test_one_byte_at_a_time_buys_no_time() -> None:
    wire = Wire()
    wire.sends(GET[:-2] + b"X: ")
    while wire.closed_at is None:
        wire.sends(b"x")
        await after(1)
    assert wire.closed_at == pytest.approx(PATIENCE_S)


async def test_a_connection_that_is_used_is_kept_and_each_request_has_the_whole_time() -> None:
    wire = Wire()
    for _ in range(10):
        await after(PATIENCE_S / 4)
        wire.sends(GET)
        await settled()
    assert wire.closed_at is None
    assert wire.said.count(b"200 OK") == 10


async def test_an_answer_may_take_as_long_as_it_takes() -> None:
    wire = Wire()
    wire.sends(GET.replace(b"/ ", b"/slow "))
    await after(9.9 * PATIENCE_S)
    assert wire.closed_at is None
    await after(1 * PATIENCE_S)
    assert b"200 OK" in wire.said


async def test_half_of_a_second_request_is_not_waited_for_either() -> None:
    wire = Wire()
    await after(10)
    wire.sends(GET)
    await settled()
    wire.sends(b"G")
    await after(2 * PATIENCE_S)
    assert wire.closed_at == pytest.approx(10 + PATIENCE_S)


async def test_a_client_that_does_not_read_its_answer_is_cut_off() -> None:
    wire = Wire()
    wire.stuck = True
    wire.sends(GET.replace(b"/ ", b"/big "))
    await after(3 * PATIENCE_S)
    assert wire.closed_at == pytest.approx(PATIENCE_S)


async def test_one_that_reads_slowly_gets_all_of_it() -> None:
    wire = Wire()
    wire.stuck = True
    wire.sends(GET.replace(b"/ ", b"/big "))
    await settled()
    while wire.buffered > 0:
        assert wire.closed_at is None
        wire.read(min(wire.buffered, 10_000))
        await after(0.9 * PATIENCE_S)
    assert wire.said.count(b"x") == BIG


async def test_a_connection_that_waits_is_closed_before_one_that_is_answered_and_the_longest_one_first() -> None:
    answered, second, first = Wire(), Wire(), Wire()
    answered.sends(GET.replace(b"/ ", b"/slow "))
    await after(1)
    second.sends(GET)
    await settled()
    last = Wire()
    wires = sorted((answered, second, first, last), key=lambda wire: wire.connection.precedence)
    assert wires == [first, second, last, answered]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400 Bad Request"),  # no Host
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 80_000, b"431 Request Header Fields Too Large"),
        (b"\r\n", b"400 Bad Request"),
    ],
    ids=lambda sent: repr(sent[:40]),
)
async def test_what_is_not_http_is_a_problem_and_the_end_of_the_connection(sent: bytes, status: bytes) -> None:
    wire = Wire()
    wire.sends(sent)
    assert wire.said.startswith(b"HTTP/1.1 " + status)
    assert b"application/problem+json" in wire.said
    assert b'"detail":"the request is not valid HTTP: ' in wire.said
    assert wire.is_closing()


async def test_nonsense_in_the_midst_of_an_answer_ends_the_connection_and_nothing_else() -> None:
    wire = Wire()
    wire.stuck = True
    wire.sends(GET.replace(b"/ ", b"/big ").replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"))
    await settled()
    assert wire.connection.conn.our_state is h11.DONE
    wire.sends(b"nonsense\r\n")
    assert wire.is_closing()


async def test_three_hundred_bad_requests_are_two_lines_that_count_them(caplog: pytest.LogCaptureFixture) -> None:
    bad_requests = BadRequests()
    for number in range(300):
        bad_requests.note(f"10.0.0.{number % 200}")
        await after(0.1)
    await after(2 * QUIET_S)
    assert [record.getMessage() for record in caplog.records] == [
        "refused requests that are not valid HTTP: 1, the latest from 10.0.0.0",
        "refused requests that are not valid HTTP: 299, the latest from 10.0.0.99",
    ]
    bad_requests.note("10.0.0.7")
    assert caplog.records[-1].getMessage() == "refused requests that are not valid HTTP: 1, the latest from 10.0.0.7"


async def test_uvicorn_says_nothing_of_its_own_at_each_of_them(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "uvicorn.error"):
        Wire().sends(b"nonsense\r\n\r\n")
        Wire().sends(GET.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"))
        await settled()
    assert [record.name for record in caplog.records] == ["nfsw.http"]


#: What requests, good and bad ones, are made of.
PIECES = (
    b"GET / HTTP/1.1\r\n",
    b"GET /big HTTP/1.1\r\n",
    b"GET /slow HTTP/1.0\r\n",
    b"POST / HTTP/1.1\r\n",
    b"CONNECT evil.example:80 HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"Host: localhost\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    b"\r\n",
    b"hello",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"zz\r\n",
    b"\x16\x03\x01\x02\x00",
    b"x" * 70_000,
)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PIECES) | st.binary(min_size=1, max_size=20), max_size=25))
def test_no_bytes_of_a_client_are_an_error_of_the_service(pieces: list[bytes]) -> None:
    with asyncio.Runner(loop_factory=FakeTimeLoop) as runner:
        errors: list[dict[str, Any]] = []
        runner.get_loop().set_exception_handler(lambda _, context: errors.append(context))
        runner.run(_talk(pieces))
    assert errors == []


async def _talk(pieces: list[bytes]) -> None:
    wire = Wire()
    for piece in pieces:
        if wire.is_closing():
            break
        wire.sends(piece)
        await settled()
    await after(20 * PATIENCE_S)
    assert wire.is_closing()
