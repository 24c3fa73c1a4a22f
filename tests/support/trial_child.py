"""Starts a child process with a Trial in it, from the supervisor's side: the real one, but for what runs in it."""

import os

from nfsw.actors.config import ScannerConfig
from nfsw.supervisor.child import ProcessChild
from tests.support.azurite import CHECKOUT

#: The real process wants one; a Trial looks at none of it.
NO_CONFIG = ScannerConfig("/nowhere", 1.0, 1.0, 1.0, (), 1)
SLOTS = 4
NAME = "trial"


def start(*, one_hand: bool = False) -> ProcessChild:
    name = "one-hand" if one_hand else NAME
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    return ProcessChild.start(name, NO_CONFIG, "INFO", SLOTS, environment=environment, module="tests.support.trial_process")
