"""A `Service` in memory: what the API, the status page and the command line are tried against.

It keeps the rules of the real one (one session at a time, no stop without a session) and shows whatever status it is given.
"""

import dataclasses
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from nfsw.actors.stability import Rule
from nfsw.supervisor.actor_state import ActorState
from nfsw.supervisor.health import Condition, Health, HealthState, Kind
from nfsw.supervisor.service import NoSession, NoSuchFile, Service, SessionConflict
from nfsw.supervisor.status import (
    ActorStatus,
    Backlog,
    ByteCounts,
    Disk,
    Disks,
    FileCounts,
    FileHistory,
    FileState,
    FinishedFile,
    InFlight,
    Limits,
    RefusedFile,
    SessionState,
    SessionStatus,
    Stability,
    Status,
)
from nfsw.supervisor.throughput import STEP_S, ThroughputHistory

MIB = 1024 * 1024
GIB = 1024 * MIB
NOON_SHARP = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
NOON = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)

ACTORS = tuple(
    ActorStatus(name, ActorState.RUNNING, pid, 0, 0.0, None)
    for pid, name in enumerate(("keeper", "scanner", "claimer", "uploader", "collector"), start=12)
)

IDLE = Status(
    session=None,
    files=FileCounts(0, 0, 0, 0, 0, 0, 0, 0, 0),
    bytes=ByteCounts(completed=0, staged=0, staging_limit=90 * GIB, sent=0, resent=0),
    in_flight=(),
    refused=(),
    actors=ACTORS,
    uploads="running",
    stability=Stability(Rule.LEASE, "leases are granted (nfs4)"),
    waiting_for=(),
    health=Health(HealthState.WAITING, "No session is active in this pod.", NOON_SHARP),
    conditions=(Condition(Kind.SESSION, HealthState.WAITING, "no session is active in this pod", None, NOON_SHARP),),
    backlog=Backlog(0, 0, None, None, 0.0),
    disks=Disks(None, None),
    at=NOON_SHARP + timedelta(hours=3, minutes=20),
)


def in_flight(file: str = "a.bin", **changes: object) -> InFlight:
    """A file at one tenth of its upload, but for `changes`."""
    usual = InFlight(
        file=file,
        session="s1",
        date="20260131",
        state=FileState.UPLOADING,
        size=10 * GIB,
        done=GIB,
        rate=118e6,
        eta_s=82.1,
        attempts=1,
        error=None,
        retry_in_s=None,
    )
    return dataclasses.replace(usual, **changes)  # type: ignore[arg-type]


ACTIVE = dataclasses.replace(
    IDLE,
    session=SessionStatus("s1", SessionState.ACTIVE, NOON, resumed=False),
    health=Health(HealthState.OK, "No file waits to be sent.", None),
    conditions=(),
)

BUSY = dataclasses.replace(
    ACTIVE,
    files=FileCounts(1, 0, queued=3, staging=1, uploading=4, completed=17, failed=1, refused=2, hidden=5),
    bytes=ByteCounts(completed=123_456_789, staged=31 * GIB, staging_limit=90 * GIB, sent=5 * GIB, resent=12 * MIB),
    in_flight=(
        in_flight("camera-left_20260131T115900.mp4"),
        in_flight("Überlänge 100% #1?.bin", done=9 * GIB, eta_s=9.0),
        in_flight("lidar.dat", state=FileState.STAGING, size=700 * MIB, done=350 * MIB, rate=310e6, eta_s=1.2, attempts=0),
        in_flight(
            "radar sweep.bin",
            size=3 * GIB,
            done=0,
            rate=0.0,
            eta_s=None,
            attempts=4,
            error="503 ServerBusy: the server is busy; it asked for 20 s of patience",
            retry_in_s=17.2,
        ),
        in_flight("<img src=x onerror=document.title='owned'>\x1b[2J\n\u202egnp.exe", size=0, done=0, rate=0.0, eta_s=None),
    ),
    refused=(
        RefusedFile("report.completed", "s1", "a name that ends in .completed is the mark of a file that was sent"),
        RefusedFile("caf\udce9.bin", "s1", "the name is not UTF-8"),
    ),
    health=Health(HealthState.OK, "8 files are on the way to Azure.", None),
    backlog=Backlog(1234, 1300 * GIB, NOON_SHARP, 118e6, 11_829.0),
    disks=Disks(Disk(2000 * GIB, 412 * GIB, NOON_SHARP, 9e6, 49_153.0), Disk(110 * GIB, 79 * GIB, NOON_SHARP, -1e6, None)),
)

HUNG = dataclasses.replace(
    BUSY,
    actors=tuple(
        dataclasses.replace(actor, state=ActorState.HUNG, busy_s=42.5, doing="scandir incoming/s1", restarts=1)
        if actor.name == "scanner"
        else actor
        for actor in ACTORS
    ),
    waiting_for=("scanner has waited for NFS in scandir incoming/s1 for 42 s", "a file of 3.0 GiB waits for room in staging"),
    health=Health(HealthState.TROUBLE, "Scanner has waited for NFS in scandir incoming/s1 for 42 s.", NOON_SHARP),
    conditions=(
        Condition(Kind.HANG, HealthState.TROUBLE, "scanner has waited for NFS in scandir incoming/s1 for 42 s", None, NOON_SHARP),
        Condition(Kind.ROOM, HealthState.WAITING, "a file of 3.0 GiB waits for room in staging", None, NOON_SHARP),
    ),
    backlog=Backlog(1234, 1300 * GIB, NOON_SHARP, 0.0, None),
)

NOTHING_FINISHED = FileHistory(NOON_SHARP, ())
NOTHING_SENT = ThroughputHistory(STEP_S, ())

#: Two files that were finished one after the other.
HISTORY = FileHistory(
    NOON_SHARP,
    (
        FinishedFile(2, "<b>lidar</b>.dat", "s1", "20260131", 700 * MIB, 6.2, 118e6, 1, NOON_SHARP + timedelta(seconds=70)),
        FinishedFile(1, "camera.mp4", "s1", "20260131", 10 * GIB, 91.0, 118e6, 2, NOON_SHARP + timedelta(seconds=60)),
    ),
)


@dataclass
class MemoryService:
    now: Status = IDLE
    held_elsewhere: dict[str, str] = field(default_factory=dict)  # session: the pod that holds it
    refuses: Exception | None = None  # what start and stop raise
    sickness: str | None = None
    unreadiness: str | None = None
    limit: int | None = None
    finished: FileHistory = NOTHING_FINISHED
    sent: ThroughputHistory = NOTHING_SENT

    async def start(self, session: str | None) -> Status:
        self._may_refuse()
        if self.now.session is not None:
            raise SessionConflict(f"session {self.now.session.name} is {self.now.session.state}")
        name = session or "00-session-019c1420-0000-7000-8000-000000000000"
        if holder := self.held_elsewhere.get(name):
            raise SessionConflict(f"session {name} is held by {holder}")
        return self._become(session=SessionStatus(name, SessionState.ACTIVE, NOON, resumed=False))

    async def stop(self) -> Status:
        self._may_refuse()
        if self.now.session is None:
            raise NoSession
        stopped = dataclasses.replace(self.now.session, state=SessionState.DRAINING) if self.now.in_flight else None
        return self._become(session=stopped)

    async def abandon(self, session: str, file: str, date: str | None) -> Status:
        self._may_refuse()
        if self.now.session is None or self.now.session.name != session:
            raise SessionConflict(f"this pod does not hold session {session}")
        if not [one for one in self.now.in_flight if one.file == file and date in (None, one.date)]:
            raise NoSuchFile
        refused = RefusedFile(file, session, "abandoned: by a call")
        return self._become(in_flight=tuple(one for one in self.now.in_flight if one.file != file), refused=(*self.now.refused, refused))

    def status(self) -> Status:
        return self.now

    def history(self, after: int) -> FileHistory:
        return dataclasses.replace(self.finished, files=tuple(file for file in self.finished.files if file.number > after))

    def throughput(self) -> ThroughputHistory:
        return self.sent

    def unhealthy_reason(self) -> str | None:
        return self.sickness

    def unready(self) -> str | None:
        return self.unreadiness

    def limits(self) -> Limits:
        return Limits(self.limit)

    async def limit_uploads(self, bytes_per_s: int | None) -> Limits:
        self.limit = bytes_per_s
        return self.limits()

    async def pause_uploads(self) -> Status:
        return self._become(uploads="paused")

    async def resume_uploads(self) -> Status:
        return self._become(uploads="running")

    def _may_refuse(self) -> None:
        if self.refuses is not None:
            raise self.refuses

    def _become(self, **changes: object) -> Status:
        self.now = dataclasses.replace(self.now, **changes)  # type: ignore[arg-type]
        return self.now


def _keeps_the_protocol(service: MemoryService) -> Service:
    return service
