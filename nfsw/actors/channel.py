"""The channel between the main process and one child: a SEQPACKET socket pair, a packet of envelopes in MessagePack at a time.

A packet keeps its boundaries, so there is no framing. End of file is the death watch in both directions. Several
envelopes that wait go in one packet. What arrives is checked against the types of the messages.
"""

import select
import socket
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Union

import msgspec

from nfsw.actors import config, messages
from nfsw.actors.envelope import Envelope, Job, Message, Reply

#: Envelopes in one packet. With names of at most 255 bytes a full packet stays far below the socket's send buffer (208 KiB).
BATCH = 64
#: Longer than any packet can be.
PACKET = 1 << 18

type _Packed = list[tuple[Message, int | None, str | None, float]]


def _kinds(base: type[Message]) -> tuple[type[Message], ...]:
    return tuple(leaf for kind in base.__subclasses__() for leaf in (_kinds(kind) if kind in (Job, Reply) else (kind,)))


#: Every kind of message that one of these modules has, and no other.
_KINDS = tuple(kind for kind in _kinds(Message) if kind.__module__ in (Message.__module__, config.__name__, messages.__name__))
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[_Packed] = msgspec.msgpack.Decoder(
    list[tuple[Union[_KINDS], int | None, str | None, float]]  # type: ignore[valid-type]  # noqa: UP007 - known at run time alone
)


def pack(envelopes: Sequence[Envelope]) -> bytes:
    return _encoder.encode([(envelope.message, envelope.number, envelope.traceparent, envelope.told_at) for envelope in envelopes])


def unpack(packet: bytes) -> tuple[Envelope, ...]:
    """Raises msgspec.DecodeError for what is no packet of envelopes."""
    return tuple(Envelope(*packed) for packed in _decoder.decode(packet))


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
