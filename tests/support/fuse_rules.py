"""Which calls of the faulty file system go wrong, and how. Runs in its server process; the test sends the rules."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Concatenate, Protocol


@dataclass(slots=True)
class Rule:
    calls: list[str]
    path: str  # a pattern, for a path without its leading slash
    error: int  # 0: none, the call hangs until the rule is withdrawn, and is then carried out
    done: bool  # carried out first, then answered with the error
    times: int | None  # None: always
    hits: int = 0
    withdrawn: threading.Event = field(default_factory=threading.Event)

    def meets(self, call: str, paths: list[str]) -> bool:
        if self.times is not None and self.hits >= self.times:
            return False
        return ("*" in self.calls or call in self.calls) and any(fnmatchcase(path.lstrip("/"), self.path) for path in paths)


class Rules:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: dict[int, Rule] = {}

    def obey(self, request: dict[str, Any]) -> object:
        with self._lock:
            match request:
                case {"add": number, **fields}:
                    self._rules[number] = Rule(**fields)
                    return None
                case {"hits": number}:
                    return self._rules[number].hits
                case {"withdraw": number}:
                    rule = self._rules.pop(number)
                    rule.withdrawn.set()
                    return rule.hits
        raise ValueError(request)

    def apply[R](self, call: str, paths: list[str], carry_out: Callable[[], R]) -> R:
        """What the first rule says that meets the call; else it is carried out."""
        rule = self._hit(call, paths)
        if rule and rule.error:
            if rule.done:
                carry_out()
            raise OSError(rule.error, os.strerror(rule.error))
        if rule:
            rule.withdrawn.wait()
        return carry_out()

    def _hit(self, call: str, paths: list[str]) -> Rule | None:
        with self._lock:
            for rule in self._rules.values():
                if rule.meets(call, paths):
                    rule.hits += 1
                    return rule
        return None


class Ruled(Protocol):
    """A file system under rules."""

    rules: Rules
    opened: dict[int, str]  # by handle: the name under which it was opened


type _Call[F: Ruled, **P, R] = Callable[Concatenate[F, str, P], R]


def _name(call: Callable[..., object]) -> str:
    """libfuse's, for a rule: two of its calls come by path and by handle."""
    name = getattr(call, "__name__", "")
    return {"_look": "getattr", "_look_at_open": "getattr", "_cut": "truncate", "_cut_open": "truncate"}.get(name, name)


def ruled[F: Ruled, **P, R](call: _Call[F, P, R]) -> _Call[F, P, R]:
    """A call by path; it may name a second one (link, rename)."""
    name = _name(call)

    def under_rules(self: F, path: str, /, *rest: P.args, **more: P.kwargs) -> R:
        paths = [path, *(other for other in rest if isinstance(other, str))]
        return self.rules.apply(name, paths, lambda: call(self, path, *rest, **more))

    return under_rules


def ruled_by_handle[R](at: int) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """A call on what is open, whose handle is argument number `at`. libfuse gives it no path: a path would be locked while the call
    hangs, and that would hold up calls that have nothing to do with it. It is known by the name under which it was opened.
    """

    def decorate(call: Callable[..., R]) -> Callable[..., R]:
        name = _name(call)

        def under_rules(self: Ruled, path: str | None, /, *rest: Any) -> R:
            paths = [path if path is not None else self.opened[rest[at]]]
            return self.rules.apply(name, paths, lambda: call(self, path, *rest))

        return under_rules

    return decorate
