"""A side that is a program which moves what lies there and ends: its own start is part of what is measured. The benchmark's process."""

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tools.bench.endpoint import Endpoint
from tools.bench.ground import Ground, WentWrong
from tools.bench.group import Group
from tools.bench.sides.side import Mover


@dataclass(frozen=True, slots=True)
class Call:
    command: Sequence[str]
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ProgramSide:
    name: str
    call: Callable[[Ground, Endpoint], Call]

    @contextmanager
    def launch(self, ground: Ground, endpoint: Endpoint, group: Group) -> Iterator[Mover]:
        call = self.call(ground, endpoint)
        yield _Program(Call(call.command, {**call.settings, **endpoint.environment}), ground, group)


class _Program:
    def __init__(self, call: Call, ground: Ground, group: Group) -> None:
        self._call = call
        self._group = group
        self._log = ground.work / "program.log"
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        self._process = self._group.spawn(self._call.command, self._call.settings, self._log)

    def wait(self, deadline_s: float) -> None:
        assert self._process is not None
        try:
            code = self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise WentWrong(f"{self._call.command[0]} has not ended after {deadline_s:.0f} s, see {self._log}") from None
        if code:
            raise WentWrong(f"{self._call.command[0]} ended with {code}, see {self._log}")
