"""The locked dependencies on a Jetson: each comes as a wheel whose hash is locked, so nothing is compiled there.

They are really installed, for another architecture than this one perhaps, and looked at; that takes seconds. Needs the package index.
"""

import subprocess
from pathlib import Path

import pytest

from tests.deploy.overlays import CHECKOUT

#: The image's Debian 12 has glibc 2.36; its older sibling on many a Jetson has 2.31.
GLIBC = "manylinux_2_31"
#: e_machine in the header of an ELF file.
MACHINES = {"aarch64": 183, "x86_64": 62}


@pytest.mark.parametrize("architecture", MACHINES)
def test_every_locked_dependency_is_installed_from_a_wheel(architecture: str, tmp_path: Path) -> None:
    done = _install(f"{architecture}-{GLIBC}", tmp_path)

    assert done.returncode == 0, done.stderr
    compiled = list(tmp_path.rglob("*.so"))
    assert {_machine(file) for file in compiled} == {MACHINES[architecture]}, compiled


def test_a_platform_without_wheels_is_told_apart(tmp_path: Path) -> None:
    done = _install("wasm32-pyodide2024", tmp_path)

    assert done.returncode != 0
    assert "Wheels are required for" in done.stderr


def _install(platform: str, target: Path) -> subprocess.CompletedProcess[str]:
    """With this machine's hashes, interpreter and cache, for another platform."""
    command = ["scripts/uv", "pip", "install", "--target", str(target), "--python-platform", platform, "--python-version", "3.12"]
    command += ["--require-hashes", "--only-binary", ":all:", "--requirement", "requirements/runtime.txt"]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)


def _machine(file: Path) -> int:
    header = file.read_bytes()[:20]
    assert header[:4] == b"\x7fELF", file
    return int.from_bytes(header[18:20], "little")
