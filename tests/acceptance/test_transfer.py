"""The main job: files of all sizes and names, written while the service runs, are the same in Azure; the API answers meanwhile.

Scaled to 32 MiB for the largest; `NFSW_FULL=1` makes it 1 GiB.
"""

import os
from concurrent.futures import ThreadPoolExecutor

from tests.support.content import GIB, KIB, MIB, write
from tests.support.site import Site
from tests.support.stopwatch import Stopwatch
from tests.support.waiting import until

FULL = bool(os.environ.get("NFSW_FULL"))
LARGEST = GIB if FULL else 32 * MIB
BLOCK = 4 * MIB
SINGLE_PUT = 8 * MIB
WITHIN = 600.0 if FULL else 90.0

SIZES = (
    *(0, 1, 2, 100, KIB - 1, KIB, 4 * KIB, 64 * KIB, 100_000, MIB - 1, MIB, MIB + 1),
    *(BLOCK - 1, BLOCK, BLOCK + 1, SINGLE_PUT - 1, SINGLE_PUT, SINGLE_PUT + 1, 2 * BLOCK + 1, 3 * BLOCK - 1, 3 * BLOCK, 3 * BLOCK + 1),
    *(0, 10, 10 * MIB, 16 * MIB + 7, LARGEST // 4, LARGEST // 2, LARGEST - 1, LARGEST),
)
NAMES = (
    "with space.bin",
    " leading and trailing space ",
    "100%.bin",
    "%41%2F.bin",
    "hash#tag.bin",
    "what?.bin",
    "a&b=c;d+e,f.bin",
    "quote'\"`.bin",
    "brackets[{(<>)}].bin",
    "\u00e4\u00f6\u00fc\u00df\u00c4\u00d6\u00dc.bin",
    "u\u0308 decomposed.bin",
    "\U0001f680 rocket \U0001f469\u200d\U0001f469\u200d\U0001f467.bin",
    "\u65e5\u672c\u8a9e.bin",
    "\u05e2\u05d1\u05e8\u05d9\u05ea.bin",
    "no extension",
    "many.dots.in.a..name.tar.gz",
    "-rf",
    "~tilde",
    "$HOME `id` ;",
    "UPPER.BIN",
    "upper.bin",
    "*",
    ":colon|pipe.bin",
    "@^!.bin",
    "x" * 200,
)


def names() -> list[str]:
    return [*NAMES, *(f"plain-{number}.bin" for number in range(len(SIZES) - len(NAMES)))]


def test_thirty_files_of_all_sizes_and_names_arrive_byte_for_byte(site: Site) -> None:
    service = site.serve(APP_AZURE_MAX_BLOCK_SIZE=str(BLOCK), APP_AZURE_MAX_SINGLE_PUT_SIZE=str(SINGLE_PUT))
    service.start_session("main.job-1")

    def write_one(name: str, seed: int, size: int) -> None:
        site.expect("main.job-1", name, write(site.incoming("main.job-1") / name, seed, size))

    with ThreadPoolExecutor(2) as pool:
        done = pool.map(write_one, names(), range(len(SIZES)), SIZES)
        slowest = 0.0

        def all_done() -> bool:
            nonlocal slowest
            watch = Stopwatch()
            assert service.call("GET", "/healthz").status == 200
            slowest = max(slowest, watch.seconds)
            return int(service.status()["files"]["completed"]) == len(SIZES)

        until(all_done, within=WITHIN, what=lambda: f"all are completed: {service.status()}\n{service.report()}")
        assert list(done) == [None] * len(SIZES)
    site.all_arrived()
    assert slowest < 1.0, "/healthz waited for the transfer"
    status = service.status()
    assert status["bytes"]["completed"] == sum(SIZES)
    assert status["files"]["failed"] == 0, [line for line in service.log() if line["level"] != "INFO"]
