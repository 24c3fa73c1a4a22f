"""The storm: who is killed, when, and how often. Repeatable by its seed as far as the machine's own timing allows."""

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tools.soak.book import Book
from tools.soak.instants import Caught, Hunter, Quarry
from tools.soak.pod import ACTORS, Pod
from tools.soak.process import Process, held

AT_RANDOM = "at random"
#: How many of all kills are aimed at a named instant.
_NAMED = 0.6
#: Of these, how many end the main process as well, at the same instant: the pod is gone.
_WHOLE_POD = 0.2
#: A pod that was just ended is left alone until it runs again, but not always. Seconds.
_RECOVERS_WITHIN_S = 15.0
_MERCY = 0.8


@dataclass(slots=True)
class Storm:
    pods: Sequence[Pod]
    hunter: Hunter
    book: Book
    chance: random.Random
    #: SIGKILLs by process and instant.
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: Hunts by their name, and whether they caught something.
    hunts: Counter[tuple[str, bool]] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        return self.kills.total()

    def run(self, kills: int, seconds: float, enough: threading.Event) -> None:
        """Until there were so many kills, or so many seconds have passed."""
        begun = time.monotonic()
        while self.count < kills and (left := begun + seconds - time.monotonic()) > 0:
            pace = left / (kills - self.count)
            if enough.wait(min(left, self.chance.uniform(0, 0.9) * pace)):
                return
            pod = self.chance.choice(self.pods)
            if not pod.runs() and self.chance.random() < _MERCY:
                self._await(pod, enough)
            if self.chance.random() < _NAMED:
                self._hunt(pod)
            else:
                self._shoot(pod)

    def _shoot(self, pod: Pod) -> None:
        main = pod.pid
        victims = self.chance.sample(("main", *ACTORS), self.chance.choice((1, 1, 1, 2)))
        with contextlib.ExitStack() as stack:
            targets = [stack.enter_context(held(main, victim)) for victim in victims] if main else []
            for target in targets:
                self._kill(target, AT_RANDOM)

    def _hunt(self, pod: Pod) -> None:
        """The instant that was hit least often so far."""
        session, main = pod.session, pod.pid
        if session is None or main is None:
            return
        hunts = self.hunter.hunts()
        name = min(sorted(hunts, key=lambda _: self.chance.random()), key=lambda name: self.hunts[name, True])
        with hunts[name](Quarry(main, session, pod.staging)) as caught:
            self.hunts[name, caught is not None] += 1
            if caught:
                self._end(main, caught)

    def _end(self, main: int, caught: Caught) -> None:
        if self.chance.random() < _WHOLE_POD:
            with held(main, "main") as process:
                self._kill(process, caught.instant)
        self._kill(caught.process, caught.instant)

    def _kill(self, process: Process | None, instant: str) -> None:
        if process and process.kill():
            self.kills[process.name, instant] += 1
            self.book.note(f"SIGKILL {process.name} {process.pid}: {instant}")

    def _await(self, pod: Pod, enough: threading.Event) -> None:
        deadline = time.monotonic() + _RECOVERS_WITHIN_S
        while not pod.runs() and time.monotonic() < deadline and not enough.wait(0.05):
            pass
