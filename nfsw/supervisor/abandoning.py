"""Calls that abandon a claimed file, from the call until the Keeper has noted it on NFS. Main process."""

import asyncio
from collections.abc import Callable
from itertools import count

from nfsw.actors.envelope import Message
from nfsw.actors.files import FileRef
from nfsw.actors.messages import AbandonFailed, AbandonFile, FileAbandoned, NotOneClaimedFile
from nfsw.supervisor.service import NfsSilent, NoSuchFile, SeveralFiles


class Abandoning:
    def __init__(self, ask: Callable[[Message], None]) -> None:
        """`ask` posts a request to the Keeper."""
        self._ask = ask
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[FileRef]] = {}

    async def abandon(self, session: str, name: str, date: str | None, reason: str, timeout_s: float) -> FileRef:
        """Returns once the note is on NFS. Raises NoSuchFile, SeveralFiles, NfsSilent."""
        request = next(self._numbers)
        answer = self._answers[request] = asyncio.get_running_loop().create_future()
        self._ask(AbandonFile(request, session, name, date, reason))
        try:
            async with asyncio.timeout(timeout_s):
                file: FileRef = await answer
                return file
        except TimeoutError:
            raise NfsSilent(f"NFS has not answered for {timeout_s:.0f} s; the file is abandoned as soon as it does") from None
        finally:
            del self._answers[request]

    def on_abandoned(self, abandoned: FileAbandoned) -> None:
        if answer := self._waiting(abandoned.request):
            answer.set_result(abandoned.file)

    def on_not_one(self, found: NotOneClaimedFile) -> None:
        if answer := self._waiting(found.request):
            dates = ", ".join(found.dates)
            answer.set_exception(
                SeveralFiles(f"files of this name were claimed on {dates}; `date` has to say which one is meant")
                if dates
                else NoSuchFile("the session has no claimed file of this name")
            )

    def on_failed(self, failed: AbandonFailed) -> None:
        if answer := self._waiting(failed.request):
            answer.set_exception(NfsSilent(f"the file is not abandoned: {failed.error}"))

    def _waiting(self, request: int) -> "asyncio.Future[FileRef] | None":
        answer = self._answers.get(request)
        return answer if answer and not answer.done() else None
