"""The main process, put together around its actors. No I/O; the children are not started yet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nfsw.schedule import UploadSchedule
from nfsw.supervisor.actor_ref import ActorRef
from nfsw.supervisor.admission import Admission
from nfsw.supervisor.forecast import ArrivalCount
from nfsw.supervisor.pipeline import Pipeline
from nfsw.supervisor.router import Router
from nfsw.supervisor.sessions import Sessions
from nfsw.supervisor.staging_budget import StagingBudget
from nfsw.supervisor.supervisor import Supervisor
from nfsw.supervisor.telemetry import Telemetry
from nfsw.supervisor.tracked_file import TrackedFiles
from nfsw.supervisor.transfer_service import TransferService


@dataclass(frozen=True, slots=True)
class Limits:
    workers: int
    queue_size: int  # files
    staging_limit: int  # bytes
    block_size: int | None  # bytes; None: it grows with the file
    hang_timeout_s: float
    hang_escalate_s: float


@dataclass(frozen=True, slots=True)
class MainProcess:
    files: TrackedFiles
    budget: StagingBudget
    sessions: Sessions
    pipeline: Pipeline
    router: Router
    supervisor: Supervisor
    service: TransferService


def assemble(
    refs: Sequence[ActorRef], telemetry: Telemetry, limits: Limits, schedule: UploadSchedule, lost: Callable[[str], None]
) -> MainProcess:
    """`refs`: the uploader, keeper, scanner, claimer and collector. `lost` ends the service: another pod has what this one held."""
    by_name = {ref.name: ref for ref in refs}
    files = TrackedFiles()
    budget = StagingBudget(files, limits.staging_limit, limits.block_size)
    sessions = Sessions(
        Admission(),
        by_name["keeper"],
        show=lambda watch: router.show(watch),  # noqa: PLW0108 - the router is made below, with the sessions
        is_busy=files.is_busy,
        holdup=lambda session: service.holdup(session),  # noqa: PLW0108 - as above
        lost=lost,
    )
    by_name["keeper"].expendable = lambda: not sessions.holds_any
    pipeline = Pipeline(by_name, files, budget, sessions, telemetry, workers=limits.workers, queue_size=limits.queue_size)
    router = Router(by_name, pipeline, sessions, ArrivalCount(telemetry.totals))
    supervisor = Supervisor(refs, router, limits.hang_timeout_s, limits.hang_escalate_s, lambda: telemetry.progressed_at)
    service = TransferService(supervisor, router, sessions, telemetry, schedule, limits.hang_timeout_s)
    return MainProcess(files, budget, sessions, pipeline, router, supervisor, service)
