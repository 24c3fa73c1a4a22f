"""scripts/ground: the ground tests run whenever what they look at may have changed, and only then."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.azurite import CHECKOUT

INSTRUMENT = "tests/support/fuse.py"


class Checkout:
    """A checkout of its own, with a pytest that notes how it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("tests", "nfsw/actors", "scripts"):
            shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("package-lock.json", "requirements/dev.txt"):
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(CHECKOUT / name, folder / name)
        self._calls = folder / "calls"
        self.answers(0)

    def answers(self, code: int) -> None:
        python = self.folder / ".venv/bin/python"
        python.parent.mkdir(parents=True, exist_ok=True)
        python.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exec echo Python 3.12.1\necho "$@" >>{self._calls}\nexit {code}\n')
        python.chmod(0o755)

    def ground(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(self.folder / "scripts/ground"), *arguments]
        return subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)

    def runs(self) -> list[str]:
        return self._calls.read_text().splitlines() if self._calls.exists() else []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout")


def test_what_has_passed_is_run_again_only_when_it_may_have_changed(checkout: Checkout) -> None:
    assert checkout.ground().returncode == 0
    assert checkout.runs() == ["-m pytest --numprocesses 2 --dist loadfile -m ground"]

    again = checkout.ground()
    assert "not run" in again.stdout
    assert len(checkout.runs()) == 1

    with (checkout.folder / INSTRUMENT).open("a") as file:
        file.write("# another\n")
    assert checkout.ground().returncode == 0
    assert len(checkout.runs()) == 2


def test_what_has_failed_is_run_again_and_is_a_failure(checkout: Checkout) -> None:
    checkout.answers(1)
    assert checkout.ground().returncode == 1
    assert checkout.ground().returncode == 1
    checkout.answers(0)
    assert checkout.ground().returncode == 0
    assert len(checkout.runs()) == 3


def test_they_can_be_run_in_any_case(checkout: Checkout) -> None:
    checkout.ground()
    checkout.ground("--always", "-x")
    assert checkout.runs()[1].endswith("-m ground -x")
