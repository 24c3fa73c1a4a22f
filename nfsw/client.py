"""The client of a running service: the calls of its REST API, and its status as text. It imports little, so that it starts at once."""

import json
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import msgspec

from nfsw.actors.names import printable
from nfsw.actors.stability import Rule
from nfsw.supervisor.actor_state import ActorState
from nfsw.supervisor.status import ActorStatus, Disk, FileCounts, InFlight, Kept, SessionState, Status
from nfsw.units import percent, rate, size, span

#: Seconds for an answer that the service has at hand.
AT_HAND_S = 10
#: Seconds for one that needs NFS; the service itself gives up sooner and says so.
NEEDS_NFS_S = 90
#: Refused files that `report` lists: more would push the rest off the screen, and `--json` has all.
REFUSED_LISTED = 20

_RULES = {Rule.LEASE: "nobody has them open for writing", Rule.TIME: "they have been quiet for long enough, open or not"}


class ClientError(Exception):
    """The service refused, or cannot be asked. The message is one printable line."""


class Client:
    def __init__(self, url: str) -> None:
        """`url` is one that `checked_url` returned."""
        self._url = url

    def start(self, session: str | None) -> Status:
        return self._status(self._call("POST", "/v1/watch/start", NEEDS_NFS_S, {"session": session}))

    def stop(self) -> Status:
        return self._status(self._call("POST", "/v1/watch/stop", NEEDS_NFS_S))

    def abandon(self, session: str, file: str, date: str | None) -> Status:
        return self._status(self._call("POST", "/v1/watch/abandon", NEEDS_NFS_S, {"session": session, "file": file, "date": date}))

    def status(self) -> Status:
        return self._status(self._call("GET", "/v1/watch/status", AT_HAND_S))

    def status_json(self, indent: int | None = None) -> str:
        """As the service sent it, with fields of a later version, in ASCII: JSON's escapes keep what is in a name from the terminal."""
        return json.dumps(self._decode(self._call("GET", "/v1/watch/status", AT_HAND_S), Any), indent=indent)

    def _status(self, answer: bytes) -> Status:
        status: Status = self._decode(answer, Status)
        return status

    def _decode(self, answer: bytes, kind: Any) -> Any:
        try:
            return msgspec.json.decode(answer, type=kind)
        except msgspec.DecodeError as error:
            raise ClientError(f"unexpected response from {self._url} (another version of nfsw?): {safe(str(error))}") from None

    def _call(self, method: str, path: str, timeout: float, body: object = None) -> bytes:
        parts = urlsplit(self._url)
        connection = (HTTPSConnection if parts.scheme == "https" else HTTPConnection)(parts.netloc.rpartition("@")[2], timeout=timeout)
        headers = {"Accept": "application/json, application/problem+json", "Content-Type": "application/json"}
        try:
            connection.request(method, parts.path + path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            status, answer = response.status, response.read()
        except TimeoutError:
            raise ClientError(f"{self._url} did not answer within {timeout:g} s") from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ClientError(f"cannot reach {self._url}: {safe(reason)}") from None
        finally:
            connection.close()
        if status < 400:
            return answer
        try:
            problem = msgspec.json.decode(answer, type=_Problem)
        except msgspec.DecodeError:
            raise ClientError(f"unexpected response from {self._url}: status {status} (is this nfsw?)") from None
        raise ClientError(safe(problem.detail))


class _Problem(msgspec.Struct):
    """What a client needs of `application/problem+json`."""

    detail: str


def checked_url(url: str) -> str:
    """`url` without a slash at its end. Raises ValueError: one line for people."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and not parts.query and not parts.fragment
    except ValueError:
        good = False
    if not good or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"{safe(url)!r} is not a URL such as http://127.0.0.1:8000")
    return url.rstrip("/")


def default_url(environment: Mapping[str, str]) -> str:
    """Where a service with this environment listens: inside its pod, that is the service itself. Raises ValueError: one line for people."""
    port = environment.get("APP_PORT", "").strip() or "8000"
    if not (port.isascii() and port.isdigit()) or not 0 < int(port) <= 65_535:
        raise ValueError(f"APP_PORT is {safe(port)!r}, which is not a port that a service can be reached at; use --url")
    host = environment.get("APP_HOST", "").strip() or "0.0.0.0"  # noqa: S104 - the service's default
    try:
        address = ip_address(host)
    except ValueError:
        return checked_url(f"http://{host}:{port}")
    if address.is_unspecified:  # all addresses, the loopback one among them
        address = ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://[{address}]:{port}" if address.version == 6 else f"http://{address}:{port}"


# --- The status as text ---


def report(status: Status) -> Iterator[str]:
    """What `nfsw status` prints, line by line."""
    sent = status.bytes
    yield f"health    {health_line(status)}"
    yield f"session   {_session(status)}"
    yield f"uploads   {status.uploads}"
    yield f"files     {counts(status.files)}"
    yield f"bytes     {size(sent.completed)} completed, {size(sent.sent)} sent, of which {size(sent.resent)} for the second time"
    yield f"backlog   {backlog_line(status)}"
    yield f"export    {disk_line(status.disks.export)}"
    yield f"staging   {size(sent.staged)} of {size(sent.staging_limit)}; its disk: {disk_line(status.disks.staging)}"
    if status.kept.files:
        yield f"kept      {kept(status.kept)}"
    if stability := status.stability:
        yield f"taken     when {_RULES[stability.rule]}: {safe(stability.reason)}"
    for reason in status.waiting_for:
        yield f"waiting   {safe(reason)}"
    if status.in_flight:
        yield ""
        yield "in flight"
        for file in status.in_flight:
            done, speed, left = progress(file)
            yield f"  {file_state(file):<9}  {done:>16}  {speed:>12}  {left:>15}  {safe(file.file)}"
            if file.error is not None:
                yield f"             {last_error(file)}"
        if more := unlisted(status):
            yield f"  and {more} more"
    if status.refused:
        yield ""
        yield "refused"
        listed = status.refused[:REFUSED_LISTED]
        for refused in listed:
            yield f"  {safe(refused.file)}: {safe(refused.reason)}"
        if (more := status.files.refused - len(listed)) > 0:
            yield f"  and {more} more"
    yield ""
    yield "actors"
    for actor in status.actors:
        yield f"  {actor.name:<9}  {actor_state(actor)}"


def health_line(status: Status) -> str:
    health = status.health
    since = f" since {health.since.astimezone():%Y-%m-%d %H:%M:%S}" if health.since else ""
    return f"{health.state}{since}: {safe(health.reason)}"


def backlog_line(status: Status) -> str:
    """What is known to wait, and for how long at the rate of the last two minutes."""
    backlog = status.backlog
    active = status.session is not None and status.session.state is SessionState.ACTIVE
    uncounted = ", without incoming, which has not been counted yet" if active and backlog.counted_at is None else ""
    if not backlog.files:
        return f"nothing waits{uncounted}"
    waits = f"{backlog.files} file{'' if backlog.files == 1 else 's'}, {size(backlog.bytes)} to send{uncounted}"
    if backlog.eta_s is not None:
        limited = f", limited to {rate(backlog.limit)}" if backlog.limit else ""
        return f"{waits}; gone in {span(backlog.eta_s)}" + (f" at {rate(backlog.rate)}{limited}" if backlog.rate else "")
    return f"{waits}; " + ("the rate is not known yet" if backlog.rate is None else "never at this rate: nothing leaves")


def disk_line(disk: Disk | None) -> str:
    if disk is None:
        return "not measured yet"
    free = f"{size(disk.free)} of {size(disk.size)} free"
    if disk.filling is None:
        return f"{free}; its trend is not known yet"
    return f"{free}; " + ("not filling" if disk.full_in_s is None else f"full in {span(disk.full_in_s)} at this rate")


def session_line(status: Status) -> str:
    return f"session {_session(status)}" if status.session else "no session is active"


def _session(status: Status) -> str:
    if (session := status.session) is None:
        return "none is active"
    since = session.started_at.astimezone()
    return f"{safe(session.name)}, {session.state} since {since:%Y-%m-%d %H:%M:%S}{', resumed' if session.resumed else ''}"


def counts(files: FileCounts) -> str:
    waiting = f"{files.open_for_writing} open for writing, " if files.open_for_writing else ""
    if files.waiting_for_marker:
        waiting += f"{files.waiting_for_marker} waiting for their marker, "
    hidden = f", {files.hidden} hidden" if files.hidden else ""
    return (
        f"{waiting}{files.queued} queued, {files.staging} staging, {files.uploading} uploading, "
        f"{files.completed} completed, {files.failed} failed, {files.refused} refused{hidden}"
    )


def kept(files: Kept) -> str:
    return f"{files.files} completed {'file' if files.files == 1 else 'files'} on NFS, {size(files.bytes)}"


def unlisted(status: Status) -> int:
    """How many files are in flight besides those that the status lists."""
    return max(0, status.files.staging + status.files.uploading - len(status.in_flight))


def file_state(file: InFlight) -> str:
    return "waiting" if file.retry_in_s is not None else file.state


def progress(file: InFlight) -> tuple[str, str, str]:
    """How much of it is done, how fast it goes, and how long it takes yet."""
    done = f"{percent(file.done, file.size)} of {size(file.size)}"
    if file.retry_in_s is not None:
        return done, "next attempt", f"in {span(file.retry_in_s)}"
    return done, rate(file.rate), "not moving" if file.eta_s is None else f"{span(file.eta_s)} left"


def last_error(file: InFlight) -> str:
    return f"attempt {file.attempts}: {safe(file.error or '')}"


def actor_state(actor: ActorStatus) -> str:
    parts = [str(actor.state).replace("_", " ")]
    if actor.doing is not None:
        parts.append(f"in {safe(actor.doing)} for {span(actor.busy_s)}")
    if actor.restarts:
        parts.append(f"{actor.restarts} restart{'s' if actor.restarts > 1 else ''}")
    if actor.pid is not None and actor.state is not ActorState.RESTARTING:
        parts.append(f"pid {actor.pid}")
    return ", ".join(parts)


def safe(text: str) -> str:
    """`text` in one line that does nothing to a terminal, whatever it holds."""
    return printable(text.encode("utf-8", "backslashreplace").decode())
