"""A child process as the supervisor sees it: a channel, a board, a process to be killed and reaped. Main process."""

import asyncio
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import ClassVar, Protocol

from nfsw import run_module
from nfsw.actors.call_board import CallBoard
from nfsw.actors.channel import PACKET, pack, unpack
from nfsw.actors.envelope import Envelope, Message


class Child(Protocol):
    """One process of an actor. The in-memory one of the tests and the process below are the same to the supervisor."""

    pid: int
    board: CallBoard
    started: float  # seconds, monotonic

    async def send(self, envelopes: Sequence[Envelope]) -> None:
        """Waits while the child does not read. Raises OSError when it is gone."""

    async def receive(self) -> tuple[Envelope, ...] | None:
        """The next packet; None: the child is gone."""

    def kill(self) -> None:
        """SIGKILL. A call that hangs in state D keeps the process until it returns."""

    def ends(self, within_s: float) -> bool:
        """Whether it ends within that time. Holds up the event loop, and is for the very end alone."""

    async def gone(self) -> int:
        """Returns once the process has ended and is reaped: its exit code, negative for a signal."""

    def close(self) -> None:
        """Gives the channel and the board back."""


class ProcessChild:
    #: Process ids that are not reaped yet.
    _pids: ClassVar[set[int]] = set()

    def __init__(self, process: subprocess.Popen[bytes], sock: socket.socket, board: CallBoard) -> None:
        self.pid = process.pid
        self.board = board
        self.started = time.monotonic()
        self._process = process
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._pidfd = os.pidfd_open(process.pid)
        self._loop.add_reader(self._pidfd, self._reap)
        self._pids.add(process.pid)

    @classmethod
    def start(
        cls,
        name: str,
        boot: Message,
        slots: int,
        inherited: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
        module: str = "nfsw.actors",
    ) -> "ProcessChild":
        """Starts a fresh interpreter: no locks, threads or descriptors of the main process in it, but `inherited` ones. Returns at once.

        `boot`: the first message that the child reads. `slots`: of its board, one for each thread. `environment`: None: this
        process's own. Raises OSError, and leaves nothing behind, when the system has no process, memory or descriptor for it.
        """
        with ExitStack() as undone, ExitStack() as given:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            undone.callback(ours.close)
            given.callback(theirs.close)
            board = CallBoard.create(slots)
            given.callback(os.close, board)
            shown = CallBoard(board, slots)
            undone.callback(shown.close)
            process = subprocess.Popen(
                run_module.command(module, name, str(theirs.fileno()), str(board), str(os.getpid())),
                pass_fds=(theirs.fileno(), board, *inherited),
                stdin=subprocess.DEVNULL,
                env=environment,
            )
            undone.callback(_end, process)
            ours.setblocking(False)
            ours.send(pack([Envelope(boot)]))
            child = cls(process, ours, shown)
            undone.pop_all()
            return child

    @classmethod
    def is_ours(cls, pid: int) -> bool:
        """Whether it is a child that this process has started and will reap."""
        return pid in cls._pids

    async def send(self, envelopes: Sequence[Envelope]) -> None:
        await self._loop.sock_sendall(self._sock, pack(envelopes))

    async def receive(self) -> tuple[Envelope, ...] | None:
        try:
            packet = await self._loop.sock_recv(self._sock, PACKET)
        except ConnectionResetError:  # it died with messages of ours unread
            return None
        return unpack(packet) if packet else None

    def kill(self) -> None:
        if not self._ended.is_set():
            self._process.send_signal(signal.SIGKILL)

    def ends(self, within_s: float) -> bool:
        if self._ended.is_set():
            return True
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(within_s * 1000))

    async def gone(self) -> int:
        await self._ended.wait()
        return self._process.returncode

    def close(self) -> None:
        self._sock.close()
        self.board.close()

    def _reap(self) -> None:
        """The process descriptor became readable: all its threads have ended."""
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._process.wait()
        self._pids.discard(self.pid)
        self._ended.set()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Of a process that has just been started: it is in no call that could keep it."""
    process.kill()
    process.wait()
