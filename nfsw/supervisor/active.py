"""The session of this pod that was started by a call, or resumed: at most one at a time. Main process."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from nfsw.supervisor.status import SessionState, SessionStatus


@dataclass(slots=True)
class Active:
    name: str
    started_at: float  # seconds since the epoch
    resumed: bool
    draining: bool = False
    held: bool = False  # the Keeper has its lock

    def status(self) -> SessionStatus:
        state = SessionState.DRAINING if self.draining else SessionState.ACTIVE
        return SessionStatus(self.name, state, datetime.fromtimestamp(self.started_at, UTC), self.resumed)

    def why_busy(self, holdup: Callable[[str], str | None]) -> str:
        """Why no other session can be started. `holdup`: what keeps a session that was stopped from ending, if that is known."""
        if not self.draining:
            return f"session {self.name} is active in this pod"
        draining = f"session {self.name} is still draining in this pod"
        if reason := holdup(self.name):
            return f"{draining}: {reason}. POST /v1/watch/abandon gives up on a file that can never be finished"
        return draining
