"""A child process: `nfsw.actors NAME CHANNEL BOARD`, started by the supervisor alone, with two descriptors.

What it needs to know comes as the first packet, so that no secret is in its arguments. It shows heartbeats from its first
moment on, before anything that takes long is imported: a slow machine is told from a dead process.
"""

import sys

from nfsw.actors.start import heartbeats


def main(name: str, channel: int, board: int) -> None:
    """Never returns."""
    with heartbeats(board):
        from nfsw.actors.process import prepared  # noqa: PLC0415 - this is what takes long

        run = prepared(name, channel, board)
    run()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
