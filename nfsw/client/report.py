"""What `nfsw status` prints: the status in lines of text. Pure functions; in clients."""

import json
from collections.abc import Iterator

from nfsw.actors.stability import Rule
from nfsw.client.words import percent, rate, safe, size, span
from nfsw.supervisor.status import ActorState, ActorStatus, FileCounts, InFlight, Status

_TAKEN = {Rule.LEASE: "nobody has them open for writing", Rule.TIME: "they have been quiet for long enough, open or not"}
#: More of them would push the rest off the screen; `--json` has all.
REFUSED_SHOWN = 20


def report(status: Status) -> Iterator[str]:
    sent = status.bytes
    yield f"session   {session_words(status)}"
    yield f"uploads   {status.uploads}"
    yield f"files     {counts(status.files)}"
    yield f"bytes     {size(sent.completed)} completed, {size(sent.sent)} sent, of which {size(sent.resent)} for the second time"
    yield f"staging   {size(sent.staged)} of {size(sent.staging_limit)}"
    if found := status.stability:
        yield f"taken     when {_TAKEN[found.rule]}: {safe(found.reason)}"
    for reason in status.waiting_for:
        yield f"waiting   {safe(reason)}"
    if status.in_flight:
        yield ""
        yield "in flight"
        for file in status.in_flight:
            done, speed, left = progress(file)
            yield f"  {file_state(file):<9}  {done:>16}  {speed:>12}  {left:>15}  {safe(file.file)}"
            if file.error is not None:
                yield f"             {trouble(file)}"
        if more := unlisted(status):
            yield f"  and {more} more"
    if status.refused:
        yield ""
        yield "refused"
        for refused in status.refused[:REFUSED_SHOWN]:
            yield f"  {safe(refused.file)}: {safe(refused.reason)}"
        if (more := status.files.refused - min(len(status.refused), REFUSED_SHOWN)) > 0:
            yield f"  and {more} more"
    yield ""
    yield "actors"
    for actor in status.actors:
        yield f"  {actor.name:<9}  {actor_words(actor)}"


def unlisted(status: Status) -> int:
    """How many files are in flight besides those that the status lists."""
    return max(0, status.files.staging + status.files.uploading - len(status.in_flight))


def session_line(status: Status) -> str:
    return f"session {session_words(status)}" if status.session else "no session is active"


def session_words(status: Status) -> str:
    if (session := status.session) is None:
        return "none is active"
    since = session.started_at.astimezone()
    return f"{safe(session.name)}, {session.state} since {since:%Y-%m-%d %H:%M:%S}{', resumed' if session.resumed else ''}"


def counts(files: FileCounts) -> str:
    waiting = f"{files.open_for_writing} open for writing, " if files.open_for_writing else ""
    hidden = f", {files.hidden} hidden" if files.hidden else ""
    return (
        f"{waiting}{files.queued} queued, {files.staging} staging, {files.uploading} uploading, "
        f"{files.completed} completed, {files.failed} failed, {files.refused} refused{hidden}"
    )


def file_state(file: InFlight) -> str:
    return "waiting" if file.retry_in_s is not None else file.state


def progress(file: InFlight) -> tuple[str, str, str]:
    """How much of it, how fast, and how long yet."""
    done = f"{percent(file.done, file.size)} of {size(file.size)}"
    if file.retry_in_s is not None:
        return done, "next attempt", f"in {span(file.retry_in_s)}"
    return done, rate(file.rate), "not moving" if file.eta_s is None else f"{span(file.eta_s)} left"


def trouble(file: InFlight) -> str:
    return f"attempt {file.attempts}: {safe(file.error or '')}"


def actor_words(actor: ActorStatus) -> str:
    words = [str(actor.state).replace("_", " ")]
    if actor.doing is not None:
        words.append(f"in {safe(actor.doing)} for {span(actor.busy_s)}")
    if actor.restarts:
        words.append(f"{actor.restarts} restart{'s' if actor.restarts > 1 else ''}")
    if actor.pid is not None and actor.state is not ActorState.RESTARTING:
        words.append(f"pid {actor.pid}")
    return ", ".join(words)


def json_text(answer: object, indent: int | None = None) -> str:
    """In ASCII: the escapes of JSON keep what is in a name from the terminal."""
    return json.dumps(answer, indent=indent)
