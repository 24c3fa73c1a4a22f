"""`python -m tests.simulation.find [SEEDS] [NAME]`: the first seed that finds each mutation, for `mutations.py`."""

import os
import sys

from tests.simulation.mutations import MUTATIONS
from tests.simulation.run import run


def main(seeds: int, wanted: str) -> int:
    if os.environ.get("PYTHONHASHSEED") != "0":
        again = [sys.executable, "-m", "tests.simulation.find", *sys.argv[1:]]
        os.execve(sys.executable, again, os.environ | {"PYTHONHASHSEED": "0"})  # noqa: S606 - itself
    missed = 0
    for name in MUTATIONS:
        if wanted not in name:
            continue
        for seed in range(1, seeds + 1):
            if violation := run(seed, mutation=name).violation:
                print(f"{name}: seed {seed}: {violation}", flush=True)
                break
        else:
            missed += 1
            print(f"{name}: not found by {seeds} seeds", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, sys.argv[2] if len(sys.argv) > 2 else ""))
