"""What a failed attempt means for its file: how long it waits for the next one, and what ends the wait early. Main process.

There is one level of retry above the single block: the attempt.
"""

import logging
import random
import time

from nfsw.actors.backoff import pause_s
from nfsw.actors.envelope import Lost
from nfsw.actors.logs import about
from nfsw.actors.messages import Failed, Outage, UploadFailed
from nfsw.supervisor.scheduler import Scheduler
from nfsw.supervisor.telemetry import Telemetry
from nfsw.supervisor.tracked_file import TrackedFile

log = logging.getLogger("nfsw.pipeline")

#: The bounds of the pauses after a failure, in seconds: of NFS, of the staging disk or of an actor.
_PAUSES_S = (2.0, 300.0)
#: Of Azure, whatever an answer asks for: a wrong one would keep the file waiting for weeks.
_AZURE_PAUSES_S = (1.0, 300.0)
#: After a request that the service refuses for good, but for rights: what is not sent for nothing is the uplink's.
_REFUSED_PAUSES_S = (60.0, 3600.0)


class Retry:
    def __init__(self, scheduler: Scheduler, telemetry: Telemetry) -> None:
        self._scheduler = scheduler
        self._telemetry = telemetry
        self._rng = random.Random()  # noqa: S311 - spreads retries, hides nothing

    def outage_over(self, outage: Outage) -> None:
        """What it held up need not wait any longer."""
        self._scheduler.hasten(lambda record: record.outage is outage)

    def failed(self, record: TrackedFile, reply: Failed | Lost | UploadFailed, at: float) -> float:
        """An attempt has failed `at` this time (seconds, CLOCK_MONOTONIC). Returns how many seconds the next one has to wait."""
        outage = _outage(reply)
        for_good = isinstance(reply, UploadFailed) and reply.for_good
        bounds, at_least_s = _PAUSES_S, 0.0
        if isinstance(reply, UploadFailed):
            bounds = _REFUSED_PAUSES_S if for_good else _AZURE_PAUSES_S
            record.upload_refused = reply.refused
            at_least_s = min(reply.retry_after_s, bounds[1])
        elif isinstance(reply, Lost):
            at_least_s, record.soonest = reply.at_least_s, time.monotonic() + reply.at_least_s
        if (record.outage, record.refused_for_good) != (outage, for_good):
            record.failures = 0
        record.failures += 1
        self.count_failure(record, reply.error, "upload" if isinstance(reply, UploadFailed) else None)
        record.outage, record.refused_for_good = outage, for_good
        pause = max(pause_s(record.failures, *bounds, self._rng), at_least_s)
        file = record.file
        if isinstance(reply, Lost):
            log.error("postponed by %.0f s: %s", pause, reply.error, extra=about(file.session, file.name, "dead-letter"))
        if isinstance(reply, UploadFailed):
            extra = about(file.session, file.name, "upload")
            log.warning("attempt %d failed, next one in %.1f s: %s", record.attempts, pause, reply.error, extra=extra)
            self._telemetry.attempt_failed(record, reply, pause, at)
        return pause

    def count_failure(self, record: TrackedFile, error: str, step: str | None) -> None:
        """Counts once, until it succeeds."""
        if record.error is None:
            self._telemetry.failed(record, error, step)
        record.error = error

    def got_over(self, record: TrackedFile) -> None:
        """What held the file up does so no more, and maybe not others either."""
        outage, record.outage = record.outage, None
        record.error, record.failures, record.soonest = None, 0, 0.0
        record.upload_refused = record.refused_for_good = False
        if outage:
            self.outage_over(outage)


def _outage(reply: Failed | Lost | UploadFailed) -> Outage | None:
    if isinstance(reply, Lost):  # an actor that hung did so as it does when the server is away; one that crashed is the file's fault
        return None if reply.at_least_s else Outage.NFS
    return reply.outage
