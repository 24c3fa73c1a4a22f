"""How large the cases are: as the targets name them, or small enough to try the harness."""

from dataclasses import dataclass

from tools.bench.ground import Piece

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True)
class Scale:
    rounds: int  # of the short cases
    long_rounds: int  # of those that take half a minute a side
    big_size: int  # bytes, of each of 4 files
    loaded_size: int  # bytes, of each of 4 files, while memory and /healthz are watched
    small_files: int  # of 4 KiB
    one_size: int  # bytes, of one file
    cap: int  # bytes/s, of the uplink under the one file
    kill_size: int  # bytes, of the file under the kill
    kill_cap: int  # bytes/s, so that there is a half to be killed at
    turns_size: int  # bytes, of each of 4 files on a slow uplink
    turns_cap: int  # bytes/s, of that
    turns_rounds: int
    pause_cap: int  # bytes/s, of the uplink on which uploads are paused
    idle_s: float
    latency_files: int

    def big(self) -> list[Piece]:
        return self._four(self.big_size)

    def loaded(self) -> list[Piece]:
        return self._four(self.loaded_size)

    def small(self) -> list[Piece]:
        return [Piece(f"{number:05}.dat", number * 4 * KIB, 4 * KIB) for number in range(self.small_files)]

    def one(self) -> list[Piece]:
        return [Piece("one.bin", 0, self.one_size)]

    def killed(self) -> list[Piece]:
        return [Piece("one.bin", 0, self.kill_size)]

    def turns(self) -> list[Piece]:
        return self._four(self.turns_size)

    @property
    def pool_size(self) -> int:
        return max(4 * self.big_size, self.one_size, self.kill_size, self.turns_size, self.loaded_size, self.small_files * 4 * KIB)

    def in_words(self) -> list[str]:
        loaded, one = f"4 x {_size(self.loaded_size)}", _size(self.one_size)
        return [
            f"4 large files: 4 x {_size(self.big_size)}; while memory and `/healthz` are watched: {loaded}.",
            f"Small files: {self.small_files:,} x 4 KiB; one at a time: {self.latency_files}.",
            f"One large file: {one} at {self.cap / 1e6:g} MB/s; under the kill: {_size(self.kill_size)} at {self.kill_cap / 1e6:g} MB/s.",
            f"4 equal files: 4 x {_size(self.turns_size)} at {self.turns_cap / 1e6:g} MB/s; the pause: at {_size(self.pause_cap)}/s.",
            f"Idle: watched for {self.idle_s:g} s.",
        ]

    def _four(self, size: int) -> list[Piece]:
        """As different as the pool allows."""
        step = (self.pool_size - size) // 3
        return [Piece(f"{number}.bin", number * step, size) for number in range(4)]


def _size(count: int) -> str:
    return f"{count / GIB:g} GiB" if count >= GIB else f"{count / MIB:g} MiB"


FULL = Scale(
    rounds=5,
    long_rounds=3,
    big_size=512 * MIB,
    loaded_size=GIB,
    small_files=10_000,
    one_size=2 * GIB,
    cap=100_000_000,
    kill_size=GIB,
    kill_cap=200_000_000,
    turns_size=96 * MIB,
    turns_cap=8_000_000,
    turns_rounds=2,
    pause_cap=4 * MIB,
    idle_s=60,
    latency_files=60,
)

QUICK = Scale(
    rounds=2,
    long_rounds=1,
    big_size=128 * MIB,
    loaded_size=256 * MIB,
    small_files=1_000,
    one_size=512 * MIB,
    cap=100_000_000,
    kill_size=512 * MIB,
    kill_cap=100_000_000,
    turns_size=24 * MIB,
    turns_cap=8_000_000,
    turns_rounds=1,
    pause_cap=4 * MIB,
    idle_s=5,
    latency_files=10,
)
