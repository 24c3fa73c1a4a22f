"""What a check has found. Any process of the doctor."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    #: The service runs, but not as well, or not as safely, as it could.
    WARN = "warn"
    #: The service will not work.
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    verdict: Verdict
    said: str
    remedy: str | None = None  # what to do about it


@dataclass(frozen=True, slots=True)
class Check:
    """`run` returns what it found in words, or raises `Wrong`."""

    name: str
    run: Callable[[], str]
    #: Whether the checks after it are skipped when it fails.
    needed: bool = False
    #: Seconds that it may take; None: the limit for all checks.
    limit_s: float | None = None


class Wrong(Exception):
    """A check found a problem. `remedy`: what to do about it."""

    def __init__(self, said: str, remedy: str, verdict: Verdict = Verdict.FAIL) -> None:
        super().__init__(said)
        self.said = said
        self.remedy = remedy
        self.verdict = verdict
