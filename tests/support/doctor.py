"""One run of `nfsw doctor --json`, as an operator's script reads it."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.service import run_nfsw

#: Room enough on any machine that tests run on.
SMALL = {"APP_STAGING_LIMIT_BYTES": str(100 * 1024 * 1024)}


@dataclass(frozen=True, slots=True)
class Opinion:
    exit_code: int
    verdict: str
    checks: dict[str, Any]  # by name
    seconds: float

    def of(self, check: str) -> str:
        """The verdict of one check."""
        return str(self.checks[check]["verdict"])

    def said(self, check: str) -> str:
        return str(self.checks[check]["said"])

    @property
    def failed(self) -> set[str]:
        return {name for name, check in self.checks.items() if check["verdict"] == "FAIL"}

    @property
    def warned(self) -> set[str]:
        return {name for name, check in self.checks.items() if check["verdict"] == "warn"}


def ask_doctor(home: Path, settings: Mapping[str, str], *arguments: str, without_capabilities: Sequence[str] = ()) -> Opinion:
    """`without_capabilities`: by their names, such as setuid. Only root has any to go without."""
    gone = ",".join(f"-{name}" for name in without_capabilities)
    through = ["setpriv", f"--bounding-set={gone}", f"--inh-caps={gone}"] if gone else []
    begun = time.monotonic()
    done = run_nfsw(home, "doctor", "--json", *arguments, settings=settings, timeout=120, through=through)
    seconds = time.monotonic() - begun
    assert not done.stderr, done.stderr
    said = json.loads(done.stdout)
    checks = {check["check"]: check for check in said["checks"]}
    assert len(checks) == len(said["checks"])
    assert all(check["remedy"] for check in checks.values() if check["verdict"] != "ok"), checks
    return Opinion(done.returncode, said["verdict"], checks, seconds)
