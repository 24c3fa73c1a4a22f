"""Whether everything is all right: one word, the reason in one sentence, and the conditions that it follows from.

Pure values; main process and client. `RULES` is the only place that says which condition gives which word.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum


class HealthState(StrEnum):
    #: Nobody has to do anything.
    OK = "OK"
    #: Files wait for something that passes by itself, or that somebody has asked for.
    WAITING = "Waiting"
    #: Somebody has to look: files do not get on, or soon will not.
    TROUBLE = "Trouble"


class Kind(StrEnum):
    """What may keep files from Azure. The most important one comes first."""

    RESTART = "restart"  # the supervisor wants the pod restarted
    HANG = "hang"  # an actor hangs, in an NFS call most likely
    STARTING = "starting"  # an actor starts, or is replaced
    AZURE = "azure"  # the container has not answered since the start
    CLOCK = "clock"  # this pod's clock differs from Azure's
    NFS = "nfs"  # NFS answers with an error
    LINK = "link"  # a symbolic link is where a folder has to be
    EXPORT = "export"  # the disk of the export is full, or soon will be
    FAILED = "failed"  # attempts have failed
    STALLED = "stalled"  # files are there to be sent, and nothing has left
    REFUSED = "refused"  # files are left where they are
    PAUSED = "paused"  # uploads are paused by a call
    ROOM = "room"  # staging is full
    DRAINING = "draining"  # a session that was stopped cannot end
    SESSION = "session"  # none is active
    OPEN = "open"  # writers have files open
    MARKER = "marker"  # files wait for their marker
    NAME = "name"  # files wait, because kept files have their names


@dataclass(frozen=True, slots=True)
class Rule:
    state: HealthState
    later: HealthState | None = None  # once it has lasted for `after_s` seconds
    after_s: float = 0.0

    def after(self, lasted_s: float) -> HealthState:
        return self.later if self.later and lasted_s >= self.after_s else self.state


_TROUBLE = Rule(HealthState.TROUBLE)
_WAITING = Rule(HealthState.WAITING)

#: The times are those of the alerts in k3s/monitoring/alerts.yaml, where there is one for it.
RULES: Mapping[Kind, Rule] = {
    Kind.RESTART: _TROUBLE,
    Kind.HANG: _TROUBLE,
    Kind.STARTING: Rule(HealthState.WAITING, HealthState.TROUBLE, 300),
    Kind.AZURE: Rule(HealthState.WAITING, HealthState.TROUBLE, 60),
    Kind.CLOCK: _TROUBLE,
    Kind.NFS: _TROUBLE,
    Kind.LINK: _TROUBLE,
    Kind.EXPORT: _TROUBLE,
    Kind.FAILED: Rule(HealthState.WAITING, HealthState.TROUBLE, 1800),
    Kind.STALLED: Rule(HealthState.OK, HealthState.TROUBLE, 1800),
    Kind.REFUSED: _TROUBLE,
    Kind.PAUSED: _WAITING,
    Kind.ROOM: Rule(HealthState.WAITING, HealthState.TROUBLE, 3600),
    Kind.DRAINING: _WAITING,
    Kind.SESSION: _WAITING,
    Kind.OPEN: Rule(HealthState.OK, HealthState.WAITING, 21_600),
    Kind.MARKER: Rule(HealthState.OK, HealthState.WAITING, 21_600),
    Kind.NAME: _WAITING,
}

#: Those whose text says what is waited for; that of the others is a sentence.
_WAITED_FOR = frozenset({Kind.FAILED, Kind.ROOM, Kind.DRAINING, Kind.OPEN, Kind.MARKER, Kind.NAME})
_SEVERITY = list(HealthState)


@dataclass(frozen=True, slots=True)
class Condition:
    kind: Kind
    state: HealthState  # what it makes of the service
    text: str  # without a full stop
    detail: str | None  # such as an error
    since: datetime  # UTC


@dataclass(frozen=True, slots=True)
class Health:
    state: HealthState
    reason: str  # one sentence
    since: datetime | None  # UTC; None: all is well


def health(conditions: Iterable[Condition], well: str) -> Health:
    """The worst of them, and of several the most important. `well`: the sentence for when there is nothing to be said."""
    worst = max(conditions, key=lambda one: _SEVERITY.index(one.state), default=None)
    if worst is None or worst.state is HealthState.OK:
        return Health(HealthState.OK, well, None)
    text = f"waiting for {worst.text}" if worst.kind in _WAITED_FOR else worst.text
    detail = f": {worst.detail}" if worst.detail else ""
    return Health(worst.state, f"{text[:1].upper()}{text[1:]}{detail}.", worst.since)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is so at the moment."""

    kind: Kind
    text: str
    since: float | None = None  # seconds, monotonic; None: since it was found first
    detail: str | None = None


class Conditions:
    """Remembers since when each kind of condition has been found."""

    def __init__(self) -> None:
        self._begun: dict[Kind, tuple[float, datetime]] = {}  # the same time twice: seconds, monotonic, and UTC

    def judged(self, findings: Iterable[Finding]) -> tuple[Condition, ...]:
        """One condition for each finding, the most important first. Kinds that are not among them have ended."""
        now, found = time.monotonic(), sorted(findings, key=lambda one: _ORDER[one.kind])
        before, self._begun = self._begun, {}
        for finding in reversed(found):  # of several of one kind the first one counts
            begun = before.get(finding.kind)
            if begun is None or (finding.since is not None and begun[0] != finding.since):
                since = now if finding.since is None else finding.since
                begun = since, _at(since - now)
            self._begun[finding.kind] = begun
        return tuple(
            Condition(one.kind, RULES[one.kind].after(now - begun), one.text, one.detail, since)
            for one in found
            for begun, since in (self._begun[one.kind],)
        )


def _at(seconds: float) -> datetime:
    """That many seconds from now, as a whole second."""
    return datetime.fromtimestamp(int(time.time() + seconds), UTC)


_ORDER = {kind: place for place, kind in enumerate(Kind)}
