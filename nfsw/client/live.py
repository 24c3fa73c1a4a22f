"""`nfsw status --watch` in a terminal: every file with a bar, drawn anew once a second. A client.

Names come as `Text`, never as markup, and through `safe`: nothing in them reaches the terminal as a command.
"""

import time
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nfsw.client.report import actor_words, counts, file_state, session_line, trouble, unlisted
from nfsw.client.words import percent, rate, safe, size, span
from nfsw.supervisor.status import ActorState, InFlight, Status

#: Terminals narrower than this get no bars: the name matters more.
BARS_FROM = 70


class LiveScreen:
    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False)
        self._live.start()
        self._last: Status | None = None
        self._sent: tuple[int, float] | None = None

    def show(self, status: Status) -> None:
        self._last = status
        speed = self._rate(status.bytes.sent)
        self._draw(Text("" if speed is None else f"{rate(speed)} to Azure", style="bold"))

    def lost(self, reason: str) -> None:
        self._sent = None
        self._draw(Text(f"{reason}; trying again", style="bold red"))

    def close(self) -> None:
        self._live.stop()

    def _draw(self, last_line: Text) -> None:
        if self._last is None:
            return
        lines = [*picture(self._last, self._console.width, self._console.height - 2), last_line]
        self._live.update(Group(*lines), refresh=True)

    def _rate(self, sent: int) -> float | None:
        now = time.monotonic()
        last, self._sent = self._sent, (sent, now)
        # Less than before: another process, which counts from zero.
        if last is None or sent < last[0] or now <= last[1]:
            return None
        return (sent - last[0]) / (now - last[1])


def picture(status: Status, width: int, height: int) -> Iterator[RenderableType]:
    """The status in at most `height` lines."""
    head = [*_head(status)]
    tail = [*_tail(status)]
    yield from head
    room = max(1, height - len(head) - len(tail))
    rows = _fitting(status.in_flight, room, unlisted(status))
    for file in rows:
        yield _row(file, width)
        if file.error is not None:
            yield _line(f"  {trouble(file)}", style="red")
    if more := len(status.in_flight) + unlisted(status) - len(rows):
        yield Text(f"and {more} more in flight", style="dim")
    yield from tail


def _head(status: Status) -> Iterator[Text]:
    line = _line(session_line(status), style="bold")
    if status.uploads != "running":
        line.append(f"  uploads {status.uploads}", style="bold yellow")
    yield line
    for reason in status.waiting_for:
        yield _line(f"waiting for: {safe(reason)}", style="yellow")


def _tail(status: Status) -> Iterator[Text]:
    for actor in status.actors:
        if actor.state is not ActorState.RUNNING:
            yield _line(f"{actor.name}: {actor_words(actor)}", style="red")
    if status.refused:
        latest = status.refused[-1]
        yield _line(f"refused {safe(latest.file)}: {safe(latest.reason)}", style="red")
    yield _line(counts(status.files))
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
