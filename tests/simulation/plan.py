"""What happens in one run, besides what nfsw does: writers, faults, calls. Made from a seed; a list, so that it can be made shorter.

Times are seconds since the beginning of the run. What is not in the plan, the order of messages and of system calls, comes
from the same seed.
"""

import errno
import random
from dataclasses import dataclass, fields, replace

SESSIONS = ("s", "t")
ACTORS = ("scanner", "claimer", "collector", "uploader", "keeper")
#: Seconds in which things happen; what comes after is left to nfsw.
SPAN_S = 90.0
_NAMES = ("a.bin", "b.bin", "c.bin", "d.bin")
#: How many seeds have folders, and which. A folder that has the name of a file waits for the file, and the file for the folder.
_RECURSIVE = 0.25
_FOLDERS = ("", "x/", "x/y/", "a.bin/")
#: How many seeds have writers that leave markers.
_MARKED = 0.25
_ERRORS = (errno.EIO, errno.EACCES, errno.ESTALE, errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Action:
    at: float

    def __str__(self) -> str:
        told = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.name != "at")
        return f"{self.at:8.3f} {type(self).__name__}({told})"


@dataclass(frozen=True, slots=True)
class Write(Action):
    """A writer makes a file, in pieces with pauses, and closes it; under another name first when `rename`, over whatever has the name."""

    session: str
    name: str
    size: int
    pieces: int = 1
    pause_s: float = 0.0
    rename: bool = False


@dataclass(frozen=True, slots=True)
class Append(Action):
    """A writer opens the file again, if it is still in `incoming`, and appends to it; `hold_s` later it writes once more and closes."""

    session: str
    name: str
    size: int
    hold_s: float


@dataclass(frozen=True, slots=True)
class Rewrite(Action):
    """A writer changes bytes in place and puts the old mtime back."""

    session: str
    name: str


@dataclass(frozen=True, slots=True)
class RaceClaim(Action):
    """A writer puts another file in place of the next one that is claimed, in the instant of the claim: before its name is moved aside."""

    size: int


@dataclass(frozen=True, slots=True)
class RaceCall(Action):
    """A writer on another node changes the next claimed file of which the actor makes that call, in the same instant.

    It appends `size` bytes, or 0: changes bytes in place and puts the old mtime back. `skipped`: so many of these calls are let pass first.
    """

    actor: str
    call: str
    skipped: int
    size: int
    hold_s: float  # the writer has the file open for so long, and writes at the end of it


@dataclass(frozen=True, slots=True)
class ChangeKept(Action):
    """A writer on another node changes a file that is kept, as soon as there is one. `size`, `hold_s`: as for `RaceCall`."""

    size: int
    hold_s: float


@dataclass(frozen=True, slots=True)
class Remove(Action):
    """Somebody deletes the file from `incoming`."""

    session: str
    name: str


@dataclass(frozen=True, slots=True)
class KillActor(Action):
    """SIGKILL, `calls` system calls later (0: now)."""

    pod: int
    actor: str
    calls: int = 0


@dataclass(frozen=True, slots=True)
class StopActor(Action):
    """SIGSTOP: the process does not run any more, and does not end."""

    pod: int
    actor: str


@dataclass(frozen=True, slots=True)
class FailCall(Action):
    """The actor's system call that comes `calls` later fails; `lost`: it is made, and its answer is lost and the request replayed."""

    pod: int
    actor: str
    calls: int
    code: int
    lost: bool


@dataclass(frozen=True, slots=True)
class KillPod(Action):
    """All its processes end; the next ones start a moment later."""

    pod: int
    wiped: bool  # its staging folder is empty then
    away_s: float


@dataclass(frozen=True, slots=True)
class NfsAway(Action):
    """The server does not answer: each call waits. `unkillable`: in state D."""

    seconds: float
    unkillable: bool


@dataclass(frozen=True, slots=True)
class AzureAway(Action):
    seconds: float


@dataclass(frozen=True, slots=True)
class LoseAnswer(Action):
    """The next request of the kind is done, and its answer is lost."""

    request: str


@dataclass(frozen=True, slots=True)
class FullDisk(Action):
    """Staging takes nothing more."""

    seconds: float


@dataclass(frozen=True, slots=True)
class StartSession(Action):
    pod: int
    session: str


@dataclass(frozen=True, slots=True)
class StopSession(Action):
    pod: int


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same from the beginning of a run to its end."""

    pods: int
    workers: int
    queue: int
    staging_limit: int  # bytes
    block_size: int  # bytes
    single_put: int  # bytes
    begins_at: float  # seconds since the epoch
    leases: bool  # whether the server grants any
    content_md5: bool
    recursive: bool = False  # some names have a folder
    keep_s: float = 0.0  # for which a file that is in Azure stays on NFS
    done_suffix: str = ""  # of the markers that writers leave; empty: they leave none


def make(seed: int) -> tuple[Setting, list[Action]]:
    """The setting and the plan of a seed."""
    rng = random.Random(seed)
    pods = rng.choice((1, 1, 1, 2))
    setting = Setting(
        pods=pods,
        workers=rng.randint(1, 3),
        queue=rng.randint(1, 3),
        staging_limit=rng.choice((5_000, 9_000, 100_000)),
        block_size=rng.choice((64, 200)),
        single_put=rng.choice((0, 150)),
        begins_at=1_800_000_000.0 - 1_800_000_000 % 86_400 - rng.choice((10, 40, 40_000)),
        leases=rng.random() < 0.8,
        content_md5=rng.random() < 0.2,
    )
    actions: list[Action] = [StartSession(0.0, 0, "s")]
    if pods == 2:
        actions.append(StartSession(0.0, 1, rng.choice(SESSIONS)))
    bursts = [rng.uniform(0, SPAN_S) for _ in range(rng.randint(1, 3))]
    actions += [_writer(rng, pods, rng.choice(bursts) + rng.uniform(0, 2)) for _ in range(rng.randint(1, 8))]
    for _ in range(rng.choice((0, 1, 3, 6, 12))):
        # Most faults come when files are under way: a file is stable some seconds after it was written.
        at = rng.choice(bursts) + rng.uniform(4, 14) if rng.random() < 0.7 else rng.uniform(0, SPAN_S)
        actions.append(_fault(rng, pods, at))
    setting, more = _retention(random.Random(f"{seed} retention"), setting)
    actions += more
    setting, actions = _in_folders(random.Random(f"{seed} tree"), setting, actions)
    if random.Random(f"{seed} a marker each").random() < _MARKED:
        setting = replace(setting, done_suffix=".done")
    return setting, sorted(actions, key=lambda action: action.at)


def _in_folders(rng: random.Random, setting: Setting, actions: list[Action]) -> tuple[Setting, list[Action]]:
    """Of some seeds some files lie in folders. Drawn apart, so that nothing else of a plan depends on it."""
    if rng.random() >= _RECURSIVE:
        return setting, actions
    folders = {name: rng.choice(_FOLDERS) for name in _NAMES}
    return replace(setting, recursive=True), [
        replace(action, name=folders[action.name] + action.name) if isinstance(action, Write | Append | Rewrite | Remove) else action
        for action in actions
    ]


def _retention(rng: random.Random, setting: Setting) -> tuple[Setting, list[Action]]:
    """Some runs keep files. With an `rng` of its own, so that the rest of a seed's plan is the same for all of them."""
    keep_s = rng.choice((0.0, 0.0, 5.0, 20.0, 45.0))
    if not keep_s:
        return setting, []
    more: list[Action] = []
    kept, stop = (rng.randint(0, 2) for _ in range(2))
    more += [ChangeKept(rng.uniform(5, SPAN_S), rng.choice((0, 1, 100)), rng.choice((0.0, 5.0, 30.0))) for _ in range(kept)]
    more += [
        KillActor(rng.uniform(20, SPAN_S), rng.randrange(setting.pods), "collector", rng.randint(0, 60))
        for _ in range(rng.choice((0, 0, 1, 2)))
    ]
    more += [StopSession(rng.uniform(20, SPAN_S), rng.randrange(setting.pods)) for _ in range(stop // 2)]
    return replace(setting, keep_s=keep_s), more


def _writer(rng: random.Random, pods: int, at: float) -> Action:
    session, name = rng.choice(SESSIONS[:pods]), rng.choice(_NAMES)
    match rng.randrange(10):
        case 0:
            return Append(at, session, name, rng.randint(1, 200), rng.choice((0.0, 1.0, 20.0, rng.uniform(40, 50))))
        case 1:
            return Rewrite(at, session, name)
        case 2:
            return Remove(at, session, name)
        case 3:
            return RaceClaim(at, rng.choice((1, 100, 300)))
        case 4:
            actor, call = rng.choice((("claimer", "read"), ("claimer", "statx"), ("collector", "statx"), ("collector", "rename")))
            # A change within the file's size, with the mtime put back, in the instant of our own rename is the one that nobody can see.
            size = rng.choice((1, 100) if call == "rename" else (0, 0, 1, 100))
            return RaceCall(at, actor, call, rng.randrange(4), size, rng.choice((0.0, 5.0)))
        case _:
            size = rng.choice((0, 1, 100, 300, 1500))
            pieces = rng.choice((1, 1, 3))
            return Write(at, session, name, size, pieces, rng.choice((0.1, 3.0, 12.0)), rename=rng.random() < 0.4)


def _fault(rng: random.Random, pods: int, at: float) -> Action:
    pod, actor = rng.randrange(pods), rng.choice(ACTORS)
    match rng.randrange(12):
        case 0 | 1 | 2:
            return KillActor(at, pod, actor, rng.choice((0, rng.randint(1, 60))))
        case 3 | 4 | 5:
            return FailCall(at, pod, rng.choice(ACTORS[:3]), rng.randint(0, 40), rng.choice(_ERRORS), lost=rng.random() < 0.5)
        case 6:
            return KillPod(at, pod, wiped=rng.random() < 0.3, away_s=rng.choice((0.5, 20.0)))
        case 7:
            return NfsAway(at, rng.choice((3.0, 20.0, 50.0, 150.0)), unkillable=rng.random() < 0.3)
        case 8:
            return AzureAway(at, rng.choice((2.0, 30.0)))
        case 9:
            return LoseAnswer(at, rng.choice(("put", "commit", "stage")))
        case 10:
            return rng.choice((FullDisk(at, rng.choice((3.0, 30.0))), StopActor(at, pod, actor)))
        case _:
            return StopSession(at, pod)
