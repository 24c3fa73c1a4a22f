"""The channel between the main process and one child: a SEQPACKET socket pair, a packet of pickled envelopes at a time.

A packet keeps its boundaries, so there is no framing. End of file is the death watch in both directions. Several
envelopes that wait go in one packet. Pickle is fair here: both ends are the same code, made by the same user.
"""

import pickle
import select
import socket
import threading
from collections import deque
from collections.abc import Iterator, Sequence

from nfsw.actors.envelope import Envelope

#: Envelopes in one packet. With names of at most 255 bytes a full packet stays far below the socket's send buffer (208 KiB).
BATCH = 64
#: Longer than any packet can be.
PACKET = 1 << 18


def pack(envelopes: Sequence[Envelope]) -> bytes:
    return pickle.dumps(tuple(envelopes), protocol=pickle.HIGHEST_PROTOCOL)


def unpack(packet: bytes) -> tuple[Envelope, ...]:
    envelopes = pickle.loads(packet)  # noqa: S301 - see the module's docstring
    assert isinstance(envelopes, tuple)
    return envelopes


class ChildEnd:
    """The child's end, for blocking code in threads. `send` may be called from any thread, `receive` from one."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._incoming = select.poll()
        self._incoming.register(sock, select.POLLIN)
        self._waiting: deque[Envelope] = deque()
        self._sending = threading.Lock()

    def send(self, envelope: Envelope) -> None:
        """Blocks while the main process does not read: that is the back-pressure. Raises OSError when it is gone."""
        self._waiting.append(envelope)
        with self._sending:
            while batch := tuple(self._take()):
                self._sock.sendall(pack(batch))

    def receive(self, timeout: float) -> tuple[Envelope, ...] | None:
        """The next packet; nothing within `timeout` seconds: an empty tuple; None when the main process is gone."""
        if not self._incoming.poll(timeout * 1000):
            return ()
        try:
            packet = self._sock.recv(PACKET)
        except ConnectionResetError:  # it ended with messages of ours unread
            return None
        return unpack(packet) if packet else None

    def _take(self) -> Iterator[Envelope]:
        for _ in range(BATCH):
            try:
                yield self._waiting.popleft()
            except IndexError:
                return
