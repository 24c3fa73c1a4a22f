"""Starts a child process with a Trial in it: the supervisor's side. As `ProcessChild.start`, but for what runs in it."""

import os
import socket
import subprocess
import sys

from nfsw.actors.board import Board
from nfsw.actors.channel import pack
from nfsw.actors.config import Boot, ScannerConfig
from nfsw.actors.envelope import Envelope
from nfsw.supervisor.child import ProcessChild
from tests.support.azurite import CHECKOUT

#: The real `main` wants one; a Trial looks at none of it.
NO_CONFIG = ScannerConfig("/nowhere", 1.0, 1.0, (), 1)
SLOTS = 4
NAME = "trial"


def start(*, one_hand: bool = False) -> ProcessChild:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    board = Board.create(SLOTS)
    name = "one-hand" if one_hand else NAME
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.trial_process", name, str(theirs.fileno()), str(board)],
        pass_fds=(theirs.fileno(), board),
        stdin=subprocess.DEVNULL,
        cwd=CHECKOUT,
    )
    theirs.close()
    ours.setblocking(False)
    ours.send(pack([Envelope(Boot(NO_CONFIG, "INFO", SLOTS))]))
    child = ProcessChild(process, ours, Board(board, SLOTS))
    os.close(board)
    return child
