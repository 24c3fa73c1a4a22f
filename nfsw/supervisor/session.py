"""The record of one session: whether this pod holds it, and what for. Main process."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from nfsw.supervisor.actor_ref import Request
from nfsw.supervisor.status import SessionState, SessionStatus
from nfsw.supervisor.stop_request import StopRequest


class Holding(Enum):
    #: Found on NFS, and held by nobody, as far as is known.
    FREE = "free"
    #: The Keeper has been asked for its lock.
    ASKED = "asked"
    #: Its new files are claimed, as far as Azure's admission goes.
    ACTIVE = "active"
    #: It was stopped: what is claimed is finished, nothing new is claimed.
    DRAINING = "draining"
    #: Held for its claimed files' sake alone.
    ORPHANED = "orphaned"
    #: The Keeper has been asked to give it up.
    RELEASING = "releasing"
    #: It is over, though a folder of it stays, for the sake of what others put into it.
    ENDED = "ended"


_HELD = (Holding.ACTIVE, Holding.DRAINING, Holding.ORPHANED)


@dataclass(slots=True, eq=False)
class Session:
    name: str
    holding: Holding = Holding.FREE
    started_at: float = 0.0  # seconds since the epoch
    resumed: bool = True  # it was found on NFS, not started by a call
    was_active: bool = False  # an orphan that a call had made active
    free_since: float | None = None  # since when nobody seems to hold it (monotonic)
    holder: str | None = None  # the pod that has it, as far as is known
    lapsed: bool = False  # held by us, but NFS would not give a new Keeper the lock
    acquiring: Request | None = None
    started: "asyncio.Future[None] | None" = None  # the call that starts it waits for this
    stop: StopRequest | None = None

    @property
    def held(self) -> bool:
        return self.holding in _HELD

    @property
    def running(self) -> bool:
        """It is the pod's active session, or was until a call stopped it."""
        return self.holding in (Holding.ACTIVE, Holding.DRAINING)

    def status(self) -> SessionStatus:
        state = SessionState.DRAINING if self.holding is Holding.DRAINING else SessionState.ACTIVE
        return SessionStatus(self.name, state, datetime.fromtimestamp(self.started_at, UTC), self.resumed)
