"""The harness's threads. One that fails ends the run and is told: a run without its checker proves nothing."""

import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

type Duty = Callable[[threading.Event], None]


@dataclass(slots=True)
class Duties:
    """`complain` is called with the failure of a duty. A duty returns soon after the event that it is given is set."""

    complain: Callable[[str], None]
    enough: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def add(self, name: str, duty: Duty) -> None:
        thread = threading.Thread(target=self._guarded, args=(name, duty), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def end(self) -> None:
        self.enough.set()
        for thread in self._threads:
            thread.join(60)
            if thread.is_alive():
                self.complain(f"the harness's {thread.name} does not end")

    def _guarded(self, name: str, duty: Duty) -> None:
        try:
            duty(self.enough)
        except BaseException:  # noqa: BLE001 - whatever it was, it goes into the account
            self.complain(f"the harness's {name} failed\n{traceback.format_exc()}")
            self.enough.set()
