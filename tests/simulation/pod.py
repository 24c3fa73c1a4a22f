"""One simulated pod: the real main process around simulated children, put together as `nfsw.serve` does it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import NoOpTracerProvider

from nfsw.actors.actor import Actor
from nfsw.actors.azure_store import Store
from nfsw.actors.claimer import Claimer
from nfsw.actors.collector import Collector
from nfsw.actors.config import ClaimerConfig, CollectorConfig, KeeperConfig, ScannerConfig, UploaderConfig
from nfsw.actors.envelope import Job
from nfsw.actors.keeper import Keeper
from nfsw.actors.manifest import largest_staged
from nfsw.actors.scanner import Scanner
from nfsw.actors.uploader import Uploader
from nfsw.schedule import UploadSchedule
from nfsw.supervisor.actor_ref import ActorRef, ChildSpec
from nfsw.supervisor.assembly import Limits, assemble
from nfsw.supervisor.telemetry import Telemetry
from tests.simulation.child import SimulatedChild
from tests.simulation.service import SimulatedStore

if TYPE_CHECKING:
    from tests.simulation.world import World

HANG_S = 10.0
SWEEP_S = 30.0
ESCALATE_S = 40.0
#: Seconds from the moment at which a pod is unhealthy until its container has been started anew.
_KUBELET_S = 10.0


class Pod:
    """Until `end`; then nothing of it runs any more, but the calls that cannot be killed."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.name = f"pod{number}"
        self.staging = f"{world.root}/staging{number}"
        self.children: dict[str, SimulatedChild] = {}
        Path(self.staging).mkdir(exist_ok=True)
        setting = world.setting
        telemetry = Telemetry(NoOpTracerProvider().get_tracer("simulation"), NoOpMeterProvider().get_meter("simulation"))
        limits = Limits(setting.workers, setting.queue, setting.staging_limit, setting.block_size, HANG_S, ESCALATE_S)
        self.main = assemble(self._refs(), telemetry, limits, UploadSchedule.OFF, self._lost)
        self.refs = self.main.supervisor.refs
        self.sessions = self.main.sessions
        self.service = self.main.service
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self.service.run(), name=f"{self.name} service"),
            loop.create_task(self._checked(), name=f"{self.name} container"),
            loop.create_task(self._probed(), name=f"{self.name} kubelet"),
        ]
        self._tasks[0].add_done_callback(self._failed)
        self.ended = False

    def end(self, *, wiped: bool = False) -> None:
        """SIGKILL for all of it."""
        self.ended = True
        for task in self._tasks:
            task.cancel()
        for ref in self.refs.values():
            for child in (ref.child, *ref.lost):
                if isinstance(child, SimulatedChild):
                    child.kill()
        if wiped:
            shutil.rmtree(self.staging, ignore_errors=True)
            Path(self.staging).mkdir(exist_ok=True)

    def jobs(self) -> list[Job]:
        """All that is in hand."""
        requests = [request for ref in self.refs.values() for request in ref.in_hand.values() if not request.withdrawn]
        return [request.delivered for request in requests if request.delivered]

    def _lost(self, reason: str) -> None:
        self.world.event(self.name, f"exit 75: {reason}")
        self.world.restarts(self, _KUBELET_S)

    def _failed(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self.world.violated(f"the main process of {self.name} crashed: {error!r}", error)

    async def _checked(self) -> None:
        if reason := await self.service.container_checked():
            self.world.event(self.name, f"exit 1: {reason}")
            self.world.restarts(self, _KUBELET_S)

    async def _probed(self) -> None:
        """The kubelet's liveness probe."""
        while not (reason := self.service.unhealthy_reason()):  # noqa: ASYNC110 - a probe comes when it comes
            await asyncio.sleep(10)
        self.world.event(self.name, f"unhealthy: {reason}")
        self.world.restarts(self, _KUBELET_S)

    def _refs(self) -> list[ActorRef]:
        world, setting = self.world, self.world.setting
        root, staging, workers, block = world.nfs, self.staging, setting.workers, setting.block_size
        largest = largest_staged(setting.staging_limit, block)
        scanner = ScannerConfig(root, 2.0, 5.0, 40.0, (), largest, setting.recursive, setting.done_suffix)
        collector = CollectorConfig(
            root, staging, SWEEP_S, workers, setting.keep_s, recursive=setting.recursive, min_file_age_s=5.0, writeback_age_s=40.0
        )
        claimer = ClaimerConfig(root, staging, block, workers, setting.content_md5, setting.done_suffix)
        uploader = UploaderConfig(staging, None, None, "c", setting.single_put, 3, workers)
        return [
            self._ref("uploader", lambda child: Uploader(uploader, cast(Store, SimulatedStore(child))), None),
            self._ref("keeper", lambda child: Keeper(KeeperConfig(root, self.name), child.own_board), 1),
            self._ref("scanner", lambda child: Scanner(scanner, child.own_board), None),
            self._ref("claimer", lambda child: Claimer(claimer, child.own_board), workers),
            self._ref("collector", lambda child: Collector(collector, child.own_board), workers),
        ]

    def _ref(
        self,
        name: str,
        make: Callable[[SimulatedChild], Actor | Uploader],
        capacity: int | None,
    ) -> ActorRef:
        def start() -> SimulatedChild:
            child = self.children[name] = SimulatedChild(self, name, make)
            return child

        return ActorRef(ChildSpec(name, start, capacity))
