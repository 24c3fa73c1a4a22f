"""A stop counts once it outlives this pod: the Keeper has noted it beside the lock. Main process.

Until then a restart would make the session active again, so the call that asked for the stop is not answered, and the note is
asked for at every look that finds it missing.
"""

import asyncio
from collections.abc import Callable

from nfsw.actors.envelope import Message
from nfsw.actors.messages import Drain
from nfsw.supervisor.service import NfsSilent


class Stopping:
    def __init__(self, session: str, ask: Callable[[Message], None]) -> None:
        """`ask` posts a request to the Keeper."""
        self.session = session
        self._ask = ask
        self._settled = asyncio.Event()
        self._asked = False
        self.go_on()

    def go_on(self) -> None:
        """Asks for the note, unless it is there or on its way."""
        if not self._asked and not self._settled.is_set():
            self._asked = True
            self._ask(Drain(self.session))

    def failed(self) -> None:
        self._asked = False

    def settle(self) -> None:
        """It is noted, or the session is over."""
        self._settled.set()

    async def settled(self, timeout_s: float) -> None:
        """Raises NfsSilent."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._settled.wait()
        except TimeoutError:
            raise NfsSilent(
                f"session {self.session} claims nothing any more, but NFS has not taken a note of it for {timeout_s:.0f} s; "
                "until it has, a restart makes the session active again"
            ) from None
