"""The line writer: one thread of each process that writes its log lines to stdout. Whoever logs goes on at once.

A stdout that nobody reads (containerd's copier of logs stalls, a pager is left open) fills its pipe, and then write(2) waits
without end. Here it is this thread alone that waits. The lines that wait behind it are bounded; more of them are dropped and
counted, and once the pipe is read again one line says how many.

A signal handler may log, whatever it has interrupted, and may wait for its lines. So nothing here is held that it could wait for:
a `threading.Event` holds a lock while it is set or waited for, a plain lock and a `SimpleQueue` do not.
"""

import logging
import os
import queue
import select
import threading

log = logging.getLogger("nfsw.logs")

#: Lines that wait at most. Each has at most 4 KiB.
_MOST = 1000
#: Once lines have been dropped, more of them are until no more than that many wait.
_FEW = _MOST // 2
#: Seconds for which a full queue is waited for before lines are dropped: a burst of lines fills it in less time than the thread takes
#: to get hold of the interpreter, though stdout is read. A stdout that is not read costs this time once.
_PATIENCE_S = 0.05


class LineWriter:
    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waiting: queue.SimpleQueue[bytes | threading.Lock | None] = queue.SimpleQueue()
        self._putting = threading.RLock()
        self._room = threading.Lock()  # the thread releases it when few lines are left
        # Each is changed by one side alone.
        self._dropped = 0  # lines that were not put
        self._failed = 0  # lines that could not be written
        self._said = 0  # of both together, those of which a line has told
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """To be written as it is, by one write(2). Any thread, a signal handler too."""
        if threading.current_thread() is self._thread:  # how many were dropped
            self._waiting.put(line)
            return
        with self._putting:
            if self._is_full():
                self._dropped += 1
            else:
                self._waiting.put(line)

    def flush(self, within_s: float) -> bool:
        """Whether all that has been put so far was written within these seconds. Any thread, a signal handler too."""
        written = threading.Lock()
        written.acquire()
        self._waiting.put(written)
        return written.acquire(timeout=within_s)

    def close(self) -> None:
        """Ends the thread once it has written what waits."""
        self._waiting.put(None)

    @property
    def _unsaid(self) -> int:
        return self._dropped + self._failed - self._said

    def _is_full(self) -> bool:
        """Waits a moment for room. When that was in vain, nobody waits again before the lines have become few."""
        if self._unsaid:
            return self._waiting.qsize() >= _FEW
        if self._waiting.qsize() < _MOST:
            return False
        self._room.acquire(blocking=False)
        if self._waiting.qsize() > _FEW:
            self._room.acquire(timeout=_PATIENCE_S)
        return self._waiting.qsize() > _FEW

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            if not isinstance(item, bytes):
                item.release()
            elif not self._write(item):
                self._failed += 1
            elif self._waiting.qsize() <= _FEW:
                if self._room.locked():
                    self._room.release()
                self._say_what_is_missing()

    def _write(self, line: bytes) -> bool:
        """False: stdout is closed, broken or full, and the line is lost."""
        while line:
            try:
                line = line[os.write(self._fd, line) :]
            except BlockingIOError:  # whoever shares it with us has set O_NONBLOCK
                select.select([], [self._fd], [])
            except OSError:
                return False
        return True

    def _say_what_is_missing(self) -> None:
        if unsaid := self._unsaid:
            self._said += unsaid
            log.warning("%d log lines were dropped, because stdout was not read or failed", unsaid, extra={"action": "log"})
