"""Heartbeats of a child that is still importing what it needs. Imports next to nothing itself.

They prove that the interpreter runs, and no more: how long a start may take is the supervisor's matter. Once the child has
started, they come from the loop that does the work.
"""

import mmap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: Seconds between two heartbeats.
HEARTBEAT_S = 1.0


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
