"""Some seeds of the simulation, in every run of the tests; `make simulate` runs any number. And whether it would notice anything at all."""

import re
import subprocess
import sys

import pytest

from tests.simulation.mutations import MUTATIONS
from tests.simulation.plan import make
from tests.simulation.run import run

SEEDS = 40


def without_the_machine(event: str) -> str:
    """Without the numbers of files, the times of folders and the name of the root, which are not the seed's."""
    return re.sub(r"(?:inode|mtime_ns)[ =][0-9]+|nfsw-simulation-[^/]+", "", event)


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_nothing_is_lost_sent_twice_or_left_over(seed: int) -> None:
    outcome = run(seed)

    assert outcome.violation is None, "\n".join(outcome.events[-100:])


@pytest.mark.parametrize("seed", [1, 2, 3, 7, 22])
def test_a_seed_decides_everything_that_happens(seed: int) -> None:
    first, second = run(seed), run(seed)

    assert first.actions == second.actions == make(seed)[1]
    assert list(map(without_the_machine, first.events)) == list(map(without_the_machine, second.events))


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_bug_that_is_put_back_is_found(name: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--mutation", name, "--first", str(MUTATIONS[name].seed), "--seeds", "1"],
        capture_output=True,
        check=False,
        text=True,
    )

    assert found.returncode == 1, f"seed {MUTATIONS[name].seed} does not find it any more: make simulate ARGS='--mutation \"{name}\"'"
