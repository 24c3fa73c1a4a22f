"""The process of slow_writers.py. The standard library alone: it starts in an instant, while 40 files wait to be opened."""

import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path

LINE_BYTES = 100


def line(name: str, number: int) -> bytes:
    return f"{name} {number}".encode().ljust(LINE_BYTES - 1) + b"\n"


def main(folder: str, every_s: str, lines: str, *names: str) -> None:
    """Each begins a little after the one before, and all go on at the same pace."""
    with ExitStack() as stack:
        files = [stack.enter_context(Path(folder, name).open("wb", buffering=0)) for name in names]
        begun = time.monotonic()
        for number in range(int(lines)):
            for writer, (name, file) in enumerate(zip(names, files, strict=True)):
                _sleep_until(begun + float(every_s) * (number + writer / len(names)))
                file.write(line(name, number))
                if number == int(lines) - 1:
                    file.close()
                    print(json.dumps({"name": name, "closed": time.monotonic()}), flush=True)
        sys.stdin.readline()


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


if __name__ == "__main__":
    main(*sys.argv[1:])
