"""A pytest plug-in for the guest: sends every test report to the host, where uml_items.py reads them. Runs in the guest."""

import json
import os
from pathlib import Path

import pytest

#: The guest's end of the line to the host. What is written there as "REPORT {...}" is a report of a test.
CHANNEL = Path("/dev/tty1")
REPORT = "REPORT "

#: Set in the guest's environment: whether this very process runs there.
GUEST = "NFSW_GUEST"


def inside() -> bool:
    return GUEST in os.environ


class Reporter:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._send(data)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._send({"nodeid": report.nodeid, "not_collected": report.longreprtext})

    def _send(self, data: object) -> None:
        with CHANNEL.open("w") as channel:
            channel.write(REPORT + json.dumps(data) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Reporter(config))
