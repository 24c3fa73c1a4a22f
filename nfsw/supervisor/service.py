"""What the API may ask of the service: the seam between `nfsw.api` and the supervisor. Main process."""

from typing import Protocol

from nfsw.supervisor.status import FileHistory, Limits, Status
from nfsw.supervisor.throughput import ThroughputHistory


class SessionConflict(Exception):
    """The session cannot be started: one is active here, another pod holds it, or something is in its folder's place.

    The message names it.
    """


class NoSuchFile(Exception):
    """The session has no claimed file of that name."""


class SeveralFiles(Exception):
    """The session has several claimed files of that name. The message names their dates."""


class NoSession(Exception):
    """No session is active."""


class AzureSilent(Exception):
    """The Azure container has not answered since the process started, so no session is held. The message says what is known."""


class NfsSilent(Exception):
    """NFS did not answer in time. The message names the call and how long it has lasted."""


class Service(Protocol):
    """All methods run on the main event loop; none of them touches NFS or Azure itself."""

    async def start(self, session: str | None) -> Status:
        """Start `session` (None: a new name, `00-session-<UUIDv7>`). Raises AzureSilent, SessionConflict, NfsSilent."""

    async def stop(self) -> Status:
        """Claim no more; finish what is claimed. Raises NoSession, NfsSilent."""

    async def abandon(self, session: str, file: str, date: str | None) -> Status:
        """Give up on a claimed file: it stays under `.processing`, and its session can end without it.

        `file`: its name as the directory or the status has it. `date`: of its claim (YYYYMMDD); None: the only one there is.
        Raises SessionConflict (the session is not this pod's), NoSuchFile, SeveralFiles, NfsSilent.
        """

    def status(self) -> Status: ...

    def history(self, after: int) -> FileHistory:
        """The files that were finished last, the newest first; without those whose number is not above `after`."""

    def throughput(self) -> ThroughputHistory: ...

    def unhealthy_reason(self) -> str | None:
        """Why the pod has to be restarted; None in normal life. Latched: it never goes back to None."""

    def unready(self) -> str | None:
        """Why the service is not ready; None when every actor runs, none hangs and the container answered."""

    def limits(self) -> Limits: ...

    async def limit_uploads(self, bytes_per_s: int | None) -> Limits:
        """Until the next call or restart; overrides the setting. None: no limit."""

    async def pause_uploads(self) -> Status: ...

    async def resume_uploads(self) -> Status: ...
