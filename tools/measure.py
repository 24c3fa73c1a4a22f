"""`python -m tools.measure`: the figures of one run of the service on this machine, against Azurite.

Start to ready, memory, CPU when idle, `/healthz` while large files move, seconds from SIGTERM to the last process. No part of `make test`.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.support.azurite import Endpoint, azurite
from tests.support.blobs import Container
from tests.support.content import MIB, write
from tests.support.processes import cpu_seconds, pss_bytes
from tests.support.service import Service
from tests.support.site import Site, site_in

#: The defaults, since these are the figures of a default run.
DEFAULTS = {"APP_POLL_INTERVAL_S": "2.0", "APP_MIN_FILE_AGE_S": "5.0", "APP_GC_INTERVAL_S": "30"}
#: Between two probes, in seconds. Each is a connection of its own, as a kubelet's is.
PROBE_EVERY = 0.02


def main() -> int:
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("--files", type=int, default=4)
    wanted.add_argument("--mib", type=int, default=1024, help="size of each file")
    wanted.add_argument("--idle-s", type=float, default=60, help="how long the idle service is watched")
    wanted.add_argument("--folder", type=Path, help="where share, staging and Azurite's data lie; default: the temporary folder")
    given = wanted.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=given.folder) as folder,
        azurite(Path(folder) / "azurite") as endpoint,
    ):
        _measure(Path(folder), endpoint, files=given.files, size=given.mib * MIB, idle_s=given.idle_s)
    return 0


def _measure(folder: Path, endpoint: Endpoint, *, files: int, size: int, idle_s: float) -> None:
    container = Container(endpoint, "measure")
    with site_in(folder, endpoint, container) as site:
        begin = time.monotonic()
        service = site.serve(**DEFAULTS)
        _say("start to /readyz 200", f"{time.monotonic() - begin:.2f} s")
        _say("processes", " ".join(f"{process.pid}" for process in service.processes()))
        service.start_session("s")
        _idle(service, idle_s)
        hidden = [_write(site, f"{number}.bin", number, size) for number in range(files)]
        for path in hidden:
            path.rename(path.with_name(path.name.removeprefix(".")))
        _loaded(service, files)
        site.all_arrived()
        begin = time.monotonic()
        service.stop()
        _say("SIGTERM to the last process gone", f"{time.monotonic() - begin:.2f} s")
    container.close()


def _idle(service: Service, seconds: float) -> None:
    before = _cpu(service)
    time.sleep(seconds)
    _say("CPU when idle, for a minute", f"{(_cpu(service) - before) * 60 / seconds:.3f} s, over {seconds:g} s")
    _say("PSS of all processes, idle", _mib(_pss(service)))


def _loaded(service: Service, files: int) -> None:
    latencies: list[float] = []
    largest, begin, cpu = 0, time.monotonic(), _cpu(service)
    while int(service.status()["files"]["completed"]) < files:
        for _ in range(25):
            answer = service.call("GET", "/healthz")
            assert answer.status == 200, answer
            latencies.append(answer.seconds * 1000)
            time.sleep(PROBE_EVERY)
        largest = max(largest, _pss(service))
    moved = int(service.status()["bytes"]["completed"])
    _say("moved", f"{files} files, {_mib(moved)} in {time.monotonic() - begin:.1f} s from their last byte on, stability rule included")
    _say("CPU of the service while they moved", f"{(_cpu(service) - cpu) * 1e9 / moved:.2f} s/GB")
    _say("PSS of all processes, loaded, largest", _mib(largest))
    percentiles = statistics.quantiles(latencies, n=100)
    worst = max(latencies)
    _say("/healthz while they moved", f"p50 {percentiles[49]:.1f} ms, p99 {percentiles[98]:.1f} ms, max {worst:.1f} ms of {len(latencies)}")


def _write(site: Site, name: str, seed: int, size: int) -> Path:
    """Under a hidden name at first, so that writing is no part of the figures."""
    path = site.incoming("s") / f".{name}"
    site.expect("s", name, write(path, seed, size))
    return path


def _pss(service: Service) -> int:
    return sum(pss_bytes(process.pid) for process in service.processes())


def _cpu(service: Service) -> float:
    return sum(cpu_seconds(process.pid) for process in service.processes())


def _mib(size: int) -> str:
    return f"{size / MIB:.0f} MiB"


def _say(what: str, figure: str) -> None:
    print(f"{what + ':':<42}{figure}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
