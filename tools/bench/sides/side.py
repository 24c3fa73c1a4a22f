"""What a benchmark may ask of a side. The benchmark's process."""

from contextlib import AbstractContextManager
from typing import Protocol

from tools.bench.endpoint import Endpoint
from tools.bench.ground import Ground
from tools.bench.group import Group


class Mover(Protocol):
    """One side, launched on one ground, up to where the clock starts."""

    def begin(self) -> None:
        """The clock has just been started: move what lies there."""
        ...

    def wait(self, deadline_s: float) -> None:
        """Returns when every file is committed and gone from NFS. Raises WentWrong."""
        ...


class Side(Protocol):
    @property
    def name(self) -> str: ...

    def launch(self, ground: Ground, endpoint: Endpoint, group: Group) -> AbstractContextManager[Mover]: ...
