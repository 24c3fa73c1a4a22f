"""`nfsw status --watch` where there is no terminal: one plain line for each thing that changed. A client."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from nfsw.client.report import counts, file_state, progress, session_line, trouble, unlisted
from nfsw.client.words import safe
from nfsw.supervisor.status import Status

#: Seconds between two lines about one file that does nothing but move.
PROGRESS_S = 10.0


@dataclass(frozen=True, slots=True)
class _Told:
    """What the last line about a file said, and when."""

    state: tuple[object, ...]
    done: int
    at: float


class LineScreen:
    def __init__(self, write: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._write = write
        self._clock = clock
        self._facts: dict[str, object] = {}
        self._files: dict[tuple[str, str, str], _Told] = {}

    def show(self, status: Status) -> None:
        for line in [*self._changed_facts(status), *self._changed_files(status)]:
            self._line(line)

    def lost(self, reason: str) -> None:
        if self._facts.get("lost") != reason:
            self._facts["lost"] = reason
            self._line(f"{reason}; trying again")

    def close(self) -> None:
        """Every line is out already."""

    def _line(self, line: str) -> None:
        self._write(f"{datetime.now().astimezone():%H:%M:%S} {line}")

    def _changed_facts(self, status: Status) -> Iterator[str]:
        if self._facts.pop("lost", None):
            yield "the service answers again"
        # The reasons count seconds: the same reason with another number is no news.
        reasons = tuple(re.sub(r"\d+", "", reason) for reason in status.waiting_for)
        waits = "; ".join(safe(reason) for reason in status.waiting_for) or "no longer waiting"
        for name, value, line in (
            ("session", (status.session and status.session.name, status.session and status.session.state), session_line(status)),
            ("uploads", status.uploads, f"uploads {status.uploads}"),
            ("files", status.files, counts(status.files)),
            ("waits", reasons, f"waiting for: {waits}" if reasons else waits),
        ):
            if (name != "waits" or reasons or name in self._facts) and self._facts.get(name, self) != value:
                self._facts[name] = value
                yield line

    def _changed_files(self, status: Status) -> Iterator[str]:
        now, before = self._clock(), self._files
        self._files = {}
        for file in status.in_flight:
            key, state = (file.date, file.session, file.file), (file_state(file), file.attempts, file.error)
            told = before.get(key)
            if told is None or told.state != state or (told.done != file.done and now - told.at >= PROGRESS_S):
                told = _Told(state, file.done, now)
                yield f"{safe(file.file)}: {', '.join((file_state(file), *progress(file)))}"
                if file.error is not None:
                    yield f"{safe(file.file)}: {trouble(file)}"
            self._files[key] = told
        if unlisted(status):  # a file that is not there may only have lost its place in the list
            return
        for date, session, name in before.keys() - self._files.keys():
            yield f"{safe(name)}: no longer in flight ({date}/{safe(session)})"
