"""What a child process becomes once it has started: one actor and what runs it."""

import os
import socket
from collections.abc import Callable
from functools import partial

from nfsw.actors import logs
from nfsw.actors.actor import Actor
from nfsw.actors.call_board import CallBoard
from nfsw.actors.channel import PACKET, ChildEnd, unpack
from nfsw.actors.config import Boot, ClaimerConfig, CollectorConfig, KeeperConfig, ScannerConfig, UploaderConfig
from nfsw.actors.host import Host

#: Those that hash and send take all that the processors give; with this they do not keep a probe of the main process waiting.
_NICE = {"claimer": 5, "uploader": 5}


def prepared(name: str, channel: int, board: int) -> Callable[[], None]:
    """All is imported and made; what is returned runs the actor and never returns. Ends the process if there is no parent any more."""
    os.nice(_NICE.get(name, 0))
    sock = socket.socket(fileno=channel)
    packet = sock.recv(PACKET)
    if not packet:
        os._exit(0)
    boot = unpack(packet)[0].message
    assert isinstance(boot, Boot)
    logs.configure(boot.log_level, name, boot.log_export)
    shown = CallBoard(board, boot.board_slots)
    if isinstance(boot.actor, UploaderConfig):
        from nfsw.actors.async_host import run  # noqa: PLC0415 - event loop, TLS and SDK are for this one alone

        return partial(run, boot.actor, sock, shown)
    return Host(_actor(boot, shown), ChildEnd(sock), shown).run


def _actor(boot: Boot, board: CallBoard) -> Actor:
    """Imports one actor alone: each child is as small as it can be."""
    match boot.actor:
        case KeeperConfig():
            from nfsw.actors.keeper import Keeper  # noqa: PLC0415

            return Keeper(boot.actor, board)
        case ScannerConfig():
            from nfsw.actors.scanner import Scanner  # noqa: PLC0415

            return Scanner(boot.actor, board)
        case ClaimerConfig():
            from nfsw.actors.claimer import Claimer  # noqa: PLC0415

            return Claimer(boot.actor, board)
        case CollectorConfig():
            from nfsw.actors.collector import Collector  # noqa: PLC0415

            return Collector(boot.actor, board)
        case UploaderConfig():
            raise AssertionError("the Uploader has a host of its own")
