"""The first moments of a child, before it imports what it needs: it ends with its parent, and shows that it lives.

The heartbeats prove that the interpreter runs, and no more: how long a start may take is the supervisor's matter. Once the child
has started, they come from the loop that does the work.
"""

import ctypes
import mmap
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: Seconds between two heartbeats.
HEARTBEAT_S = 1.0

_PR_SET_PDEATHSIG = 1


def tie_to(parent: int) -> None:
    """From now on this process ends with its parent, of which this is the id, and not before.

    The kernel sees to it (prctl(2), PR_SET_PDEATHSIG), whatever this process does by then. A Ctrl-C in the terminal reaches every
    process of the service, and what it means is decided in the main one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        os._exit(0)


@contextmanager
def heartbeats(board: int) -> Iterator[None]:
    """One at once and one a second until the block is left, into the first cell of the board with this descriptor."""
    over = threading.Event()
    with mmap.mmap(board, 8) as memory, memoryview(memory).cast("Q") as cells:

        def beat() -> None:
            while not over.wait(HEARTBEAT_S):
                cells[0] = time.monotonic_ns()

        cells[0] = time.monotonic_ns()
        beating = threading.Thread(target=beat, name="start", daemon=True)
        beating.start()
        try:
            yield
        finally:
            over.set()
            beating.join()
