"""A service whose telemetry goes to a collector that the test reads."""

from collections.abc import Iterator

import pytest

from tests.support.otlp import Collector, collector


@pytest.fixture(name="collector")
def _collector() -> Iterator[Collector]:
    with collector() as running:
        yield running
