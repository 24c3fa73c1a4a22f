"""What NFS calls took, as a histogram for the exporter. Main process, the exporter's thread; pure.

The children count durations into classes on their boards. An instrument of OpenTelemetry would want every single duration, so
the data points are made here, at each export, beside those of the instruments.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

from opentelemetry.sdk.metrics.export import AggregationTemporality, Histogram, HistogramDataPoint, Metric, MetricsData

from nfsw.actors.call_durations import BOUNDS_S, DurationsByCall

NAME = "nfs.call.duration"
UNIT = "s"
DESCRIPTION = "What NFS calls took, by `actor` and `call`; the scanner's `stat` looks at up to 256 files"


def with_call_times(data: MetricsData, calls: Mapping[str, DurationsByCall], begun_ns: int, scope_name: str) -> MetricsData:
    """`calls`: by actor. `begun_ns`: since when they are counted. `scope_name`: of the metrics that they are put beside."""
    points = list(_points(calls, begun_ns))
    if not points or not data.resource_metrics:
        return data
    metric = Metric(NAME, DESCRIPTION, UNIT, Histogram(points, AggregationTemporality.CUMULATIVE))
    resource, *others = data.resource_metrics
    scopes = [
        replace(scope, metrics=[*scope.metrics, metric]) if scope.scope.name == scope_name else scope for scope in resource.scope_metrics
    ]
    return replace(data, resource_metrics=[replace(resource, scope_metrics=scopes), *others])


def _points(calls: Mapping[str, DurationsByCall], begun_ns: int) -> Iterator[HistogramDataPoint]:
    now = time.time_ns()
    for actor, tallies in calls.items():
        for call, durations in tallies.items():
            yield HistogramDataPoint(
                attributes={"actor": actor, "call": call},
                start_time_unix_nano=begun_ns,
                time_unix_nano=now,
                count=durations.calls,
                sum=durations.seconds,
                bucket_counts=durations.counts,
                explicit_bounds=BOUNDS_S,
                min=None,  # type: ignore[arg-type]  # not kept, and the protocol does without them
                max=None,  # type: ignore[arg-type]
            )
