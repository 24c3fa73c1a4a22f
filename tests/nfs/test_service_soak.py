"""Twenty outages of 5 to 90 s, a quarter of an hour: `make nfs-soak`. Not part of `make test`, which has a short one."""

import os
import random
from pathlib import Path

import pytest

from tests.support.content import MIB
from tests.support.figures import Figure
from tests.support.link import Link
from tests.support.outages import storm
from tests.support.site import Site

OUTAGES = 20
SHORTEST_S, LONGEST_S = 5.0, 90.0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_outages_lose_nothing(linked: Site, link: Link, tmp_path: Path, figure: Figure) -> None:
    seed = int(os.environ.get("NFSW_NFS_SOAK", "1"))
    chance = random.Random(seed)
    lengths = [SHORTEST_S, LONGEST_S, *(chance.uniform(SHORTEST_S, LONGEST_S) for _ in range(OUTAGES - 2))]
    service = linked.serve(APP_POLL_INTERVAL_S="1", APP_HANG_TIMEOUT_S="5", APP_HANG_ESCALATE_S="240")
    service.start_session("s")
    link.limit(4 * MIB)
    storm(linked, service, lengths, seed=seed, notes=tmp_path / "healthz", figure=figure)
