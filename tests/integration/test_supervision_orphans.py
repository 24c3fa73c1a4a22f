"""The main process is killed: whatever its children were doing, they are gone within a second."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.azurite import CHECKOUT
from tests.support.children import state_of
from tests.support.stopwatch import Stopwatch
from tests.support.waiting import until


@pytest.fixture
def parent(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.trial_parent", tmp_path],
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    yield process
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def children(parent: "subprocess.Popen[bytes]") -> dict[str, int]:
    """Their process ids by name; other lines are what they log."""
    assert parent.stdout is not None
    for text in parent.stdout:
        line = json.loads(text)
        if "stopped" in line:
            return dict(line)
    raise AssertionError(f"it has ended with {parent.wait()}")


def test_no_child_outlives_a_main_process_that_was_killed_by_more_than_a_second(parent: "subprocess.Popen[bytes]") -> None:
    pids = children(parent)
    assert set(pids) == {"keeper", "scanner", "claimer", "collector", "hangs", "stopped"}
    until(lambda: state_of(pids["stopped"]) == "T", within=5, what="it is stopped")
    watch = Stopwatch()
    parent.kill()
    parent.wait()
    left = dict(pids)

    def all_are_gone() -> bool:
        for name, pid in pids.items():
            if state_of(pid) in (None, "Z"):
                left.pop(name, None)
        return not left

    until(all_are_gone, within=5, what=lambda: f"all are gone, {left} too")
    assert watch.seconds < 1.0
