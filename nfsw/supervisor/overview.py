"""The overview: what the status says, read off the records and the actors in one look. Main process."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from nfsw.actors.files import File, FileRef
from nfsw.actors.messages import DiskName
from nfsw.actors.names import printable
from nfsw.supervisor.actor_ref import ActorRef
from nfsw.supervisor.actor_state import ActorState
from nfsw.supervisor.forecast import backlog
from nfsw.supervisor.health import Condition, Conditions, Finding, Kind, health
from nfsw.supervisor.holdup import holdup
from nfsw.supervisor.record_summary import RecordSummary, state_of, summary
from nfsw.supervisor.router import Router
from nfsw.supervisor.session import Holding
from nfsw.supervisor.sessions import Sessions
from nfsw.supervisor.status import (
    ActorStatus,
    ByteCounts,
    Disk,
    Disks,
    FileCounts,
    InFlight,
    Kept,
    RefusedFile,
    Stability,
    Status,
)
from nfsw.supervisor.supervisor import Supervisor
from nfsw.supervisor.telemetry import Telemetry
from nfsw.supervisor.throughput import Throughput
from nfsw.supervisor.tracked_file import Stage, TrackedFile
from nfsw.units import size, span

#: Files in flight, and refused ones, that the status lists; the counts have them all.
MOST_LISTED = 1000
#: A disk that is full within so many seconds, or has less than this share left, is trouble.
SOON_S, LITTLE = 14_400.0, 0.01
#: From so many seconds on it is worth a word that nothing has left.
_STALLED_S = 1800.0

#: What the field `waiting_for` has in words. The others came later, and have their place in `conditions` alone.
_WAITED_FOR = frozenset(Kind) - {Kind.EXPORT, Kind.STALLED, Kind.REFUSED, Kind.SESSION}


class Overview:
    def __init__(self, supervisor: Supervisor, router: Router, sessions: Sessions, telemetry: Telemetry, throughput: Throughput) -> None:
        #: As of the latest look.
        self.health = health((), "The service starts.")
        self.backlog = backlog(0, 0, None, None)
        self._supervisor = supervisor
        self._router = router
        self._files = router.pipeline.files
        self._budget = router.pipeline.budget
        self._sessions = sessions
        self._telemetry = telemetry
        self._throughput = throughput
        self._conditions = Conditions()
        self._sending_since: float | None = None  # since when there has been something to send (monotonic)

    def look(self) -> None:
        """Brings `health` and `backlog` up to date, and notices what begins and ends while nobody asks."""
        files = summary(self._files)
        self._judge(files, time.monotonic())
        self._count(files)

    def status(self) -> Status:
        now, totals, budget = time.monotonic(), self._telemetry.totals, self._budget
        files = summary(self._files)
        conditions, waiting_for = self._judge(files, now)
        self._count(files)
        return Status(
            session=self._sessions.status(),
            files=FileCounts(
                open_for_writing=self._router.open_for_writing.count,
                waiting_for_marker=self._router.waiting_for_marker.count,
                queued=self._files.count(Stage.QUEUED),
                staging=files.staging,
                uploading=len(files.in_flight) - files.staging,
                completed=totals.completed,
                failed=totals.failed,
                refused=len(files.refused),
                hidden=self._router.hidden,
            ),
            bytes=ByteCounts(totals.bytes_completed, budget.used, budget.limit, totals.bytes_sent, totals.bytes_resent),
            in_flight=tuple(_in_flight(record, now) for record in _listed(files.in_flight)),
            refused=tuple(
                RefusedFile(printable(record.file.name), record.file.session, record.refused or "")
                for record in files.refused[:MOST_LISTED]
            ),
            actors=tuple(_actor(ref) for ref in self._supervisor.refs.values()),
            uploads="paused" if self._router.uploads.paused else "running",
            stability=Stability(found.rule, found.reason) if (found := self._router.stability) else None,
            waiting_for=waiting_for,
            health=self.health,
            conditions=conditions,
            backlog=self.backlog,
            kept=Kept(self._router.pipeline.kept.count, self._router.pipeline.kept.size),
            disks=Disks(self.disk(DiskName.EXPORT), self.disk(DiskName.STAGING)),
            at=datetime.fromtimestamp(int(time.time()), UTC),
        )

    def disk(self, name: DiskName) -> Disk | None:
        """None: not measured yet."""
        return self._router.disks[name].disk(time.monotonic())

    def _count(self, files: RecordSummary) -> None:
        """What is known to be there and not in Azure. The queued files are in a count of `incoming`, unless they are newer."""
        arrivals, rate = self._router.arrivals, self._throughput.rate()
        waiting, unsent = max(files.queued, arrivals.files), max(files.queued_size, arrivals.size)
        self.backlog = backlog(files.claimed + waiting, files.unsent + unsent, rate, arrivals.counted_at, self._router.uploads.bytes_per_s)

    # --- Is everything all right? ---

    def _judge(self, files: RecordSummary, now: float) -> tuple[tuple[Condition, ...], tuple[str, ...]]:
        """The conditions, and those that are waited for in words."""
        conditions = self._conditions.judged(self._found(files, now))
        moving = files.claimed + files.queued
        well = f"{moving} {'file is' if moving == 1 else 'files are'} on the way to Azure." if moving else "No file waits to be sent."
        self.health = health(conditions, well)
        waited_for = (one for one in conditions if one.kind in _WAITED_FOR and not (one.kind is Kind.FAILED and not files.waiting))
        return conditions, tuple(one.text for one in waited_for)

    def _found(self, files: RecordSummary, now: float) -> Iterator[Finding]:
        yield from self._found_of_actors()
        yield from self._found_of_nfs()
        yield from self._found_of_files(files, now)
        router, active = self._router, self._sessions.active
        if router.uploads.paused:
            yield Finding(Kind.PAUSED, "uploads are paused")
        if router.pipeline.scheduler.short_of_room:
            yield Finding(Kind.ROOM, "room in staging")
        if active and active.holding is Holding.DRAINING and (reason := holdup(active.name, self._files, router.open_for_writing.oldest)):
            yield Finding(Kind.DRAINING, f"the end of session {active.name}: {reason}")
        if self._sessions.status() is None and not self._sessions.admission.session_refusal():
            elsewhere = self._sessions.held_elsewhere()
            yield Finding(Kind.SESSION, f"no session is active in this pod{f'; {elsewhere}' if elsewhere else ''}")

    def _found_of_actors(self) -> Iterator[Finding]:
        refs = self._supervisor.refs.values()
        if reason := self._supervisor.unhealthy_reason():
            yield Finding(Kind.RESTART, reason)
        elif reason := self._supervisor.unready():
            idle = next(ref for ref in refs if ref.hang or ref.state is not ActorState.RUNNING)
            yield Finding(Kind.HANG, reason, idle.hang.since) if idle.hang else Finding(Kind.STARTING, reason)
        if reason := self._sessions.admission.session_refusal():
            yield Finding(Kind.AZURE, reason)
        elif reason := self._sessions.admission.claim_refusal():
            yield Finding(Kind.CLOCK, reason)

    def _found_of_nfs(self) -> Iterator[Finding]:
        router = self._router
        if router.nfs_trouble:
            yield Finding(Kind.NFS, f"NFS: {router.nfs_trouble}")
        for path in router.links.paths:
            yield Finding(Kind.LINK, f"{path} is a symbolic link, which is not followed: nothing is taken from there")
        if export := self.disk(DiskName.EXPORT):
            if export.free < LITTLE * export.size:
                yield Finding(Kind.EXPORT, f"the disk of the export is full: {size(export.free)} of {size(export.size)} are free")
            elif export.full_in_s is not None and export.full_in_s < SOON_S:
                yield Finding(Kind.EXPORT, f"the disk of the export is full in {span(export.full_in_s)} at this rate")
        if opened := router.open_for_writing.oldest:
            oldest = _oldest(opened, router.open_for_writing.since)
            text = f"the writers of {_files(router.open_for_writing.count)} that are still open, {oldest}"
            yield Finding(Kind.OPEN, text, router.open_since)
        unmarked = router.waiting_for_marker
        if unmarked.oldest:
            older = f" ({unmarked.older} of them has one that is older than the file, and needs it anew)" if unmarked.older else ""
            text = f"the markers of {_files(unmarked.count)}{older}, {_oldest(unmarked.oldest, unmarked.since)}"
            yield Finding(Kind.MARKER, text, router.unmarked_since)
        taken = router.names_taken
        if taken.oldest:
            text = (
                f"the deletion of kept files whose names {_files(taken.count)} in incoming would get, {_oldest(taken.oldest, taken.since)}"
            )
            yield Finding(Kind.NAME, text, router.names_taken_since)

    def _found_of_files(self, files: RecordSummary, now: float) -> Iterator[Finding]:
        if count := files.waiting or files.failed:
            attempt = "the next attempt" if files.waiting else "the present attempt"
            yield Finding(Kind.FAILED, f"{attempt} of {count} {'file' if count == 1 else 'files'} that failed", detail=files.error)
        if first := files.first_left:
            text = f"{files.left_in_place} {'file is' if files.left_in_place == 1 else 'files are'} refused"
            yield Finding(Kind.REFUSED, text, detail=f"{printable(first.file.name)}: {first.refused}")
        if not files.claimed + files.queued or self._router.uploads.paused:
            self._sending_since = None
            return
        self._sending_since = since = now if self._sending_since is None else self._sending_since
        since = max(since, self._telemetry.progressed_at)
        if now - since >= _STALLED_S:
            yield Finding(Kind.STALLED, "files are there to be sent, and nothing has left for Azure", since)


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _oldest(file: File, since: float) -> str:
    """`since`: seconds since the epoch."""
    return f"the oldest since {datetime.fromtimestamp(since, UTC):%Y-%m-%dT%H:%M:%SZ}: {file.session}/{printable(file.name)}"


def _listed(in_flight: list[TrackedFile]) -> list[TrackedFile]:
    """If there are too many, those that wait for their next attempt are left out first."""
    if len(in_flight) > MOST_LISTED:
        in_flight = sorted(in_flight, key=lambda record: record.not_before is not None)
    return in_flight[:MOST_LISTED]


def _in_flight(record: TrackedFile, now: float) -> InFlight:
    size, done, file = record.version.size, record.done, record.file
    rate = record.meter.rate(now) if record.meter else 0.0
    return InFlight(
        file=printable(file.name),
        session=file.session,
        date=file.date if isinstance(file, FileRef) else f"{datetime.now(UTC):%Y%m%d}",  # which its claim is about to give it
        state=state_of(record),
        size=size,
        done=done,
        rate=rate,
        eta_s=(size - done) / rate if rate > 0 else None,
        attempts=record.attempts,
        error=record.error,
        retry_in_s=max(0.0, record.not_before - now) if record.not_before is not None else None,
    )


def _actor(ref: ActorRef) -> ActorStatus:
    call = ref.child.board.oldest() if ref.child else None
    return ActorStatus(
        ref.name,
        ref.state,
        ref.child.pid if ref.child else None,
        ref.restarts,
        call.seconds if call else 0.0,
        call.what if call else None,
    )
