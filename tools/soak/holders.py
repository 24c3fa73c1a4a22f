"""Who holds which session, as the pods' own status says, and how long each session was nobody's. A thread of the harness."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPException

from tests.support.http import call
from tools.soak.pod import Pod

#: Seconds between two looks.
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Takeover:
    session: str
    by: str
    of: str  # the pod that held it before
    was_free: bool  # when that pod ended it was there and held none
    seconds: float  # from the end of that pod's main process until another says that it holds it


@dataclass(slots=True)
class Holders:
    pods: Sequence[Pod]
    takeovers: list[Takeover] = field(default_factory=list)
    _holder: dict[str, Pod] = field(default_factory=dict)

    def run(self, enough: threading.Event) -> None:
        while not enough.wait(_LOOK_S):
            for pod in self.pods:
                self._look(pod)

    def _look(self, pod: Pod) -> None:
        ended_at = {other.name: other.ended_at for other in self.pods}
        asked_at = time.monotonic()
        answers, session = _session(pod)
        pod.session = session
        if session is None:
            pod.free_since = (pod.free_since or asked_at) if answers else None
            return
        before = self._holder.get(session)
        if before is not None and ended_at[before.name] > before.held_at:
            # It ended after it was last seen holding the session, whoever it was: so the session was nobody's since.
            ended = ended_at[before.name]
            was_free = pod.free_since is not None and pod.free_since < ended
            self.takeovers.append(Takeover(session, pod.name, before.name, was_free, time.monotonic() - ended))
        self._holder[session] = pod
        pod.free_since, pod.held_at = None, time.monotonic()


def _session(pod: Pod) -> tuple[bool, str | None]:
    """Whether the pod answers, and the session that it holds."""
    port = pod.port()
    if port is None:
        return False, None
    try:
        answer = call(port, "GET", "/v1/watch/status", timeout=5)
    except (OSError, HTTPException):
        return False, None
    session = answer.json()["session"] if answer.status == 200 else None
    return True, str(session["name"]) if session else None
