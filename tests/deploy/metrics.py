"""The metrics that the service creates, and their names in Prometheus, as the collector's exporter makes them of OpenTelemetry's."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from opentelemetry.metrics import (
    CallbackT,
    Counter,
    Histogram,
    NoOpMeter,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.trace import NoOpTracer

from nfsw.schedule import UploadSchedule
from nfsw.supervisor import call_times
from nfsw.supervisor.actor_ref import ActorRef, ChildSpec
from nfsw.supervisor.assembly import Limits, MainProcess, assemble
from nfsw.supervisor.child import Child
from nfsw.supervisor.instruments import Instruments
from nfsw.supervisor.telemetry import Telemetry

HISTOGRAM = ("bucket", "sum", "count")
UNITS = {"s": "seconds", "By": "bytes", "1": "ratio"}


@dataclass(frozen=True, slots=True)
class Instrument:
    name: str
    unit: str
    #: What Prometheus sees of it: one series for each ending.
    endings: tuple[str, ...] = ("",)

    def series(self) -> Iterator[str]:
        parts = [self.name.replace(".", "_"), UNITS.get(self.unit, "")]
        yield from ("_".join(part for part in (*parts, ending) if part) for ending in self.endings)


class _Recorder(NoOpMeter):
    """A meter that notes what is created on it. A kind that is not here is not noted, and a panel that asks for it fails."""

    def __init__(self) -> None:
        super().__init__("recorder")
        self.created: list[Instrument] = []

    def create_counter(self, name: str, unit: str = "", description: str = "") -> Counter:
        self.created.append(Instrument(name, unit, ("total",)))
        return super().create_counter(name, unit, description)

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> UpDownCounter:
        self.created.append(Instrument(name, unit))
        return super().create_up_down_counter(name, unit, description)

    def create_histogram(
        self, name: str, unit: str = "", description: str = "", *, explicit_bucket_boundaries_advisory: Sequence[float] | None = None
    ) -> Histogram:
        self.created.append(Instrument(name, unit, HISTOGRAM))
        return super().create_histogram(name, unit, description, explicit_bucket_boundaries_advisory=explicit_bucket_boundaries_advisory)

    def create_observable_counter(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> ObservableCounter:
        self.created.append(Instrument(name, unit, ("total",)))
        return super().create_observable_counter(name, callbacks, unit, description)

    def create_observable_up_down_counter(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> ObservableUpDownCounter:
        self.created.append(Instrument(name, unit))
        return super().create_observable_up_down_counter(name, callbacks, unit, description)

    def create_observable_gauge(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> ObservableGauge:
        self.created.append(Instrument(name, unit))
        return super().create_observable_gauge(name, callbacks, unit, description)


async def _main_process(telemetry: Telemetry) -> MainProcess:
    """One whose actors are never started."""

    def start() -> Child:
        raise AssertionError("nobody starts it")

    refs = [ActorRef(ChildSpec(name, start, None)) for name in ("uploader", "keeper", "scanner", "claimer", "collector")]
    return assemble(refs, telemetry, Limits(1, 1, 1, None, 1.0, 1.0), UploadSchedule.OFF, lambda _: None)


def instruments() -> list[Instrument]:
    """Every metric of the service's own."""
    recorder = _Recorder()
    telemetry = Telemetry(NoOpTracer(), recorder)
    Instruments(recorder, asyncio.run(_main_process(telemetry)), telemetry.totals)
    return [*recorder.created, Instrument(call_times.NAME, call_times.UNIT, HISTOGRAM)]
