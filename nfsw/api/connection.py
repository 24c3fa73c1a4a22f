"""One client's connection: uvicorn's HTTP/1.1 protocol, closed when the client does not use it for some time. Main process.

uvicorn waits for ever for a request that does not come and for a reader that does not read. Each such connection holds a file
descriptor of a process that must be able to start another actor.
"""

import asyncio
import logging
import sys
from http import HTTPStatus
from typing import Any, cast, override

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from nfsw.api.encoding import to_json
from nfsw.api.problems import MEDIA_TYPE, Problem

log = logging.getLogger("nfsw.http")

#: Seconds for a whole request to arrive, counted from the last answer, and for a client to read something of an answer.
PATIENCE_S = 15.0
#: Seconds between two log lines about requests that are not HTTP.
QUIET_S = 60.0

# uvicorn warns at every request that is not HTTP and at every upgrade: as many lines as a stranger likes. Its errors are ours to mend.
_UVICORN = logging.getLogger("uvicorn.error.connection")
_UVICORN.setLevel(logging.ERROR)


class BadRequests:
    """Counts requests that are not HTTP. The first is a log line; those that follow it are one line a minute."""

    def __init__(self) -> None:
        self._count = 0
        self._client = ""
        self._timer: asyncio.TimerHandle | None = None

    def note(self, client: str) -> None:
        self._count += 1
        self._client = client
        if self._timer is None:
            self._log()

    def _log(self) -> None:
        self._timer = None
        if self._count:
            log.warning("refused requests that are not valid HTTP: %d, the latest from %s", self._count, self._client)
            self._count = 0
            self._timer = asyncio.get_running_loop().call_later(QUIET_S, self._log)


class Connection(H11Protocol):
    def __init__(self, bad_requests: BadRequests, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self.logger = _UVICORN
        self._bad_requests = bad_requests
        self._deadline: asyncio.TimerHandle | None = None
        self._unread = 0  # bytes of an answer that the client had not read when the deadline was set
        self._waiting_since = self.loop.time()

    @property
    def idle(self) -> bool:
        """Whether no request is being answered."""
        cycle = cast("RequestResponseCycle | None", self.cycle)  # uvicorn's own type leaves out the None of the time before a request
        return cycle is None or cycle.response_complete

    @property
    def precedence(self) -> tuple[bool, float]:
        """Which connection goes first when there are too many: idle ones before the others, and the longest idle before all."""
        return not self.idle, self._waiting_since

    def abort(self) -> None:
        """Closes the connection at once, whatever is left to be sent."""
        self.transport.abort()

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._watch()

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._waiting_since = self.loop.time()
        self._watch()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        self._watch()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline:
            self._deadline.cancel()
        super().connection_lost(exc)

    @override
    def send_400_response(self, msg: str) -> None:
        """Called while the error that says what is wrong with the request is being handled."""
        self._bad_requests.note(self.client[0] if self.client else "an unknown address")
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:  # in the midst of an answer
            self.transport.close()
            return
        error = sys.exception()
        too_long = isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if too_long else HTTPStatus.BAD_REQUEST
        body = to_json(Problem("about:blank", status.phrase, status, f"the request is not valid HTTP: {error}"))
        headers = [("content-type", MEDIA_TYPE), ("content-length", str(len(body))), ("connection", "close")]
        for event in (h11.Response(status_code=status, headers=headers, reason=status.phrase), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _watch(self) -> None:
        """Sets the deadline when the connection begins to wait for its client, and takes it back when that has done its part."""
        waits = self.idle or self.flow.write_paused
        if waits and self._deadline is None:
            self._unread = self.transport.get_write_buffer_size()
            self._deadline = self.loop.call_later(PATIENCE_S, self._check)
        elif not waits and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _check(self) -> None:
        """A client that has read something since may go on reading."""
        self._deadline = None
        if 0 < self.transport.get_write_buffer_size() != self._unread:
            self._watch()
        else:
            self.abort()
