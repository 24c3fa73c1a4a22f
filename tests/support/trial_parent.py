"""`python -m tests.support.trial_parent FOLDER`: a main process with real children, for tests that kill it.

Prints their process ids once they run: a Keeper, a Scanner, a Claimer, a Collector; one whose thread hangs in a FIFO; one that is
about to be stopped.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from nfsw.actors.envelope import Envelope, Started
from nfsw.supervisor.child import ProcessChild
from tests.support import trial, trial_child
from tests.support.real_actors import start_real


async def started(child: ProcessChild) -> None:
    while envelopes := await child.receive():
        if any(isinstance(envelope.message, Started) for envelope in envelopes):
            return
    raise RuntimeError("a child has ended before it began")


async def main(folder: Path) -> None:
    children: dict[str, ProcessChild] = start_real(folder)
    children["hangs"], children["stopped"] = trial_child.start(), trial_child.start()
    async with asyncio.timeout(30):
        for child in children.values():
            await started(child)
        os.mkfifo(folder / "fifo")
        await children["hangs"].send([Envelope(trial.Read(str(folder / "fifo")))])
        while children["hangs"].board.oldest() is None:  # noqa: ASYNC110 - a board tells nobody that it has changed
            await asyncio.sleep(0.01)
    os.kill(children["stopped"].pid, signal.SIGSTOP)
    os.write(1, json.dumps({name: child.pid for name, child in children.items()}).encode() + b"\n")
    await asyncio.Event().wait()


if __name__ == "__main__":
    with trial.spoken():
        asyncio.run(main(Path(sys.argv[1])))
