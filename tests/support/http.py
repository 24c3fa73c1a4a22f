"""A plain HTTP client for one request at a time."""

import json
import socket
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import Any

PROBLEM = "application/problem+json"
NOTHING: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content_type: str
    body: bytes
    seconds: float

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def detail(self) -> str:
        """The words of an error. Fails unless it is a problem+json one that repeats its status (RFC 9457)."""
        assert self.content_type == PROBLEM, self
        problem = self.json()
        assert problem["status"] == self.status, problem
        assert isinstance(problem["title"], str), problem
        assert problem["title"], problem
        assert isinstance(problem["detail"], str), problem
        return str(problem["detail"])


def call(port: int, method: str, path: str, body: object = NOTHING, *, timeout: float = 10) -> Answer:
    """`body`: bytes go as they are, anything else as JSON. Raises OSError or HTTPException when nobody answers."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection = HTTPConnection("127.0.0.1", port, timeout=timeout)
    begin = time.monotonic()
    try:
        connection.request(method, path, raw or None, {"Content-Type": "application/json"} if raw else {})
        response = connection.getresponse()
        content = response.read()
        return Answer(response.status, response.headers.get_content_type(), content, time.monotonic() - begin)
    finally:
        connection.close()


def raw_call(port: int, request: bytes, *, timeout: float = 10) -> Answer:
    """Sends `request` as it is, which may be no request that a client library would send, and reads one answer."""
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.sendall(request)
        response = HTTPResponse(connection)
        response.begin()
        content = response.read()
        return Answer(response.status, response.headers.get_content_type(), content, time.monotonic() - begin)
