"""Our own service as a side: started and ready before the clock starts, which is when its session is started.

The benchmark's process.
"""

import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any

from tests.support.http import NOTHING, call
from tests.support.processes import listening_port
from tools.bench.endpoint import CONTAINER, Endpoint
from tools.bench.ground import SESSION, Ground, WentWrong
from tools.bench.group import Group

#: How often the folders are looked at for the end of the run: what it adds to a wall time.
GLANCE_S = 0.005
READY_WITHIN_S = 60.0
#: No minimum age, and quick scans: two of them are the stability rule that is left.
AT_ONCE = {"APP_MIN_FILE_AGE_S": "0", "APP_POLL_INTERVAL_S": "0.1"}


def is_there() -> bool:
    return importlib.util.find_spec("nfsw.serve") is not None


@dataclass(frozen=True, slots=True)
class NfswSide:
    settings: Mapping[str, str] = field(default_factory=lambda: AT_ONCE)
    name: str = "nfsw"

    @staticmethod
    def with_md5() -> "NfswSide":
        return NfswSide({**AT_ONCE, "APP_CONTENT_MD5": "true"}, "nfsw-md5")

    @contextmanager
    def launch(self, ground: Ground, endpoint: Endpoint, group: Group) -> "Iterator[Nfsw]":
        service = Nfsw(ground, endpoint, group, self.settings)
        service.until_ready()
        yield service


class Nfsw:
    """One run of `nfsw serve`. Whoever owns the group ends it."""

    def __init__(self, ground: Ground, endpoint: Endpoint, group: Group, settings: Mapping[str, str]) -> None:
        self._ground = ground
        self._log = ground.work / "nfsw.log"
        places = {
            "APP_NFS_ROOT": str(ground.nfs),
            "APP_STAGING_DIR": str(ground.staging),
            "APP_AZURE_CONNECTION_STRING": endpoint.connection_string,
            "APP_AZURE_CONTAINER": CONTAINER,
            "APP_HOST": "127.0.0.1",
            "APP_PORT": "0",
        }
        self.started_at = time.monotonic()
        command = [sys.executable, "-m", "nfsw", "serve"]
        self._process: subprocess.Popen[bytes] = group.spawn(command, {**places, **settings, **endpoint.environment}, self._log)
        self._port: int | None = None

    @property
    def port(self) -> int:
        if self._port is None:
            self._port = listening_port(self._process.pid)
        if self._port is None:
            raise ConnectionError("it does not listen yet")
        return self._port

    def until_ready(self) -> float:
        """Seconds from its start to the first 200 of /readyz."""
        while time.monotonic() < self.started_at + READY_WITHIN_S:
            if self._process.poll() is not None:
                raise WentWrong(f"nfsw ended with {self._process.returncode}, see {self._log}")
            try:
                if call(self.port, "GET", "/readyz").status == 200:
                    return time.monotonic() - self.started_at
            except (OSError, HTTPException):
                pass  # not yet
            time.sleep(GLANCE_S)
        raise WentWrong(f"nfsw is not ready after {READY_WITHIN_S:.0f} s, see {self._log}")

    def begin(self) -> None:
        """After a crash the service resumes its session by itself, and there is nothing to begin."""
        answer = call(self.port, "POST", "/v1/watch/start", {"session": SESSION})
        if answer.status not in {201, 409}:
            raise WentWrong(f"the session does not start: {answer.body.decode()}")

    def wait(self, deadline_s: float) -> None:
        """The collector deletes a file after its blob is committed and verified: nothing left on NFS means all is done."""
        deadline = time.monotonic() + deadline_s
        while not self._ground.is_empty():
            if time.monotonic() > deadline:
                raise WentWrong(f"files are left after {deadline_s:.0f} s, see {self._log}; status: {self.status()}")
            time.sleep(GLANCE_S)

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = call(self.port, "GET", "/v1/watch/status", NOTHING).json()
        return answer

    def pids(self) -> dict[str, int]:
        """Of its actors, by name."""
        return {actor["name"]: actor["pid"] for actor in self.status()["actors"] if actor["pid"]}
