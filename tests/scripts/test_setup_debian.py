"""scripts/setup-debian with a dpkg and an apt of its own on PATH: what it installs, what it says, and when it ends `make test`."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.azurite import CHECKOUT

#: Says "installed" of what is in $INSTALLED.
DPKG_QUERY = """#!/bin/sh
for last; do :; done
case " $INSTALLED " in *" $last "*) echo installed ;; *) exit 1 ;; esac
"""
#: Has what is in $AVAILABLE, knows the name chromium as Ubuntu does, and ends as a real one does for a name that it does not have.
APT_CACHE = """#!/bin/sh
case " $AVAILABLE " in
    *" $2 "*) printf '%s:\\n  Installed: (none)\\n  Candidate: 1.0\\n' "$2" ;;
    *) [ "$2" != chromium ] || printf 'chromium:\\n  Installed: (none)\\n  Candidate: (none)\\n' ;;
esac
"""
APT_GET = """#!/bin/sh
[ "$1" = install ] || exit 0
shift
for word; do
    case "$word" in
        -* | DPkg*) ;;
        *)
            case " $AVAILABLE " in *" $word "*) ;; *) echo "E: Unable to locate package $word" >&2; exit 100 ;; esac
            packages="$packages $word"
            ;;
    esac
done
echo $packages >>"$ASKED_FOR"
"""


class Box:
    """A machine with these packages."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asked_for = folder / "asked-for"
        self._path = folder / "bin"
        self._path.mkdir()
        for name, text in {"dpkg-query": DPKG_QUERY, "apt-cache": APT_CACHE, "apt-get": APT_GET}.items():
            self._program(name, text)
        self.is_user(0)

    def is_user(self, number: int) -> None:
        self._program("id", f"#!/bin/sh\necho {number}\n")

    def set_up(self, *packages: str, distribution: str, installed: str = "", available: str = "") -> "subprocess.CompletedProcess[str]":
        os_release = self._folder / "os-release"
        os_release.write_text(f'NAME="A name"\nID={distribution}\nID_LIKE=debian\n')
        environment = os.environ | {
            "PATH": f"{self._path}:{os.environ['PATH']}",
            "OS_RELEASE": str(os_release),
            "POLICY": str(self._folder / "policy-rc.d"),
            "ASKED_FOR": str(self._asked_for),
            "INSTALLED": installed,
            "AVAILABLE": available,
        }
        command = [str(CHECKOUT / "scripts/setup-debian"), *packages]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def installed(self) -> list[str]:
        return self._asked_for.read_text().split() if self._asked_for.exists() else []

    def _program(self, name: str, text: str) -> None:
        path = self._path / name
        path.write_text(text)
        path.chmod(0o755)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_what_is_missing_is_installed_and_nothing_else(box: Box) -> None:
    done = box.set_up("rsync", "fuse3", "kmod", distribution="debian", installed="fuse3", available="rsync fuse3 kmod")

    assert done.returncode == 0, done
    assert box.installed() == ["rsync", "kmod"]
    assert "Installed: rsync kmod" in done.stdout


def test_where_all_is_there_nothing_is_said_and_nothing_asked(box: Box) -> None:
    done = box.set_up("rsync", distribution="debian", installed="rsync")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("lacking", ["chromium", "never-heard-of"])
def test_a_package_that_the_distribution_lacks_is_named_and_the_others_are_installed(box: Box, lacking: str) -> None:
    done = box.set_up("rsync", lacking, "kmod", distribution="ubuntu", available="rsync kmod")

    assert done.returncode == 0, done
    assert box.installed() == ["rsync", "kmod"]
    assert f"ubuntu has no such package, so what needs it is skipped: {lacking}\n" in done.stdout


def test_on_debian_a_package_that_cannot_be_had_is_an_error(box: Box) -> None:
    """It has all of them. A test that is skipped there would vanish unseen."""
    done = box.set_up("rsync", "chromium", distribution="debian", available="rsync")

    assert done.returncode != 0
    assert "E: Unable to locate package chromium" in done.stderr
    assert "apt-get could not install: rsync chromium" in done.stderr


def test_without_root_it_says_what_stays_missing(box: Box) -> None:
    box.is_user(1000)
    done = box.set_up("rsync", "kmod", distribution="debian", available="rsync kmod")

    assert done.returncode == 0, done
    assert box.installed() == []
    assert "Not root" in done.stdout
    assert "rsync kmod" in done.stdout


def test_no_policy_is_left_behind(box: Box, tmp_path: Path) -> None:
    box.set_up("rsync", distribution="debian", available="rsync")

    assert not (tmp_path / "policy-rc.d").exists()
