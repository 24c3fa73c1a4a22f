"""The real service as a subprocess: started, asked over HTTP, killed, and never left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.support.azurite import CHECKOUT
from tests.support.http import NOTHING, Answer, call
from tests.support.logs import TROUBLE, LogLine, read_log
from tests.support.processes import Process, listening_port, marked, tied_to_us
from tests.support.shape import check_status
from tests.support.stopwatch import Stopwatch
from tests.support.waiting import until

type Status = dict[str, Any]

MARK = "NFSW_TEST_MARK"
READY_WITHIN = 60.0
EXIT_WITHIN = 90.0
GONE_WITHIN = 1.5  # the contract says 1 s; and a look at all processes of this machine takes a while
CROWDED = 10.0  # so many times as long may it take by the clock on the wall, where others use the machine too


@dataclass(frozen=True, slots=True)
class Actor:
    name: str
    state: str
    pid: int
    restarts: int


def clean_environment(home: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the caller's but the way to programs: no APP_, AZURE_ or OTEL_ variable of a developer's shell gets in."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), **settings}


def run_nfsw(
    home: Path, *arguments: str, settings: Mapping[str, str] | None = None, timeout: float = 60, through: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """One command, to its end. `through`: a command that runs the one behind it, such as nice."""
    return subprocess.run(
        [*through, sys.executable, "-m", "nfsw", *arguments],
        env=clean_environment(home, settings or {}),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


class Service:
    """One run of `nfsw serve`. Its stdout and stderr go to files in `folder`, or the former to `stdout`, a descriptor.

    `through`: a command that becomes the service.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str], stdout: int | None = None, through: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True)
        self.stdout, self.stderr = folder / "stdout", folder / "stderr"
        self._mark = f"{MARK}={uuid4()}"
        name, _, value = self._mark.partition("=")
        with self.stdout.open("wb") as out, self.stderr.open("wb") as err:
            self._main = subprocess.Popen(
                tied_to_us([*through, sys.executable, "-m", "nfsw", "serve"]),
                env=clean_environment(folder, {**settings, name: value}),
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=out if stdout is None else stdout,
                stderr=err,
                start_new_session=True,
            )
        self._port: int | None = None

    # -- asking it

    @property
    def pid(self) -> int:
        return self._main.pid

    @property
    def port(self) -> int:
        """Waits until it listens."""
        if self._port is None:
            self._port = until(self._listening, within=READY_WITHIN, what=lambda: f"it listens\n{self.report()}")
        return self._port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(self, method: str, path: str, body: object = NOTHING, *, timeout: float = 10) -> Answer:
        return call(self.port, method, path, body, timeout=timeout)

    def ready(self) -> "Service":
        until(lambda: self._answers(200, "/readyz"), within=READY_WITHIN, what=lambda: f"/readyz says 200\n{self.report()}")
        return self

    def start_session(self, name: str) -> Status:
        answer = self.call("POST", "/v1/watch/start", {"session": name})
        assert answer.status == 201, answer
        return check_status(answer.json())

    def status(self) -> Status:
        answer = self.call("GET", "/v1/watch/status")
        assert answer.status == 200, answer
        return check_status(answer.json())

    def actors(self) -> dict[str, Actor]:
        """Those that have a process at the moment."""
        found = (Actor(one["name"], one["state"], one["pid"], one["restarts"]) for one in self.status()["actors"] if one["pid"])
        return {actor.name: actor for actor in found}

    def log(self) -> list[LogLine]:
        return read_log(self.stdout)

    def report(self) -> str:
        """For a failed test: the end of what it said."""
        return "\n".join(
            f"--- {file.name} (pid {self.pid})\n{file.read_text(errors='replace')[-6000:]}" for file in (self.stdout, self.stderr)
        )

    # -- ending it

    def processes(self) -> list[Process]:
        return marked(self._mark)

    def exit_code(self) -> int | None:
        """Of the main process; None while it lives."""
        return self._main.poll()

    def send(self, number: signal.Signals) -> None:
        self._main.send_signal(number)

    def gone(self, within: float = GONE_WITHIN) -> int:
        """Waits until no process of it is left. The exit code of the main one."""
        watch = Stopwatch()
        until(
            lambda: self._main.poll() is not None and not self.processes(),
            within=CROWDED * within,
            what=lambda: f"all processes gone; left: {self.processes()}\n{self.report()}",
        )
        assert watch.seconds <= within, f"gone only after {watch.seconds:.2f} s\n{self.report()}"
        return self._main.wait()

    def reason_for_exit_1(self) -> str:
        """It ends by itself, and one line of the log says why. That line's message."""
        assert self.gone(EXIT_WITHIN) == 1, self.report()
        reasons = [line for line in self.log() if line["level"] in TROUBLE]
        assert len(reasons) == 1, self.report()
        return str(reasons[0]["message"])

    def stop(self) -> int:
        self.send(signal.SIGTERM)
        return self.gone()

    def crash(self) -> None:
        """SIGKILL to the main process alone; its children must see that for themselves."""
        self.send(signal.SIGKILL)
        self.gone()

    def leave_nothing(self) -> None:
        """Whatever state it is in."""
        while left := self.processes():
            for process in left:
                _kill(process.pid)
            self._main.wait()
        self._main.wait()

    def _listening(self) -> int | None:
        if self._main.poll() is not None:
            raise AssertionError(f"the service ended with exit code {self._main.returncode}\n{self.report()}")
        return listening_port(self.pid)

    def _answers(self, status: int, path: str) -> bool:
        try:
            return self.call("GET", path).status == status
        except (OSError, HTTPException):
            if self._main.poll() is not None:
                raise AssertionError(f"the service ended with exit code {self._main.returncode}\n{self.report()}") from None
            return False


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
