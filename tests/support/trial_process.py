"""`tests.support.trial_process NAME CHANNEL BOARD PARENT`: the real child process with a Trial for its actor."""

import sys
from unittest.mock import patch

from nfsw.actors import __main__ as real
from nfsw.actors import process
from nfsw.actors.call_board import CallBoard
from nfsw.actors.config import Boot
from tests.support.trial import OneHand, Trial, spoken


def _trial(_: Boot, board: CallBoard) -> Trial:
    return OneHand(board) if sys.argv[1] == "one-hand" else Trial(board)


if __name__ == "__main__":
    with spoken(), patch.object(process, "_actor", _trial):
        real.main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
