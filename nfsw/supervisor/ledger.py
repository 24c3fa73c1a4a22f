"""The ledger: which file is in hand, and how far it is. Main process, in memory alone; all of it can be read off the disks again.

It is what keeps a file from being in two hands, and staging from outgrowing its limit: an actor that starts anew reports
what it finds, and the ledger knows what is under way already.
"""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from nfsw.actors.files import Arrival, File, FileRef, Fingerprint
from nfsw.actors.messages import FileUploaded
from nfsw.supervisor.status import FileState


class Stage(Enum):
    #: In the Claimer's mailbox.
    QUEUED = "queued"
    #: In the Claimer's hands; its first blocks may be on their way to Azure.
    STAGING = "staging"
    #: Staged; in the Uploader's hands alone.
    UPLOADING = "uploading"
    #: In Azure; in the Collector's hands.
    COMPLETING = "completing"
    #: In nobody's hands until its pause is over, and then to be found again by the Scanner.
    PARKED = "parked"


class Meter:
    """Bytes per second over the last seconds."""

    _WINDOW_S = 5.0

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def note(self, done: int, now: float) -> None:
        if self._samples and done < self._samples[-1][1]:
            self._samples.clear()
        if len(self._samples) < 2 or now - self._samples[-2][0] >= 0.2:
            self._samples.append((now, done))
        else:
            self._samples[-1] = (now, done)
        while len(self._samples) > 2 and self._samples[1][0] < now - self._WINDOW_S:
            self._samples.popleft()

    def rate(self, now: float) -> float:
        if not self._samples:
            return 0.0
        since, first = self._samples[0]
        _, last = self._samples[-1]
        return (last - first) / max(now - since, 1e-3) if last > first and now - self._samples[-1][0] < self._WINDOW_S else 0.0


@dataclass(slots=True, eq=False)
class Entry:
    """One file in hand. Two entries are never the same, though the file may be."""

    file: File
    fingerprint: Fingerprint
    stage: Stage = Stage.QUEUED
    #: Nobody had it open for writing when it was seen stable; it is taken only if that is so still.
    leased: bool = False
    staged: int = 0  # bytes
    left: int = 0  # bytes that Azure holds, or that have left for it in requests that are not answered yet
    sent: int = 0  # bytes that have left, again and again if need be: what the uplink has carried
    attempts: int = 0
    error: str | None = None
    retry_at: float | None = None  # seconds, monotonic
    #: It had its claimed name when it was seen: an earlier life may have sent it.
    found_claimed: bool = False
    #: What is staged is worthless: to be staged afresh once the Claimer is done with it.
    afresh: bool = False
    #: What was staged was worthless once already.
    spoilt: bool = False
    meter: Meter = field(default_factory=Meter)
    uploaded: FileUploaded | None = None  # once it is in Azure
    traceparent: str | None = None
    seen_at: float = field(default_factory=time.monotonic)  # when a scan saw it first of all (seconds, CLOCK_MONOTONIC)

    @property
    def state(self) -> FileState | None:
        """As the status shows it; None: not in flight."""
        match self.stage:
            case Stage.STAGING:
                return FileState.STAGING
            case Stage.UPLOADING | Stage.COMPLETING:
                return FileState.UPLOADING
            case Stage.PARKED:
                return FileState.UPLOADING if self.attempts else FileState.STAGING
            case Stage.QUEUED:
                return None

    @property
    def under_way(self) -> bool:
        """With the Claimer, the Uploader or the Collector, and not waiting for its next attempt."""
        return self.stage not in (Stage.QUEUED, Stage.PARKED) and self.retry_at is None

    @property
    def done(self) -> int:
        return self.staged if self.stage is Stage.STAGING else self.left


class Ledger:
    """`staging_limit` in bytes."""

    def __init__(self, staging_limit: int) -> None:
        self.staging_limit = staging_limit
        self.staging_used = 0
        self._entries: dict[File, Entry] = {}
        self._names: dict[tuple[str, str], int] = {}  # session and name of claimed files in hand
        self._staging: dict[File, tuple[int, float]] = {}  # bytes that it holds or may grow to, and since when

    def __contains__(self, file: File) -> bool:
        return file in self._entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def get(self, file: File) -> Entry | None:
        return self._entries.get(file)

    def add(self, entry: Entry) -> Entry:
        """Whatever stood for the same file does not any more."""
        self.drop(entry.file)
        self._entries[entry.file] = entry
        self._count(entry.file, +1)
        return entry

    def drop(self, file: File) -> Entry | None:
        """The file is in nobody's hands any more. What is staged of it still counts."""
        entry = self._entries.pop(file, None)
        if entry:
            self._count(file, -1)
        return entry

    def claimed(self, arrival: Arrival, file: FileRef) -> Entry | None:
        """The same file under its new name. Its room in staging takes the place of what another version of it left there."""
        entry = self.drop(arrival)
        if entry is None:
            return None
        entry.file = file
        if arrival in self._staging:
            self.release(file)
            self._staging[file] = self._staging.pop(arrival)
        return self.add(entry)

    def in_process(self, session: str, name: str) -> bool:
        """Whether a claimed file of that name is in hand, of whatever date."""
        return (session, name) in self._names

    def of_session(self, session: str) -> bool:
        """Whether anything of the session is in hand."""
        return any(entry.file.session == session for entry in self)

    def in_flight(self) -> int:
        """Files under way."""
        return sum(entry.under_way for entry in self)

    # Staging, in bytes.

    def fits(self, file: File, size: int) -> bool:
        return self.staging_used - self.reserved(file) + size <= self.staging_limit

    def reserve(self, file: File, size: int) -> None:
        self.staging_used += size - self.reserved(file)
        self._staging[file] = size, time.monotonic()

    def found_staged(self, file: FileRef, size: int) -> None:
        """Something lies in staging. Counts once."""
        if file not in self._staging:
            self.reserve(file, size)

    def release(self, file: File) -> None:
        self.staging_used -= self.reserved(file)
        self._staging.pop(file, None)

    def idle_staged(self, age_s: float) -> list[FileRef]:
        """What has lain in staging for `age_s` seconds or longer for nobody's use just now; what is of most use comes last."""
        now = time.monotonic()
        idle = [file for file, (_, since) in self._staging.items() if isinstance(file, FileRef) and now - since >= age_s]
        return sorted(filter(self._is_idle, idle), key=self._is_queued)

    def still_staged(self, file: FileRef) -> None:
        """What could not be removed counts as new."""
        if file in self._staging:
            self.reserve(file, self.reserved(file))

    def reserved(self, file: File) -> int:
        """Bytes of staging that the file holds or may grow to."""
        return self._staging.get(file, (0, 0.0))[0]

    def _is_idle(self, file: FileRef) -> bool:
        entry = self._entries.get(file)
        return entry is None or not (entry.under_way or entry.stage in (Stage.STAGING, Stage.COMPLETING))

    def _is_queued(self, file: FileRef) -> bool:
        entry = self._entries.get(file)
        return entry is not None and entry.stage is Stage.QUEUED

    def _count(self, file: File, change: int) -> None:
        if isinstance(file, FileRef):
            key = (file.session, file.name)
            count = self._names.get(key, 0) + change
            if count:
                self._names[key] = count
            else:
                self._names.pop(key, None)
