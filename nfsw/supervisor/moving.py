"""The service as the API sees it: the supervisor, its pipeline and the session desk behind one face. Main process."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from uuid_utils import uuid7

from nfsw.actors.files import FileRef
from nfsw.actors.names import shown
from nfsw.schedule import UploadSchedule
from nfsw.supervisor.ledger import Entry
from nfsw.supervisor.pipeline import Pipeline
from nfsw.supervisor.service import SessionConflict
from nfsw.supervisor.session import Desk
from nfsw.supervisor.status import ByteCounts, FileCounts, FileState, InFlight, Limits, RefusedFile, Stability, Status
from nfsw.supervisor.supervisor import Supervisor
from nfsw.supervisor.totals import Totals

#: Files in flight, and refused ones, that the status lists; the counts have them all.
MOST_LISTED = 1000
#: How often the timetable of the upload limit is read, in seconds.
_TIMETABLE_S = 5.0
#: How often this pod's clock is compared with Azure's, in seconds.
_CLOCK_S = 5.0


class Moving:
    """Implements `service.Service`."""

    def __init__(
        self, supervisor: Supervisor, pipeline: Pipeline, desk: Desk, totals: Totals, timetable: UploadSchedule, patience_s: float
    ) -> None:
        """`patience_s`: how long `start` and `stop` wait for NFS, in seconds."""
        self._supervisor = supervisor
        self._pipeline = pipeline
        self._desk = desk
        self._totals = totals
        self._timetable = timetable
        self._patience_s = patience_s
        self._limited_by_call = False

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._supervisor.run(), name="supervisor")
            group.create_task(self._follow_timetable(), name="timetable")
            group.create_task(self._follow_clock(), name="clock")

    async def container_checked(self) -> str | None:
        """Returns once the Uploader has asked for the container: why it cannot be used, or None."""
        return await asyncio.shield(self._pipeline.container)

    async def start(self, session: str | None) -> Status:
        await self._desk.start(session or f"00-session-{uuid7()}", self._patience_s)
        return self.status()

    async def stop(self) -> Status:
        stopping = self._desk.stop()
        self._pipeline.unclaim(stopping.session)
        await stopping.settled(self._patience_s)
        return self.status()

    async def abandon(self, session: str, file: str, date: str | None) -> Status:
        if not self._desk.holds(session):
            raise SessionConflict(f"this pod does not hold session {session}")
        await self._pipeline.abandon(session, file, date, self._patience_s)
        return self.status()

    def sick(self) -> str | None:
        return self._supervisor.sick()

    def unready(self) -> str | None:
        return "; ".join(self._unready()) or None

    def limits(self) -> Limits:
        return Limits(self._pipeline.uploads.bytes_per_s)

    async def limit_uploads(self, bytes_per_s: int | None) -> Limits:
        self._limited_by_call = True
        self._pipeline.set_uploads(replace(self._pipeline.uploads, bytes_per_s=bytes_per_s))
        return self.limits()

    async def pause_uploads(self) -> Status:
        self._pipeline.set_uploads(replace(self._pipeline.uploads, paused=True))
        return self.status()

    async def resume_uploads(self) -> Status:
        self._pipeline.set_uploads(replace(self._pipeline.uploads, paused=False))
        return self.status()

    def status(self) -> Status:
        now = time.monotonic()
        ledger, totals, refused = self._pipeline.ledger, self._totals, self._pipeline.refused
        counted = Counter(entry.state for entry in ledger)
        return Status(
            session=self._desk.status(),
            files=FileCounts(
                open_for_writing=self._pipeline.open_for_writing.count,
                queued=counted[None],
                staging=counted[FileState.STAGING],
                uploading=counted[FileState.UPLOADING],
                completed=totals.completed,
                failed=totals.failed,
                refused=len(refused),
                hidden=self._pipeline.hidden,
            ),
            bytes=ByteCounts(totals.bytes_completed, ledger.staging_used, ledger.staging_limit, totals.bytes_sent, totals.bytes_resent),
            in_flight=tuple(_in_flight(entry, state, now) for entry, state in self._listed()),
            refused=tuple(RefusedFile(shown(file.name), file.session, refused[file].reason) for file in list(refused)[:MOST_LISTED]),
            actors=tuple(ref.status() for ref in self._supervisor.refs.values()),
            uploads="paused" if self._pipeline.uploads.paused else "running",
            stability=Stability(found.rule, found.reason) if (found := self._pipeline.stability) else None,
            waiting_for=tuple(self._waiting_for()),
        )

    def _listed(self) -> list[tuple[Entry, FileState]]:
        """The files in flight that the status lists. If there are too many, those that wait for their next attempt are left out first."""
        in_flight = [(entry, state) for entry in self._pipeline.ledger if (state := entry.state)]
        if len(in_flight) > MOST_LISTED:
            in_flight.sort(key=lambda one: one[0].retry_at is not None)
        return in_flight[:MOST_LISTED]

    def _waiting_for(self) -> Iterator[str]:
        yield from self._unready()
        if self._pipeline.uploads.paused:
            yield "uploads are paused"
        if self._pipeline.nfs_trouble:
            yield f"NFS: {self._pipeline.nfs_trouble}"
        for path in self._pipeline.links.paths:
            yield f"{path} is a symbolic link, which is not followed: nothing is taken from there"
        opened = self._pipeline.open_for_writing
        if opened.oldest:
            oldest = f"{opened.oldest.session}/{shown(opened.oldest.name)}"
            since = datetime.fromtimestamp(opened.since, UTC)
            files = "1 file" if opened.count == 1 else f"{opened.count} files"
            yield f"the writers of {files} that are still open, the oldest since {since:%Y-%m-%dT%H:%M:%SZ}: {oldest}"
        active = self._desk.active
        if active and active.draining and (holdup := self._pipeline.holdup(active.name)):
            yield f"the end of session {active.name}: {holdup}"
        if self._pipeline.gate.short_of_room:
            yield "room in staging"
        if waiting := sum(entry.retry_at is not None for entry in self._pipeline.ledger if entry.state):
            yield f"the next attempt of {waiting} {'file' if waiting == 1 else 'files'} that failed"

    def _unready(self) -> Iterator[str]:
        if reason := self._supervisor.sick() or self._supervisor.unready():
            yield reason
        if reason := self._desk.admission.claim_refusal():
            yield reason

    async def _follow_clock(self) -> None:
        """Our clock may be set at any time, and nobody tells."""
        while True:
            self._pipeline.review_admission()
            await asyncio.sleep(_CLOCK_S)

    async def _follow_timetable(self) -> None:
        """Whoever sets a limit by a call has the last word."""
        while not self._limited_by_call:
            limit = self._timetable.limit(datetime.now().astimezone())
            self._pipeline.set_uploads(replace(self._pipeline.uploads, bytes_per_s=limit))
            await asyncio.sleep(_TIMETABLE_S)


def _in_flight(entry: Entry, state: FileState, now: float) -> InFlight:
    size = entry.fingerprint.size
    rate = entry.meter.rate(now)
    file = entry.file
    return InFlight(
        file=shown(file.name),
        session=file.session,
        date=file.date if isinstance(file, FileRef) else f"{datetime.now(UTC):%Y%m%d}",  # which its claim is about to give it
        state=state,
        size=size,
        done=entry.done,
        rate=rate,
        eta_s=(size - entry.done) / rate if rate > 0 else None,
        attempts=entry.attempts,
        error=entry.error,
        retry_in_s=max(0.0, entry.retry_at - now) if entry.retry_at is not None else None,
    )
