"""A child process: `nfsw.actors NAME CHANNEL BOARD PARENT`, started by the supervisor alone: two descriptors, the id of its process.

What it needs to know comes as the first packet, so that no secret is in its arguments. It shows heartbeats from its first
moment on, before anything that takes long is imported: a slow machine is told from a dead process.
"""

import sys

from nfsw.actors.start import heartbeats, tie_to


def main(name: str, channel: int, board: int, parent: int) -> None:
    """Never returns."""
    tie_to(parent)
    with heartbeats(board):
        from nfsw.actors.process import prepared  # noqa: PLC0415 - this is what takes long

        run = prepared(name, channel, board)
    run()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
