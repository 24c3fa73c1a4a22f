"""Orphans: as process 1 of a container, the main process inherits what `kubectl exec` leaves behind, and has to reap it.

Main process, one event loop. The statuses of its own children are left to whoever waits for them.
"""

import asyncio
import os
import signal
from collections.abc import Callable


def reap_orphans(is_ours: Callable[[int], bool]) -> None:
    """From now on. `is_ours` tells the processes that this one has started, and reaps itself, by their ids."""
    loop = asyncio.get_running_loop()

    def reap() -> None:
        while (pid := _ended()) is not None:
            if is_ours(pid):
                loop.call_soon(reap)  # it is reaped in this turn of the loop, by the watch on its process descriptor; then the next one
                return
            os.waitpid(pid, os.WNOHANG)

    loop.add_signal_handler(signal.SIGCHLD, reap)
    reap()


def _ended() -> int | None:
    """The id of a child that has ended and is not reaped. It stays so."""
    try:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return ended.si_pid if ended else None
