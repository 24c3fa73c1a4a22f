"""A call that stops a session, until the stop outlives this pod. Main process."""

import asyncio
import logging
from collections.abc import Callable

from nfsw.actors.envelope import Job, Lost, Reply
from nfsw.actors.messages import Failed, MarkStopped, StopNoted
from nfsw.supervisor.actor_ref import Request
from nfsw.supervisor.service import NfsSilent

log = logging.getLogger("nfsw.sessions")


class StopRequest:
    """A stop counts once it outlives this pod: the Keeper has noted it beside the lock.

    Until then a restart would make the session active again, so the call that asked for the stop is not answered, and the note is
    asked for at every scan that finds it missing.
    """

    def __init__(self, session: str, ask: Callable[[Job, Callable[[Reply], None]], Request]) -> None:
        """`ask` posts a job to the Keeper."""
        self.session = session
        self._ask = ask
        self._settled = asyncio.Event()
        self._asked = False
        self.go_on()

    def go_on(self) -> None:
        """Asks for the note, unless it is there or on its way."""
        if not self._asked and not self._settled.is_set():
            self._asked = True
            self._ask(MarkStopped(self.session), self._on_reply)

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

    def _on_reply(self, reply: Reply) -> None:
        match reply:
            case StopNoted():
                self.settle()
            case Failed(error) | Lost(error):
                self._asked = False
                extra = {"session_name": self.session, "action": "stop"}
                log.error("cannot note that the session was stopped: %s", error, extra=extra)
            case _:
                raise TypeError(f"{reply!r} is no reply to MarkStopped")
