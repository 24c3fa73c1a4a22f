"""`nfsw status --watch`: the status once a second until Ctrl-C, through restarts of the service. A client.

A terminal gets a live picture (`nfsw.client.live`), anything else plain lines, one a change (`nfsw.client.lines`).
"""

import os
import sys
import time
from typing import Protocol

from nfsw.client.decoding import Undecodable, decode
from nfsw.client.report import json_text
from nfsw.client.rest import Client, ClientError
from nfsw.supervisor.status import Status

INTERVAL_S = 1.0


class Screen(Protocol):
    def show(self, status: Status) -> None: ...

    def lost(self, reason: str) -> None:
        """The service cannot be asked at the moment."""

    def close(self) -> None: ...


def watch(client: Client, *, as_json: bool) -> None:
    """Returns at Ctrl-C. Raises ClientError when there is no service to begin with; one that goes away later is waited for."""
    status = client.status_json()
    screen = None if as_json else _screen()
    try:
        while True:
            _show(screen, status)
            time.sleep(INTERVAL_S)
            status = _again(client, screen)
    except KeyboardInterrupt:
        return
    finally:
        if screen:
            screen.close()


def _show(screen: Screen | None, status: object) -> None:
    if screen is None:
        print(json_text(status), flush=True)
        return
    try:
        screen.show(decode(Status, status))
    except Undecodable as error:
        raise ClientError(f"unexpected response (another version of nfsw?): {error}") from None


def _again(client: Client, screen: Screen | None) -> object:
    """The next status that there is, however long it takes."""
    while True:
        try:
            return client.status_json()
        except ClientError as error:
            if screen:
                screen.lost(str(error))
            time.sleep(INTERVAL_S)


def _screen() -> Screen:
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        from nfsw.client.live import LiveScreen  # noqa: PLC0415 - rich is only for terminals

        return LiveScreen()
    from nfsw.client.lines import LineScreen  # noqa: PLC0415

    return LineScreen(lambda line: print(line, flush=True), time.monotonic)
