"""What `GET /v1/watch/status` says, as plain values. Built in the main process from what the actors reported."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from nfsw.actors.stability import Rule
from nfsw.supervisor.actor_state import ActorState
from nfsw.supervisor.health import Condition, Health


class SessionState(StrEnum):
    #: New files of the session are claimed.
    ACTIVE = "active"
    #: Stopped: what is claimed is finished, nothing new is claimed.
    DRAINING = "draining"


class FileState(StrEnum):
    #: Being copied from NFS to local disk; its first blocks may be on their way to Azure already.
    STAGING = "staging"
    #: The staged copy is complete; blocks are being sent, or the next attempt is awaited (then `error` says why).
    UPLOADING = "uploading"


@dataclass(frozen=True, slots=True)
class SessionStatus:
    name: str
    state: SessionState
    started_at: datetime  # UTC
    resumed: bool  # found on NFS, not started by a call


@dataclass(frozen=True, slots=True)
class FileCounts:
    open_for_writing: int  # they would be taken if nobody had them open
    waiting_for_marker: int  # in incoming: their writers have not yet said that they are complete
    queued: int  # stable and waiting to be claimed
    staging: int
    uploading: int
    completed: int  # since the process started
    failed: int  # files that failed at least one upload attempt, since the process started
    refused: int
    hidden: int  # in incoming, with a name that begins with a dot: never taken


@dataclass(frozen=True, slots=True)
class ByteCounts:
    completed: int  # bytes of the completed files, since the process started
    staged: int  # bytes that staging holds or has promised to hold
    staging_limit: int
    sent: int  # bytes that have left for Azure, since the process started
    resent: int  # of these, bytes that had left once before


@dataclass(frozen=True, slots=True)
class Kept:
    """Files in Azure that are `.completed` and stay on NFS for APP_KEEP_COMPLETED_S: of the whole share, whichever pod sent them."""

    files: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class InFlight:
    file: str
    session: str
    date: str  # YYYYMMDD, UTC date of the claim
    state: FileState
    size: int  # bytes
    done: int  # bytes staged (staging); held by Azure, or on their way to it (uploading): what a failed request had sent does not count
    rate: float  # bytes per second staged, or sent, over the last seconds
    eta_s: float | None  # None: not moving
    attempts: int  # upload attempts, the current one included
    error: str | None  # of the latest failed attempt
    retry_in_s: float | None  # None: an attempt is under way


@dataclass(frozen=True, slots=True)
class RefusedFile:
    file: str
    session: str
    reason: str


@dataclass(frozen=True, slots=True)
class ActorStatus:
    name: str
    state: ActorState
    pid: int | None
    restarts: int
    busy_s: float  # how long its oldest call has lasted; 0.0 when idle
    doing: str | None  # that call, e.g. "scandir incoming/s1"


@dataclass(frozen=True, slots=True)
class Limits:
    upload_bytes_per_s: int | None  # None: no limit


@dataclass(frozen=True, slots=True)
class Stability:
    rule: Rule  # "lease": nobody has the file open for writing; "time": quiet for APP_WRITEBACK_AGE_S, since that cannot be known
    reason: str


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is known to be there and not in Azure yet."""

    files: int
    bytes: int  # of these files, those that have not left yet
    counted_at: datetime | None  # when `incoming` was counted; None: it has not been, and the backlog is without it
    rate: float | None  # bytes per second that have left over the last two minutes; None: not measured yet
    eta_s: float | None  # at this rate; None: not known yet, or never
    limit: int | None = None  # bytes per second that uploads may take at the moment, by schedule or call; None: no limit


@dataclass(frozen=True, slots=True)
class Disk:
    size: int  # bytes
    free: int  # bytes that the service may use
    measured_at: datetime  # UTC
    filling: float | None  # bytes per second over the last hour; negative: it empties. None: not known yet
    full_in_s: float | None  # at this rate; None: not known yet, or not within 30 days


@dataclass(frozen=True, slots=True)
class Disks:
    export: Disk | None  # None: not measured yet
    staging: Disk | None


@dataclass(frozen=True, slots=True)
class FinishedFile:
    number: int  # 1 is the first one since the process started
    file: str
    session: str
    date: str  # YYYYMMDD, UTC date of the claim
    size: int  # bytes
    seconds: float  # from the first attempt to the delete on NFS
    rate: float  # bytes per second over these
    attempts: int
    finished_at: datetime  # UTC


@dataclass(frozen=True, slots=True)
class FileHistory:
    """The files that were finished last; they are kept in memory alone."""

    since: datetime  # UTC; when the process started: nothing is known of files before
    files: tuple[FinishedFile, ...]  # the newest first


@dataclass(frozen=True, slots=True)
class Status:
    session: SessionStatus | None
    files: FileCounts
    bytes: ByteCounts
    in_flight: tuple[InFlight, ...]
    refused: tuple[RefusedFile, ...]
    actors: tuple[ActorStatus, ...]
    uploads: str  # "running" or "paused"
    stability: Stability | None  # None: not known yet
    waiting_for: tuple[str, ...]  # what holds the service up, in words; empty when nothing does
    health: Health  # all of it in one word
    conditions: tuple[Condition, ...]  # what that follows from, the most important first
    backlog: Backlog
    disks: Disks
    at: datetime  # UTC; when all of this was so
    kept: Kept = Kept()
