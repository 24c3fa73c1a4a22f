"""A Scanner whose ticks are called by hand, on a clock that stands still in between."""

from nfsw.actors.call_board import CallBoard
from nfsw.actors.config import ScannerConfig
from nfsw.actors.envelope import Message
from nfsw.actors.messages import ArrivalsCounted, FileStable, RuleFound, ScanFinished, SessionFound, WatchedSessions
from nfsw.actors.scanner import Scanner
from nfsw.actors.stability import Rule
from tests.support.faketime import FakeClock
from tests.support.told import Told, passed

POLL_S = 2.0
AGE_S = 5.0
WRITEBACK_AGE_S = 40.0
LARGEST = 1000


class Watching:
    """The Scanner of a pod that holds session `s`, with what it told."""

    def __init__(
        self, root: str, board: CallBoard, clock: FakeClock, *extensions: str, recursive: bool = False, done_suffix: str = ""
    ) -> None:
        self.clock = clock
        self.told = Told()
        #: What was said of how much lies in `incoming`.
        self.counted: list[ArrivalsCounted] = []
        self._rule: Rule | None = None
        config = ScannerConfig(root, POLL_S, AGE_S, WRITEBACK_AGE_S, extensions, LARGEST, recursive, done_suffix)
        self.scanner = Scanner(config, board)
        self.watch("s")

    def watch(self, active: str | None, *others: str) -> None:
        held = frozenset(name for name in (active, *others) if name)
        self.hear(WatchedSessions(active, held, held))

    def hear(self, message: Message) -> None:
        assert self.scanner.on_message(passed(message), self.told) is None, "it has no jobs"

    def tick(self) -> list[Message]:
        """The next look; what was told since the one before, but for `ScanFinished`, the stability rule and the count of arrivals."""
        self.clock.advance(POLL_S)
        self.scanner.on_tick(self.told)
        told = self.told.taken()
        for message in told:
            if isinstance(message, RuleFound):
                self._rule = message.rule
            if isinstance(message, ArrivalsCounted):
                self.counted.append(message)
        return [message for message in told if not isinstance(message, ScanFinished | RuleFound | ArrivalsCounted)]

    def rule(self) -> Rule | None:
        """The stability rule as it was told last."""
        return self._rule

    def ticks(self, seconds: float) -> list[Message]:
        """All looks of that time."""
        return [message for _ in range(round(seconds / POLL_S)) for message in self.tick()]

    def stable(self, seconds: float) -> list[str]:
        """Names of the files that were reported in that time."""
        return [message.file.name for message in self.ticks(seconds) if isinstance(message, FileStable)]

    def looked(self) -> tuple[SessionFound, ...]:
        """What one more look finds."""
        self.clock.advance(POLL_S)
        self.told.clear()
        self.scanner.on_tick(self.told)
        (finished,) = self.told.of(ScanFinished)
        return finished.sessions
