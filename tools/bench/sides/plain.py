"""The plain script, tools/bench/plain_upload.py, as a side. The benchmark's process."""

import sys

from tools.bench.endpoint import CONTAINER, Endpoint
from tools.bench.ground import SESSION, Ground
from tools.bench.sides.program import Call, ProgramSide
from tools.bench.sides.rclone import DATE


def plain() -> ProgramSide:
    return ProgramSide("upload_blob", _call)


def _call(ground: Ground, endpoint: Endpoint) -> Call:
    command = [sys.executable, "-m", "tools.bench.plain_upload", str(ground.incoming), CONTAINER, f"{DATE}/{SESSION}"]
    return Call(command, {"AZURE_STORAGE_CONNECTION_STRING": endpoint.connection_string})
