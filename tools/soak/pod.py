"""A pod and its kubelet: the service is started, probed, and started again whenever it ends. A thread of the harness."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

from tests.support.http import call
from tests.support.processes import listening_port
from tests.support.service import Service
from tools.soak.process import children

ACTORS = ("keeper", "scanner", "claimer", "uploader", "collector")
#: Seconds between two looks at the process, and between two probes.
_LOOK_S = 0.05
_PROBE_S = 0.5
#: Probes in a row without an answer before the kubelet restarts a pod that does not say 503.
_SILENT_PROBES = 20
#: So soon after the main process all others are gone, in seconds. A loaded machine gets more than the contract's one.
_GONE_WITHIN_S = 10.0
#: Exits of the service by itself that are as they should be: another pod has its session (EX_TEMPFAIL).
LOST_SESSION = 75


@dataclass(slots=True)
class Pod:
    name: str
    folder: Path
    staging: Path
    settings: Mapping[str, str]
    complain: Callable[[str], None]
    #: How long it stays away when its main process was killed, in seconds.
    away_s: Callable[[], float]
    service: Service | None = None
    #: The session that its status said it holds, and when it last said so (seconds, monotonic).
    session: str | None = None
    held_at: float = 0.0
    #: Since when its status says that it holds none (seconds, monotonic); None: it holds one, or says nothing.
    free_since: float | None = None
    #: When the main process was last found ended (seconds, monotonic).
    ended_at: float = 0.0
    #: Starts after the first one, by what made them necessary.
    restarts: Counter[str] = field(default_factory=Counter)
    lives: list[Service] = field(default_factory=list)
    _terminating: str | None = None
    _silent: int = 0
    _probe_at: float = 0.0

    def start(self) -> Service:
        self._silent, self._terminating = 0, None
        self._probe_at = time.monotonic() + _PROBE_S
        self.service = Service(self.folder / f"{self.name}-{len(self.lives) + 1}", self.settings)
        self.lives.append(self.service)
        return self.service

    def keep(self, enough: threading.Event) -> None:
        """The kubelet, until it is enough."""
        while not enough.wait(_LOOK_S):
            assert self.service is not None
            code = self.service.exit_code()
            if code is not None:
                self._restart(self.service, code, enough)
            elif time.monotonic() >= self._probe_at:
                self._probe(self.service)
                self._probe_at = time.monotonic() + _PROBE_S

    @property
    def pid(self) -> int | None:
        """Of the main process; None while there is none."""
        service = self.service
        return service.pid if service and service.exit_code() is None else None

    def runs(self) -> bool:
        """Whether the main process and all its children are there."""
        pid = self.pid
        return pid is not None and len(children(pid)) == len(ACTORS)

    def port(self) -> int | None:
        pid = self.pid
        return listening_port(pid) if pid else None

    def _restart(self, service: Service, code: int, enough: threading.Event) -> None:
        self.ended_at, self.session, self.free_since = time.monotonic(), None, None
        try:
            service.gone(_GONE_WITHIN_S)
        except AssertionError as left:
            self.complain(f"{self.name}: processes outlived the main one: {left}")
            service.leave_nothing()
        killed = code == -signal.SIGKILL
        self.restarts[self._terminating or ("SIGKILL" if killed else f"exit code {code}")] += 1
        if not killed and not self._terminating and code != LOST_SESSION:
            self.complain(f"{self.name} ended by itself with exit code {code}\n{service.report()}")
        if not enough.wait(self.away_s() if killed else 0):
            self.start()

    def _probe(self, service: Service) -> None:
        port = listening_port(service.pid)
        if port is None or self._terminating:
            return
        try:
            answer = call(port, "GET", "/healthz", timeout=2)
        except (OSError, HTTPException):
            self._silent += 1
            if self._silent >= _SILENT_PROBES:
                self._terminate(service, "/healthz silent")
            return
        self._silent = 0
        if answer.status != 200:
            self._terminate(service, "/healthz 503")

    def _terminate(self, service: Service, why: str) -> None:
        self._terminating = why
        service.send(signal.SIGTERM)
