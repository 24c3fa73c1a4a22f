"""What the pod may do is enough: user 0 with the capabilities of the manifests, and no others, on folders and files of another user."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.overlays import service_container
from tests.nfs.conftest import Place

WRITER = 1000
#: Each step of the service's work, on a file "a" that only its owner may touch, in a folder that only its owner may enter.
STEPS = {
    "look": "os.scandir('in').close()",
    "read": "open('in/a').close()",
    "claim": "os.link('in/a', 'out/a'); os.unlink('in/a')",
    "claim a set-user-id file": "os.link('in/suid', 'out/suid'); os.unlink('in/suid')",
    "mark": "os.rename('in/b', 'out/b.completed')",
    "delete": "os.unlink('in/c')",
    "make a folder": "os.mkdir('in/folder'); os.rmdir('in/folder')",
    "lock": "import fcntl; fcntl.flock(open('in/lock', 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)",
}


@pytest.mark.parametrize("mode", [0o700, 0o1777], ids=["private", "sticky"])
@pytest.mark.parametrize("step", STEPS)
def test_the_pods_capabilities_suffice(place: Place, step: str, mode: int) -> None:
    _folders(place.export, mode)
    own = service_container("base")["securityContext"]["capabilities"]["add"]

    done = _with_capabilities(own, place.mount, STEPS[step])

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("step", ["claim a set-user-id file", "delete"])
def test_without_them_they_would_not(place: Place, step: str) -> None:
    _folders(place.export, 0o1777)

    done = _with_capabilities([], place.mount, STEPS[step])

    assert "PermissionError" in done.stderr


def _folders(export: Path, mode: int) -> None:
    for name in ("in", "out"):
        (export / name).mkdir()
    for name in ("a", "b", "c", "suid"):
        path = export / "in" / name
        path.write_bytes(b"x")
        os.chown(path, WRITER, WRITER)
        path.chmod(0o4755 if name == "suid" else 0o600)
    os.chown(export / "in", WRITER, WRITER)
    (export / "in").chmod(mode)


def _with_capabilities(names: list[str], folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    kept = ",".join(["-all", *(f"+{name.lower()}" for name in names)])
    command = ["setpriv", f"--bounding-set={kept}", "--inh-caps=-all", "--no-new-privs", sys.executable, "-c", f"import os; {code}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
