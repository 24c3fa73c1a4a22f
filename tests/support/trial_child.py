"""Starts a child process with a Trial in it, from the supervisor's side: the real one, but for what runs in it."""

import os

from nfsw.actors.config import Boot, ScannerConfig
from nfsw.supervisor.child import ProcessChild
from tests.support.azurite import CHECKOUT

SLOTS = 4
#: The real process wants one; a Trial looks at none of its config.
BOOT = Boot(ScannerConfig("/nowhere", 1.0, 1.0, 1.0, (), 1), "INFO", SLOTS)
NAME = "trial"


def start(*, one_hand: bool = False) -> ProcessChild:
    name = "one-hand" if one_hand else NAME
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    return ProcessChild.start(name, BOOT, SLOTS, environment=environment, module="tests.support.trial_process")
