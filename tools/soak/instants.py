"""The named instants: an effect is seen from outside, the process that makes it is stopped, and is there to be killed in the midst of it.

Each hunt takes a second or so and may end with nothing: then the process was too quick, or had nothing to do, and goes on.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.support.proxy import FaultProxy
from tools.soak.process import Process, held
from tools.soak.sniper import Sniper
from tools.soak.witness import Witness

#: Longest hunt, in seconds.
HUNT_S = 2.0
#: Between two looks of a hunt that has no event to wait for, in seconds.
_GLANCE_S = 0.001
#: So many of the proxy's latest requests are looked at.
_LATEST = 48
COMPLETED = ".completed"


@dataclass(frozen=True, slots=True)
class Quarry:
    """What is hunted: one session, in the pod that holds it."""

    main: int  # pid
    session: str
    staging: Path


@dataclass(frozen=True, slots=True)
class Caught:
    """In the midst of it. The process is stopped, unless it is the answer that it waits for which is held back."""

    instant: str
    process: Process


type Hunt = Callable[[Quarry], AbstractContextManager[Caught | None]]


@dataclass(frozen=True, slots=True)
class Hunter:
    share: Path
    sniper: Sniper
    witness: Witness
    proxy: FaultProxy

    def hunts(self) -> dict[str, Hunt]:
        return {
            "claim": self.claim,
            "copy": self.copy,
            "block": self.block,
            "commit": self.commit,
            "completed": self.completed,
            "delete": self.delete,
        }

    @contextlib.contextmanager
    def claim(self, quarry: Quarry) -> Iterator[Caught | None]:
        """Between `link` and the end of the old name."""
        with self._frozen(quarry, "claimer", "link") as (process, name):
            instant = self._half_claimed(quarry.session, name) if name else None
            yield Caught(instant, process) if process and instant else None

    @contextlib.contextmanager
    def copy(self, quarry: Quarry) -> Iterator[Caught | None]:
        """A staged copy is shorter than its source."""
        with held(quarry.main, "claimer") as process:
            seen = process and _glance(lambda: self._half_copied(quarry)) and process.stop() and self._half_copied(quarry)
            yield Caught("copy: in the middle", process) if process and seen else None

    @contextlib.contextmanager
    def block(self, quarry: Quarry) -> Iterator[Caught | None]:
        """Azurite's side has a part of a body."""
        with held(quarry.main, "uploader") as process:
            seen = process and _glance(lambda: self._half_sent(quarry.session)) and process.stop() and self._half_sent(quarry.session)
            yield Caught("upload: in the middle of a block", process) if process and seen else None

    @contextlib.contextmanager
    def commit(self, quarry: Quarry) -> Iterator[Caught | None]:
        """The blob is committed, and the service does not know it yet: the answer is held back."""
        hold = self.witness.hold_next(f"/{quarry.session}/")
        try:
            taken = hold.taken.wait(HUNT_S) and (self.share / ".processing" / hold.blob).exists()
            with held(quarry.main, "uploader") as process:
                yield Caught("upload: committed, not yet .completed", process) if process and taken else None
        finally:
            self.witness.call_off(hold)

    @contextlib.contextmanager
    def completed(self, quarry: Quarry) -> Iterator[Caught | None]:
        with self._frozen(quarry, "collector", "moved", COMPLETED) as (process, name):
            there = name and (self._claimed(quarry.session) / name).exists()
            yield Caught("end: .completed, not yet deleted", process) if process and there else None

    @contextlib.contextmanager
    def delete(self, quarry: Quarry) -> Iterator[Caught | None]:
        """Gone from the share; of its staged copy something is left."""
        with self._frozen(quarry, "collector", "deleted", COMPLETED) as (process, name):
            left = name and list(quarry.staging.glob(f"*/*/{quarry.session}/{name.removesuffix(COMPLETED)}"))
            yield Caught("end: deleted, its staged copy not yet", process) if process and left else None

    @contextlib.contextmanager
    def _frozen(self, quarry: Quarry, actor: str, event: str, suffix: str = "") -> Iterator[tuple[Process | None, str | None]]:
        with held(quarry.main, actor) as process:
            name = None
            if process:
                name = self.sniper.freeze(process.pid, self._claimed(quarry.session), event, suffix=suffix, within=HUNT_S)
            yield process, name

    def _claimed(self, session: str) -> Path:
        return self.share / ".processing" / f"{datetime.now(UTC):%Y%m%d}" / session

    def _half_claimed(self, session: str, name: str) -> str | None:
        with contextlib.suppress(FileNotFoundError):
            claimed = (self._claimed(session) / name).stat()
            if claimed.st_nlink < 2:
                return None
            with contextlib.suppress(FileNotFoundError):
                if (self.share / "incoming" / session / name).stat().st_ino == claimed.st_ino:
                    return "claim: linked, its old name still there"
            return "claim: its old name aside, not yet removed"
        return None

    def _half_copied(self, quarry: Quarry) -> bool:
        for copy in quarry.staging.glob(f"copies/*/{quarry.session}/**/*"):
            if copy.is_dir():
                continue
            with contextlib.suppress(FileNotFoundError):
                source = self.share / ".processing" / copy.relative_to(quarry.staging / "copies")
                if 0 < copy.stat().st_size < source.stat().st_size:
                    return True
        return False

    def _half_sent(self, session: str) -> bool:
        return any(
            request.carries_data and request.status is None and 0 < request.received < request.size and f"/{session}/" in request.blob
            for request in self.proxy.latest(_LATEST)
        )


def _glance(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + HUNT_S
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(_GLANCE_S)
    return False
