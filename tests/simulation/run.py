"""One run of one seed: the actors' modules get the simulated system calls, clock and chance, and the world runs to its end."""

from __future__ import annotations

import asyncio
import datetime as real_datetime
import gc
import logging
import random
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from nfsw.actors import claimer, collector, keeper, kept, lease, lock, nfs, notes, scanner, staging, statx
from nfsw.actors.files import Fingerprint
from nfsw.supervisor import overview, transfer_service
from tests.simulation.mutations import MUTATIONS
from tests.simulation.plan import Action, Setting, make
from tests.simulation.threads import SimulatedCondition
from tests.simulation.world import Violation, World
from tests.support.faketime import FakeTimeLoop, Stuck

#: Where the folders of a run are made: memory, if there is any.
_MEMORY = "/dev/shm"  # noqa: S108 - a folder of its own is made below it


@dataclass(frozen=True, slots=True)
class Outcome:
    seed: int
    setting: Setting
    actions: Sequence[Action]
    events: Sequence[str]
    seconds: float  # of simulated time
    violation: Exception | None


def run(seed: int, actions: Sequence[Action] | None = None, mutation: str | None = None) -> Outcome:
    """Runs the seed's own plan, or another in its place. `mutation`: a bug that is put back for this run."""
    setting, planned = make(seed)
    chosen = list(planned if actions is None else actions)
    root = tempfile.mkdtemp(prefix="nfsw-simulation-", dir=_MEMORY)
    violation: Exception | None = None
    loop = FakeTimeLoop()
    asyncio.set_event_loop(loop)
    gc.disable()  # what it finalises, and when, is not the seed's
    try:
        world = World(root, seed, setting, chosen)
        with ExitStack() as stack:
            stack.enter_context(_simulated(world, setting))
            loop.set_exception_handler(lambda _, context: _unexpected(world, context))
            if mutation:
                stack.enter_context(MUTATIONS[mutation].applied())
            try:
                loop.run_until_complete(world.run())
            except (Violation, Stuck) as failed:
                violation = failed
            finally:
                world.end()
                _cancel_all(loop)
        return Outcome(seed, setting, chosen, world.events, loop.clock.passed, violation)
    finally:
        loop.close()
        asyncio.set_event_loop(None)
        gc.enable()
        shutil.rmtree(root, ignore_errors=True)


def _unexpected(world: World, context: dict[str, Any]) -> None:
    """What nobody has caught: a bug, but for generators of a process that was killed, which Python tries to close once more."""
    error = context.get("exception")
    if not (isinstance(error, RuntimeError) and "asynchronous generator" in str(error)):
        world.violated(f"{context['message']}: {error!r}", error)


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks))


@contextmanager
def _simulated(world: World, setting: Setting) -> Iterator[None]:
    """The modules that a run looks at find the simulation in place of the machine."""
    chance = random.Random(world.rng.random())
    begun = time.monotonic()

    def seeded(seed: float | None = None) -> random.Random:
        return _RANDOM(chance.random() if seed is None else seed)

    def now() -> float:
        return setting.begins_at + time.monotonic() - begun

    class Datetime(real_datetime.datetime):
        @classmethod
        def now(cls, tz: real_datetime.tzinfo | None = None) -> Datetime:
            return cls.fromtimestamp(now(), tz)

    def observe(path: str, *, fresh: bool) -> statx.Seen:
        seen = world.files.observe(path, fresh=fresh)
        version = Fingerprint(seen.st_size, seen.st_mtime_ns, seen.st_ino, seen.st_ctime_ns)
        return statx.Seen(version, seen.st_mode & 0o170000 == 0o100000, seen.st_nlink)

    with ExitStack() as stack:
        for module in (kept, notes, nfs, lease, lock, staging, collector):
            stack.enter_context(patch.object(module, "os", world.files))
        stack.enter_context(patch.object(statx, "observe", observe))
        stack.enter_context(patch.object(lease, "fcntl", world.leases))
        stack.enter_context(patch.object(threading, "Condition", SimulatedCondition))
        stack.enter_context(patch.object(nfs.Nfs, "kind", lambda *_: "nfs4"))
        for dated in (claimer, keeper, overview, scanner, transfer_service):
            stack.enter_context(patch.object(dated, "datetime", Datetime))
        stack.enter_context(patch.object(time, "time", now))
        stack.enter_context(patch.object(random, "Random", seeded))
        stack.enter_context(patch.object(uuid, "uuid4", lambda: uuid.UUID(int=chance.getrandbits(128), version=4)))
        handler = _Events(world)
        logger = logging.getLogger("nfsw")
        level, propagate = logger.level, logger.propagate
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate


class _Events(logging.Handler):
    """What is logged is part of what happened."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        about = getattr(record, "file_name", "")
        self._world.event("log", f"{record.levelname} {record.name}: {record.getMessage()} {about}")


_RANDOM = random.Random
