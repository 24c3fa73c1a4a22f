"""Runs the tests of a folder in a user-mode Linux guest and reports them as if they had run here. Runs on the host.

The guest is booted before the first, and runs pytest with just those tests, in the same order. Their
reports (tracebacks, captured output, durations) come back one by one, so that -k, -x, --durations and a terminal work as usual.
"""

import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import pytest

from tests.support.uml import SCRATCH, Guest, GuestFailed, boot
from tests.support.uml_reporter import GUEST, REPORT

#: A test is cut off by its own timeout in the guest; this is added to it, in seconds, for a guest that hangs as a whole.
GRACE_S = 600.0
#: The timeout of a test that has none of its own, in seconds, as `pyproject.toml` has it.
USUAL_S = 300.0


class RemoteItems:
    """The guest, from the first test to the last."""

    def __init__(self, config: pytest.Config, nodes: list[str]) -> None:
        self._config = config
        self._nodes = nodes
        self._undo = contextlib.ExitStack()
        self._guest: Guest | None = None
        self._failure: str | None = None  # why no more reports will come

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._undo.close()

    def run(self, item: pytest.Item) -> None:
        """The whole protocol of one test: its setup, call and teardown have run in the guest when this returns."""
        hook = item.ihook
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        try:
            while True:
                report = self._next(item)
                hook.pytest_runtest_logreport(report=report)
                if report.when == "teardown":
                    break
        except GuestFailed as failure:
            self._failure = str(failure)
            hook.pytest_runtest_logreport(report=_failed(item, failure))
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        if item.nodeid == self._nodes[-1]:
            self._undo.close()

    def _next(self, item: pytest.Item) -> pytest.TestReport:
        if self._failure is not None:
            raise GuestFailed(f"not run: {self._failure}")
        guest = self._guest = self._guest or self._boot()
        while True:
            line = guest.line(_timeout_s(item) + GRACE_S)
            if line.startswith("exit "):
                raise GuestFailed(f"the tests in the guest ended before this one ({line})\n{guest.end_of_console()}")
            if not line.startswith(REPORT):
                continue
            data = json.loads(line.removeprefix(REPORT))
            if "not_collected" in data:
                raise GuestFailed(data["not_collected"])
            report = self._config.hook.pytest_report_from_serializable(config=self._config, data=data)
            if isinstance(report.longrepr, list):
                report.longrepr = tuple(report.longrepr)  # why it was skipped: JSON knows no tuples, and pytest asks for one
            if report.nodeid != item.nodeid:
                raise GuestFailed(f"{report.nodeid} has run in place of {item.nodeid}")
            return cast(pytest.TestReport, report)

    def _boot(self) -> Guest:
        job = self._undo.enter_context(tempfile.TemporaryDirectory(prefix="nfsw-guest-"))
        command = [sys.executable, "-m", "pytest", "-p", "tests.support.uml_reporter", "-p", "no:cacheprovider", "-q", *self._nodes]
        environment = dict(os.environ) | {
            GUEST: "1",
            "HOME": str(SCRATCH),
            "TMPDIR": str(SCRATCH),
            "PYTHONDONTWRITEBYTECODE": "1",  # the checkout is the host's
        }
        for name in [name for name in environment if name.startswith("PYTEST_XDIST")]:
            del environment[name]  # the guest's pytest is nobody's worker
        return self._undo.enter_context(boot(command, environment=environment, cwd=self._config.rootpath, job=Path(job)))


def _timeout_s(item: pytest.Item) -> float:
    own = item.get_closest_marker("timeout")
    return float(own.args[0]) if own else USUAL_S


def _failed(item: pytest.Item, failure: GuestFailed) -> pytest.TestReport:
    def fail() -> None:
        raise failure

    return pytest.TestReport.from_item_and_call(item, pytest.CallInfo.from_call(fail, when="call"))
