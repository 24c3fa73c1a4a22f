"""Debian's rclone: `rclone move --min-age 0` with its defaults and 4 transfers, through a SAS URL. The benchmark's process."""

import shutil
import subprocess
from functools import partial

from tools.bench.endpoint import CONTAINER, Endpoint
from tools.bench.ground import SESSION, Ground
from tools.bench.sides.program import Call, ProgramSide

DATE = "20260131"
MISSING = "rclone is missing: install it (Debian: apt-get install rclone)"


def rclone() -> ProgramSide:
    return ProgramSide("rclone", partial(_call, transfers=4))


def rclone_one_by_one() -> ProgramSide:
    return ProgramSide("rclone-1", partial(_call, transfers=1))


def version() -> str:
    """Such as 1.60.1."""
    said = subprocess.run(["rclone", "version"], capture_output=True, text=True, check=True).stdout
    return said.split()[1].removeprefix("v").partition("-")[0]


def is_there() -> bool:
    return shutil.which("rclone") is not None


def _call(ground: Ground, endpoint: Endpoint, *, transfers: int) -> Call:
    options = ["--min-age", "0", "--transfers", str(transfers), "--config", str(ground.work / "none.conf")]
    options += ["--azureblob-sas-url", endpoint.sas_url]
    return Call(["rclone", "move", *options, str(ground.incoming), f":azureblob:{CONTAINER}/{DATE}/{SESSION}"], {})
