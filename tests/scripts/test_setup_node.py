"""scripts/setup-node: which Node Azurite gets. That the least version, wherever it is written, is the one that its packages ask for."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.azurite import CHECKOUT
from tests.support.azurite import node as real_node

type Version = tuple[int, ...]

LEAST = str(json.loads((CHECKOUT / "package.json").read_text())["engines"]["node"]).removeprefix(">=")
PACKAGES = json.loads((CHECKOUT / "package-lock.json").read_text())["packages"]


def version(text: str) -> Version:
    return tuple(int(part) if part.isdigit() else 0 for part in [*text.split("."), "0", "0"][:3])


def allows(wanted: object, node: str) -> bool:
    """Whether a package's `engines` allow this version of Node."""
    expression = wanted.get("node", "*") if isinstance(wanted, dict) else "*"  # lists of words are from before npm 1
    alternatives = (re.findall(r"(>=|<=|>|<|\^)\s*([\d.x]+)", part) for part in expression.split("||"))
    return any(all(_meets(comparison, there, node) for comparison, there in alternative) for alternative in alternatives)


def _meets(comparison: str, text: str, node: str) -> bool:
    here, there = version(node), version(text)
    match comparison:
        case ">=":
            return here >= there
        case ">":
            return here > there
        case "<=":
            return here <= there
        case "<":
            return here < there
        case _:
            return here >= there and here[0] == there[0]


@pytest.mark.parametrize(
    ("wanted", "node", "allowed"),
    [
        (">=20.0.0", "20.0.0", True),
        (">=20.0.0", "18.20.4", False),
        ("^18.19.0 || >=20.6.0", "20.5.1", False),
        ("^18.19.0 || >=20.6.0", "18.19.0", True),
        (">=9.3.0 || >=8.10.0 <9.0.0", "8.11.0", True),
        (">=8.10.0 <9.0.0", "9.1.0", False),
        (">= 0.8", "20.0.0", True),
        ("*", "1.0.0", True),
    ],
)
def test_what_a_package_asks_for_is_understood(wanted: str, node: str, allowed: bool) -> None:
    assert allows({"node": wanted}, node) is allowed


def test_every_package_runs_on_the_least_version_and_one_does_not_below() -> None:
    major, minor, *_ = version(LEAST)
    below = f"{major}.{minor - 1}.0" if minor else f"{major - 1}.99.0"

    assert [name for name, package in PACKAGES.items() if not allows(package.get("engines"), LEAST)] == []
    assert any(name and not allows(package.get("engines"), below) for name, package in PACKAGES.items())


def test_the_lock_and_the_readme_say_the_same() -> None:
    assert PACKAGES[""]["engines"]["node"] == f">={LEAST}"
    assert f"Node.js {LEAST.removesuffix('.0').removesuffix('.0')} or later" in (CHECKOUT / "README.md").read_text()


class Box:
    """A checkout of its own, with a machine whose programs are made up."""

    def __init__(self, folder: Path) -> None:
        self.checkout, self._path = folder / "checkout", folder / "bin"
        for made in (self.checkout / "scripts", self.checkout / "requirements", self._path):
            made.mkdir(parents=True)
        for name in ("package.json", "package-lock.json", "requirements/node.txt", "scripts/setup-node", "scripts/common.sh"):
            target = self.checkout / name
            target.write_bytes((CHECKOUT / name).read_bytes())
            target.chmod(0o755)
        for name in ("find-python", "uv"):
            self.script(self.checkout / "scripts" / name, "exit 1")

    def has_node(self, number: str) -> Path:
        """A real one that says it is this old, and an npm that installs something."""
        node = Path(subprocess.run([real_node(), "-p", "process.execPath"], capture_output=True, text=True, check=True).stdout.strip())
        disguise = self._path / "disguise.js"
        disguise.write_text(f"Object.defineProperty(process.versions, 'node', {{value: {number!r}}});\n")
        self.script(self._path / "node", f'exec {node} --require {disguise} "$@"')
        installs = "mkdir -p node_modules/.bin node_modules/azurite; cp /bin/true node_modules/.bin/azurite-blob"
        package = """echo '{"version": "1.2.3"}' >node_modules/azurite/package.json"""
        self.script(self._path / "npm", f'[ "$1" = ci ] || exit 0; {installs}; {package}')
        return node

    def script(self, path: Path, text: str) -> None:
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def set_up(self) -> "subprocess.CompletedProcess[str]":
        path = f"{self._path}:/usr/bin:/bin" if (self._path / "node").exists() else str(self._path)
        return subprocess.run(
            ["/bin/bash", str(self.checkout / "scripts/setup-node")],
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


@pytest.mark.parametrize("number", [LEAST, f"{int(LEAST.split('.')[0]) + 1}.0.0", "100.0.0"])
def test_the_machines_own_node_is_taken_if_it_is_new_enough(box: Box, number: str) -> None:
    node = box.has_node(number)
    done = box.set_up()

    assert done.returncode == 0, done
    assert (box.checkout / ".tools/bin/node").readlink() == node
    assert "Azurite 1.2.3 is in node_modules" in done.stdout
    assert (box.set_up().returncode, box.set_up().stdout) == (0, ""), "the second time costs nothing and says nothing"


@pytest.mark.parametrize("number", ["9.99.9", f"{int(LEAST.split('.')[0]) - 1}.99.0"])
def test_one_that_is_too_old_is_not_taken_and_what_is_needed_is_said(box: Box, number: str) -> None:
    """Here the one of its own cannot be had either."""
    box.has_node(number)
    done = box.set_up()

    assert done.returncode == 1
    assert f"No Node of {LEAST} or later with npm on this machine: bringing one into .tools" in done.stdout
    assert f"Azurite needs Node {LEAST} or later: install it, with npm." in done.stderr
