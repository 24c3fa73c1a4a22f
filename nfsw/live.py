"""`nfsw status --watch`: the status once a second until Ctrl-C, through restarts of the service. A client.

A terminal gets a live picture, drawn anew each time; anything else gets plain lines, one for each change. Names come as `Text`, never as
markup, and through `safe`: nothing in them reaches the terminal as a command.
"""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nfsw.client import (
    Client,
    ClientError,
    actor_state,
    backlog_line,
    counts,
    disk_line,
    file_state,
    health_line,
    last_error,
    progress,
    safe,
    session_line,
    unlisted,
)
from nfsw.supervisor.actor_state import ActorState
from nfsw.supervisor.health import HealthState
from nfsw.supervisor.status import InFlight, Status
from nfsw.units import percent, rate, size, span

#: Seconds between two statuses.
INTERVAL_S = 1.0
#: Seconds between two plain lines about one file that does nothing but move.
PROGRESS_S = 10.0
_STYLES = {HealthState.OK: "bold green", HealthState.WAITING: "bold yellow", HealthState.TROUBLE: "bold red"}
#: Terminals narrower than this get no bars: the name matters more.
BARS_FROM = 70


def watch(client: Client, *, as_json: bool) -> None:
    """Returns at Ctrl-C. Raises ClientError when there is no service to begin with; one that goes away later is waited for."""
    if as_json:
        _repeat(client.status_json, lambda text: print(text, flush=True), lambda _: None)
    elif sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        with Live(console=Console(highlight=False), auto_refresh=False) as live:
            screen = LiveScreen(live)
            _repeat(client.status, screen.show, screen.lost)
    else:
        lines = LineScreen(lambda line: print(line, flush=True), time.monotonic)
        _repeat(client.status, lines.show, lines.lost)


def _repeat[Answer](ask: Callable[[], Answer], show: Callable[[Answer], None], lost: Callable[[str], None]) -> None:
    """`lost` takes the reason why the service cannot be asked at the moment."""
    with suppress(KeyboardInterrupt):
        show(ask())
        while True:
            time.sleep(INTERVAL_S)
            try:
                show(ask())
            except ClientError as error:
                lost(str(error))


# --- Plain lines ---


class LineScreen:
    """Prints a line when what it says has changed; for a file that only makes progress, every ten seconds."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._write = write
        self._clock = clock
        self._facts: dict[str, object] = {}
        #: By date, session and name: state, bytes done and time of the last line about the file.
        self._files: dict[tuple[str, str, str], tuple[object, int, float]] = {}

    def show(self, status: Status) -> None:
        if self._facts.pop("lost", None):
            self._line("the service answers again")
        session = status.session
        # The reasons count seconds: the same reason with another number is no news.
        self._fact("health", (status.health.state, re.sub(r"\d+", "", status.health.reason)), health_line(status))
        self._fact("session", session and (session.name, session.state), session_line(status))
        self._fact("uploads", status.uploads, f"uploads {status.uploads}")
        self._fact("files", status.files, counts(status.files))
        reasons = [re.sub(r"\d+", "", reason) for reason in status.waiting_for]
        if reasons:
            self._fact("waiting", reasons, f"waiting for: {'; '.join(safe(reason) for reason in status.waiting_for)}")
        elif self._facts.pop("waiting", None):
            self._line("no longer waiting")
        self._show_files(status)

    def lost(self, reason: str) -> None:
        self._fact("lost", reason, f"{reason}; trying again")

    def _fact(self, name: str, value: object, line: str) -> None:
        if self._facts.get(name, self) != value:
            self._facts[name] = value
            self._line(line)

    def _show_files(self, status: Status) -> None:
        now, before = self._clock(), self._files
        self._files = {}
        for file in status.in_flight:
            key, state = (file.date, file.session, file.file), (file_state(file), file.attempts, file.error)
            last_state, last_done, last_at = before.get(key, (None, 0, now))
            if last_state == state and (last_done == file.done or now - last_at < PROGRESS_S):
                self._files[key] = state, last_done, last_at
                continue
            self._files[key] = state, file.done, now
            self._line(f"{safe(file.file)}: {', '.join((file_state(file), *progress(file)))}")
            if file.error is not None:
                self._line(f"{safe(file.file)}: {last_error(file)}")
        if unlisted(status):  # a file that is not there may only have lost its place in the list
            return
        for date, session, name in before.keys() - self._files.keys():
            self._line(f"{safe(name)}: no longer in flight ({date}/{safe(session)})")

    def _line(self, line: str) -> None:
        self._write(f"{datetime.now().astimezone():%H:%M:%S} {line}")


# --- The picture in a terminal ---


class LiveScreen:
    def __init__(self, live: Live) -> None:
        self._live = live
        self._last: Status | None = None
        self._sent: tuple[int, float] | None = None

    def show(self, status: Status) -> None:
        self._last = status
        speed = self._rate(status.bytes.sent)
        self._draw(Text("" if speed is None else f"{rate(speed)} to Azure", style="bold"))

    def lost(self, reason: str) -> None:
        self._sent = None
        self._draw(Text(f"{reason}; trying again", style="bold red"))

    def _draw(self, last_line: Text) -> None:
        if self._last is not None:
            console = self._live.console
            self._live.update(Group(*picture(self._last, console.width, console.height - 2), last_line), refresh=True)

    def _rate(self, sent: int) -> float | None:
        now = time.monotonic()
        last, self._sent = self._sent, (sent, now)
        # Less than before: another process, which counts from zero.
        if last is None or sent < last[0] or now <= last[1]:
            return None
        return (sent - last[0]) / (now - last[1])


def picture(status: Status, width: int, height: int) -> Iterator[RenderableType]:
    """The status in at most `height` lines."""
    head, tail = [*_head(status)], [*_tail(status)]
    yield from head
    room = max(1, height - len(head) - len(tail))
    rows = _fitting(status.in_flight, room, unlisted(status))
    for file in rows:
        yield _row(file, width)
        if file.error is not None:
            yield _line(f"  {last_error(file)}", style="red")
    if more := len(status.in_flight) + unlisted(status) - len(rows):
        yield Text(f"and {more} more in flight", style="dim")
    yield from tail


def _head(status: Status) -> Iterator[Text]:
    yield _line(health_line(status), style=_STYLES[status.health.state])
    line = _line(session_line(status), style="bold")
    if status.uploads != "running":
        line.append(f"  uploads {status.uploads}", style="bold yellow")
    yield line
    for reason in status.waiting_for:
        yield _line(f"waiting for: {safe(reason)}", style="yellow")


def _tail(status: Status) -> Iterator[Text]:
    for actor in status.actors:
        if actor.state is not ActorState.RUNNING:
            yield _line(f"{actor.name}: {actor_state(actor)}", style="red")
    if status.refused:
        latest = status.refused[-1]
        yield _line(f"refused {safe(latest.file)}: {safe(latest.reason)}", style="red")
    yield _line(counts(status.files))
    if status.backlog.files:
        yield _line(f"backlog: {backlog_line(status)}", style="dim")
    if (export := status.disks.export) and export.full_in_s is not None:
        yield _line(f"export: {disk_line(export)}", style="dim")
    staged = f"staging {size(status.bytes.staged)} of {size(status.bytes.staging_limit)}"
    yield _line(f"{size(status.bytes.completed)} completed, {size(status.bytes.sent)} sent, {staged}", style="dim")


def _fitting(files: tuple[InFlight, ...], room: int, unlisted: int) -> list[InFlight]:
    """As many as there is room for, with a line for each error, and one left to say how many more there are (`unlisted` at least)."""
    fitting: list[InFlight] = []
    used = 0
    for place, file in enumerate(files, start=1):
        used += 1 if file.error is None else 2
        if used > room - (place < len(files) + unlisted):
            break
        fitting.append(file)
    return fitting


def _row(file: InFlight, width: int) -> Table:
    """Columns of fixed width, so that all rows fit beneath one another; the name gets what is left."""
    bar = width // 6 if width >= BARS_FROM else 0
    if file.retry_in_s is not None:
        speed, left = "again in", span(file.retry_in_s)
    else:
        speed, left = rate(file.rate), "not moving" if file.eta_s is None else span(file.eta_s)
    row = Table.grid(padding=(0, 1), expand=True)
    row.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for columns in (9, bar, 4, 10, 11) if bar else (9, 4, 10, 11):
        row.add_column(width=columns, no_wrap=True, justify="right" if columns != 9 else "left")
    cells: list[RenderableType] = [Text(safe(file.file)), file_state(file), percent(file.done, file.size), speed, left]
    if bar:
        cells.insert(2, ProgressBar(total=max(file.size, 1), completed=file.done if file.size else 1, width=bar))
    row.add_row(*cells)
    return row


def _line(text: str, style: str = "") -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")
