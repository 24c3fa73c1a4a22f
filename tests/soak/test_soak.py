"""A short crash storm: `make soak` runs it for as long as you like."""

from pathlib import Path

import pytest

from tests.support.azurite import Endpoint
from tests.support.blobs import Container
from tests.support.figures import Figure
from tools.soak.run import Plan, soak

KILLS = 30
SECONDS = 150.0
#: A machine that has other things to do may not come to all of them in that time.
LEAST = 20


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_short_storm_loses_nothing(tmp_path: Path, azurite: Endpoint, container: Container, figure: Figure) -> None:
    container.make()
    report = soak(Plan(seed=20260131, kills=KILLS, seconds=SECONDS), tmp_path / "soak", azurite, container)
    for line in report.lines():
        name, _, value = line.strip().partition("  ")
        figure(name, value.strip())
    assert report.well, "\n".join(report.lines())
    assert report.storm.count >= LEAST
    assert len(report.book.all()) > LEAST
    assert report.witness.repeated == 0
