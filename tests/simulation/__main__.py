"""`python -m tests.simulation`: runs seeds until one fails, or time is up; then makes the plan of the failing one shorter."""

import argparse
import os
import sys
import time

from tests.simulation.plan import Action
from tests.simulation.run import Outcome, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one alone, and print each event")
    parser.add_argument("--first", type=int, default=1, help="the first seed (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=2000, help="how many (default: %(default)s)")
    parser.add_argument("--mutation", help="a bug to put back first")
    parser.add_argument("--tail", type=int, default=200, help="events to print of a failing seed (default: %(default)s)")
    chosen = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets is part of a run
        again = [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
        os.execve(sys.executable, again, os.environ | {"PYTHONHASHSEED": "0"})  # noqa: S606 - itself
    if chosen.seed is not None:
        return _tell(run(chosen.seed, mutation=chosen.mutation), None)
    begun, events = time.perf_counter(), 0
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        outcome = run(seed, mutation=chosen.mutation)
        events += len(outcome.events)
        if outcome.violation:
            print(f"seed {seed}: {outcome.violation}; its plan is made shorter ...")
            return _tell(_shortened(outcome, chosen.mutation), chosen.tail)
    took = time.perf_counter() - begun
    print(f"{chosen.seeds} seeds, {events} events, {took:.1f} s: {chosen.seeds * 60 / took:.0f} seeds a minute. Nothing was violated.")
    return 0


def _shortened(failed: Outcome, mutation: str | None) -> Outcome:
    """The same failure with as little in the plan as possible: what can be left out is."""
    best = failed
    size = max(1, len(best.actions) // 2)
    while size:
        start = 0
        while start < len(best.actions):
            fewer: list[Action] = [*best.actions[:start], *best.actions[start + size :]]
            outcome = run(failed.seed, fewer, mutation)
            if outcome.violation:
                best = outcome
            else:
                start += size
        size //= 2
    return best


def _tell(outcome: Outcome, tail: int | None) -> int:
    print("\n".join(outcome.events if tail is None else outcome.events[-tail:]))
    print(f"seed {outcome.seed}: {outcome.setting}")
    for action in outcome.actions:
        print(f"  {action}")
    print(f"{len(outcome.events)} events, {outcome.seconds:.0f} s simulated: {outcome.violation or 'nothing was violated'}")
    return 1 if outcome.violation else 0


if __name__ == "__main__":
    sys.exit(main())
