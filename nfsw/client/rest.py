"""The REST API from the outside, for the commands `start`, `stop` and `status`. Standard library only: a client starts at once."""

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address
from urllib.parse import urlsplit

from nfsw.client.decoding import Undecodable, decode
from nfsw.client.words import safe
from nfsw.supervisor.status import Status

#: Seconds for an answer that the service has at hand.
AT_HAND = 10
#: Seconds for one that needs NFS; the service itself gives up sooner and says so.
NEEDS_NFS = 90


class ClientError(Exception):
    """The service said no, or cannot be asked. The message is one line for people."""


class Client:
    def __init__(self, url: str) -> None:
        """`url` is one that `checked_url` returned."""
        self._url = url

    def start(self, session: str | None) -> Status:
        return self._as_status(self._call("POST", "/v1/watch/start", NEEDS_NFS, {"session": session}))

    def stop(self) -> Status:
        return self._as_status(self._call("POST", "/v1/watch/stop", NEEDS_NFS))

    def abandon(self, session: str, file: str, date: str | None) -> Status:
        return self._as_status(self._call("POST", "/v1/watch/abandon", NEEDS_NFS, {"session": session, "file": file, "date": date}))

    def status(self) -> Status:
        return self._as_status(self.status_json())

    def status_json(self) -> object:
        """As the service sent it, fields of a later version included."""
        return self._call("GET", "/v1/watch/status", AT_HAND)

    def _as_status(self, answer: object) -> Status:
        try:
            return decode(Status, answer)
        except Undecodable as error:
            raise ClientError(f"unexpected response from {self._url} (another version of nfsw?): {error}") from None

    def _call(self, method: str, path: str, timeout: float, body: object = None) -> object:
        parts = urlsplit(self._url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.netloc.rpartition("@")[2], timeout=timeout)
        try:
            headers = {"Accept": "application/json, application/problem+json"}
            content = None
            if body is not None:
                headers["Content-Type"], content = "application/json", json.dumps(body)
            connection.request(method, parts.path + path, content, headers)
            response = connection.getresponse()
            status, answer = response.status, response.read()
        except TimeoutError:
            raise ClientError(f"{self._url} did not answer within {timeout:g} s") from None
        except (OSError, HTTPException) as error:
            raise ClientError(f"cannot reach {self._url}: {_reason(error)}") from None
        finally:
            connection.close()
        try:
            said = json.loads(answer)
        except ValueError:
            said = None
        if status >= 400 and isinstance(said, dict) and isinstance(said.get("detail"), str):
            raise ClientError(safe(said["detail"]))
        if status >= 400 or said is None:
            raise ClientError(f"unexpected response from {self._url}: status {status}, not JSON (is this nfsw?)")
        return said


def checked_url(url: str) -> str:
    """`url` without a slash at its end. Raises ValueError: one line for people."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and not parts.query and not parts.fragment
        url.encode("ascii")
    except ValueError:
        good = False
    if not good or not url.isprintable() or " " in url:
        raise ValueError(f"{safe(url)!r} is not a URL such as http://127.0.0.1:8000")
    return url.rstrip("/")


def default_url(environment: Mapping[str, str]) -> str:
    """Where a service with this environment listens: inside its pod, that is the service itself. Raises ValueError: one line for people."""
    port = environment.get("APP_PORT", "").strip() or "8000"
    if not (port.isascii() and port.isdigit()) or not 0 < int(port) <= 65_535:
        raise ValueError(f"APP_PORT is {safe(port)!r}, which is not the port of a service that runs; use --url")
    host = environment.get("APP_HOST", "").strip() or "0.0.0.0"  # noqa: S104 - the service's default
    try:
        address = ip_address(host)
    except ValueError:
        return checked_url(f"http://{host}:{port}")
    if address.is_unspecified:  # all addresses, the loopback one among them
        address = ip_address("127.0.0.1") if address.version == 4 else ip_address("::1")
    return f"http://[{address}]:{port}" if address.version == 6 else f"http://{address}:{port}"


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return safe(text or type(error).__name__)
