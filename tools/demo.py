"""`make demo`: sample files go through the real service to Azurite, are read back and compared byte for byte.

Everything lies in .demo under the checkout. Exit 0: all files arrived and are equal. Exit 1: they are not, and it is said why.
"""

import shutil
import signal
import sys
import time
from dataclasses import dataclass
from io import TextIOWrapper
from types import FrameType
from urllib.parse import quote

from tests.support.azurite import ACCOUNT, CHECKOUT, Endpoint, NoNode, azurite
from tests.support.blobs import Container
from tests.support.content import MIB, write
from tests.support.service import Service
from tests.support.site import site_in

FOLDER = CHECKOUT / ".demo"
SESSION = "demo"
CONTAINER = "demo"
WITHIN = 120.0
#: The stability rule is a little quicker than by default, so that the demo is short.
SETTINGS = {"APP_POLL_INTERVAL_S": "0.5", "APP_MIN_FILE_AGE_S": "1", "APP_GC_INTERVAL_S": "5"}
SAMPLES = (
    ("empty.txt", 0),
    ("100% sure?.csv", 12_345),
    ("Z\u00fcrich \u2615 plan.pdf", 3 * MIB + 1),
    ("sensor #7.dat", 24 * MIB),
    ("\U0001f680 launch.bin", 48 * MIB),
    ("holiday film (final, really).mp4", 200 * MIB),
)
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Clock:
    begin: float

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.begin:6.1f} s  {text}", flush=True)


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that cannot show a name is no reason to fail
    clock = Clock(time.monotonic())
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    try:
        with azurite(FOLDER / "azurite") as endpoint:
            clock.say(f"Azurite stands in for Azure at {endpoint.account_url}")
            blobs = _show(endpoint, clock)
    except KeyboardInterrupt:
        print("Interrupted. Service and Azurite have been stopped.", file=sys.stderr)
        return INTERRUPTED
    except (NoNode, FileNotFoundError) as missing:
        print(missing, file=sys.stderr)
        return 1
    except AssertionError as failed:
        print(f"The demo failed: {failed}\nEverything is still in {FOLDER}.", file=sys.stderr)
        return 1
    _tell_where(blobs)
    return 0


def _show(endpoint: Endpoint, clock: Clock) -> list[str]:
    """The names of the blobs that were found equal."""
    container = Container(endpoint, CONTAINER)
    with site_in(FOLDER, endpoint, container) as site:
        service = site.serve(**SETTINGS)
        clock.say(f"nfsw runs with {len(service.processes())} processes at {service.url}; it watches {site.incoming(SESSION)}")
        service.start_session(SESSION)
        for seed, (name, size) in enumerate(SAMPLES):
            site.expect(SESSION, name, write(site.incoming(SESSION) / name, seed, size))
            clock.say(f"written: {name} ({_mib(size)})")
        _follow(service, clock)
        clock.say("the service says that all are in Azure; now every blob is read back and compared with what was written")
        site.all_arrived()
        blobs = sorted(container.names())
        for name in blobs:
            clock.say(f"equal byte for byte: {CONTAINER}/{name}")
        service.stop()
        clock.say("nfsw was told to stop, and every process of it is gone")
        container.publish()
    container.close()
    return blobs


def _follow(service: Service, clock: Clock) -> None:
    """A line whenever something has changed, at most one a second."""
    deadline, said = time.monotonic() + WITHIN, ""
    while True:
        status = service.status()
        files, flights = status["files"], status["in_flight"]
        moving = ", ".join(f"{one['state']} {one['file']} {one['done'] * 100 // max(1, one['size'])}%" for one in flights)
        text = (
            f"{files['completed']} of {len(SAMPLES)} files completed ({_mib(status['bytes']['completed'])}){'; ' if moving else ''}{moving}"
        )
        if text != said:
            clock.say(text)
            said = text
        if files["completed"] == len(SAMPLES):
            return
        assert time.monotonic() < deadline, f"not all files were sent within {WITHIN:g} s\n{service.report()}"
        time.sleep(1)


def _tell_where(blobs: list[str]) -> None:
    shown = FOLDER.relative_to(CHECKOUT)
    urls = "\n".join(f"  http://127.0.0.1:10000/{ACCOUNT}/{CONTAINER}/{quote(blob)}" for blob in blobs)
    print(f"""
All {len(blobs)} files are in the container {CONTAINER!r}, and each is equal to what was written.
  The share, empty now:   {shown}/nfs
  The service's log:      {shown}/service-0/stdout
  Azurite's data:         {shown}/azurite
To look at the blobs, start Azurite again, and open these with a browser or curl:
  .tools/bin/node node_modules/.bin/azurite-blob --location {shown}/azurite --skipApiVersionCheck --disableTelemetry
{urls}""")


def _mib(size: int) -> str:
    return f"{size / MIB:.1f} MiB"


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
