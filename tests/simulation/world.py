"""The world of one run: the clock, the folders, the service, the pods, the writers, the plan, and what must hold at any time.

Everything that happens is one line of `events`. The first thing that must not happen ends the run.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine
from itertools import count
from pathlib import Path
from typing import Any

from greenlet import getcurrent

from nfsw.actors.messages import CompleteFile, StageFile
from nfsw.actors.stability import Rule
from nfsw.supervisor.service import AzureSilent
from nfsw.supervisor.session import Holding
from nfsw.supervisor.tracked_file import UNDER_WAY, Stage
from tests.simulation import plan
from tests.simulation.child import SimulatedChild
from tests.simulation.files import SimulatedFiles
from tests.simulation.leases import Leases
from tests.simulation.markers import Markers
from tests.simulation.plan import Action, Setting
from tests.simulation.pod import SWEEP_S, Pod
from tests.simulation.service import Service
from tests.simulation.threads import ActorThread
from tests.simulation.writers import Writers
from tests.support.memory_store import Kept, no_answer

#: Seconds after the last planned thing within which everything is in Azure, and nothing of it left on NFS. Less than the ten minutes
#: after which the Scanner reports everything again: a file that was lost sight of must not pass for one that took its time.
DRAIN_S = 560.0
#: Seconds after the last planned thing until hung processes are replaced, and pods that ended run again.
_RECOVERED_S = 120.0
#: Events of one run: more of them is something that goes in a circle.
MOST_EVENTS = 200_000

_FOR_WANT_OF_ROOM = (errno.ENOSPC, errno.EDQUOT)
_TAKE_ROOM = ("link", "rename", "mkdir", "write", "pwrite")


class Violation(AssertionError):
    """Something happened that must never happen."""


class World:
    def __init__(self, root: str, seed: int, setting: Setting, actions: list[Action]) -> None:
        self.root = root
        self.nfs = f"{root}/nfs"
        self.setting = setting
        self.rng = random.Random(seed * 7919 + 1)
        self.main = getcurrent()
        self.events: list[str] = []
        self.violation: Violation | None = None
        self._begun = time.monotonic()
        self._actions = actions
        self._broken = asyncio.Event()
        self._detached: set[asyncio.Task[Any]] = set()
        self._nfs_until = 0.0  # the server is away until then (seconds, monotonic)
        self._disk_until = 0.0
        self._unkillable = False
        self._pids = count(1000)
        self._races: list[int] = []  # sizes of files that are put in place of those that are claimed next
        self._call_races: list[plan.RaceCall] = []
        self._skipped: dict[plan.RaceCall, int] = {}  # calls that are still to be let pass
        self._end_waits: dict[str, float] = {}  # since when a pod's session that was stopped has nothing left but kept files
        self._waits: list[tuple[str, str, int, Callable[[], int | None]]] = []
        Path(f"{self.nfs}/incoming").mkdir(parents=True)
        self.leases = Leases(self, granted=setting.leases)
        self.files = SimulatedFiles(self, self.nfs)
        self.service = Service(self)
        self.writers = Writers(self)
        self.markers = Markers(self, seed)
        self._commits: dict[tuple[str, str], list[bytes]] = defaultdict(list)  # by session and name
        self.pods: dict[int, Pod] = {}

    # --- One run ---

    async def run(self) -> None:
        """Raises Violation."""
        work = asyncio.create_task(self._run(), name="run")
        broken = asyncio.create_task(self._broken.wait(), name="broken")
        await asyncio.wait([work, broken], return_when=asyncio.FIRST_COMPLETED)
        if self.violation:
            work.cancel()
            raise self.violation
        broken.cancel()
        work.result()

    def end(self) -> None:
        for pod in self.pods.values():
            self._unkillable = False
            pod.end()
        for task in self._detached:
            task.cancel()
        self.writers.end()
        self.markers.end()
        self.files.end()

    async def _run(self) -> None:
        for number in range(self.setting.pods):
            self.pods[number] = Pod(self, number)
        for action in self._actions:
            await asyncio.sleep(max(0.0, self._begun + action.at - time.monotonic()))
            self.event("plan", str(action)[9:])
            self._do(action)
        await asyncio.sleep(max(0.0, self._nfs_until - time.monotonic(), self._disk_until - time.monotonic()))
        await self.writers.finished()
        await self.markers.finished()
        self._waits.clear()
        self.event("plan", "nothing more goes wrong")
        until = time.monotonic() + DRAIN_S
        while left := self._left():
            self._check_kept(until - DRAIN_S + _RECOVERED_S)
            if time.monotonic() > until:
                raise Violation(f"not done {DRAIN_S:.0f} s after the last fault: {'; '.join(left)}")
            self._operate()
            self.markers.operate(DRAIN_S - (until - time.monotonic()))
            await asyncio.sleep(2)

    def _do(self, action: Action) -> None:
        match action:
            case plan.Write() | plan.Append() | plan.Rewrite() | plan.Remove() | plan.ChangeKept():
                self.writers.start(action)
            case plan.RaceClaim(_, size):
                self._races.append(size)
            case plan.RaceCall():
                self._call_races.append(action)
                self._skipped[action] = action.skipped
            case plan.KillActor(_, number, actor, calls):
                if calls:
                    self._wait(number, actor, calls, lambda: self._kill(number, actor))
                else:
                    self._kill(number, actor)
            case plan.StopActor(_, number, actor):
                if child := self.pods[number].children.get(actor):
                    child.stopped = True
            case plan.FailCall(_, number, actor, calls, code, lost):
                self._wait(number, actor, calls, lambda: -code if lost else code)
            case plan.KillPod(_, number, wiped, away_s):
                self.restarts(self.pods[number], away_s, wiped=wiped)
            case plan.NfsAway(_, seconds, unkillable):
                self._nfs_until, self._unkillable = time.monotonic() + seconds, unkillable
            case plan.AzureAway(_, seconds):
                self.service.down = no_answer()
                asyncio.get_running_loop().call_later(seconds, self._azure_is_back)
            case plan.LoseAnswer(_, request):
                self.service.lose_answer(request)
            case plan.FullDisk(_, seconds):
                self._disk_until = time.monotonic() + seconds
            case plan.StartSession(_, number, session):
                self.calls(number, f"start {session}", self._start(number, session))
            case plan.StopSession(_, number):
                self.calls(number, "stop", self.pods[number].service.stop())
            case _:
                raise AssertionError(action)

    async def _start(self, number: int, session: str) -> None:
        """Whoever calls does so again until Azure has answered: the plan is about a pod that works, from its first seconds on."""
        while True:
            try:
                await self.pods[number].service.start(session)
            except AzureSilent:
                await asyncio.sleep(0.5)
            else:
                return

    def _operate(self) -> None:
        """What an operator does who wants everything sent: each session that has files is active somewhere."""
        active = {pod.sessions.active.name for pod in self.pods.values() if pod.sessions.active}
        for session in plan.SESSIONS:
            if session in active or not any(Path(self.nfs, "incoming", session).glob("*")):
                continue
            for number, pod in self.pods.items():
                if pod.sessions.active is None and not pod.ended:
                    self.calls(number, f"start {session}", pod.service.start(session))
                    return
            for number, pod in self.pods.items():  # all are busy with a session that has nothing to do
                active_here = pod.sessions.active
                if active_here and active_here.holding is Holding.ACTIVE and not pod.sessions.is_busy(active_here.name):
                    self.calls(number, "stop", pod.service.stop())
                    return

    async def _call(self, number: int, what: str, call: Coroutine[object, object, object]) -> None:
        try:
            await call
        except Exception as error:  # noqa: BLE001 - what the API makes a 409 or 503 of
            self.event(f"pod{number}", f"{what}: {error!r}")
        else:
            self.event(f"pod{number}", f"{what}: done")

    # --- Faults ---

    def enters(self, thread: ActorThread, call: str, path: str, *, on_nfs: bool, within_s: float) -> bool:
        """A system call of an actor begins. Returns whether its answer is to be lost. Raises OSError, Killed."""
        child = thread.child
        child.calls += 1
        self.event(child.who, f"{call} {path.removeprefix(self.root)}")
        child.own_board.enter(thread.number, f"{call} {path}")
        try:
            thread.sleep(self.rng.uniform(0, within_s))
            while (on_nfs and time.monotonic() < self._nfs_until) or child.stopped:
                if self._unkillable and on_nfs:
                    child.unkillable_until = self._nfs_until
                thread.sleep(max(0.5, self._nfs_until - time.monotonic()))
            outcome = self._outcome(child, call) if call != "close" else None
            if not child.alive:
                thread.pause()
            if self._races and (raced := self.markers.raced(call, path)):
                self.writers.replace(raced, self._races.pop())
            if "/.processing/" in path:
                self._race(child.name, call, path)
            if not on_nfs and call in ("pwrite", "write", "mkdir") and time.monotonic() < self._disk_until:
                outcome = errno.ENOSPC
            if outcome is not None and outcome > 0:
                self.event(child.who, f"{call} fails: {errno.errorcode[outcome]}")
                raise OSError(outcome, os.strerror(outcome), path)
            return outcome is not None
        finally:
            if child.alive:
                child.own_board.leave(thread.number, call)

    def _race(self, actor: str, call: str, path: str) -> None:
        for race in [race for race in self._call_races if (race.actor, race.call) == (actor, call)]:
            if self._skipped[race]:
                self._skipped[race] -= 1
            elif self.writers.change_at_once(path, race.size, race.hold_s):
                self._call_races.remove(race)

    def _wait(self, number: int, actor: str, calls: int, then: Callable[[], int | None]) -> None:
        child = self.pods[number].children.get(actor)
        self._waits.append((f"pod{number}", actor, (child.calls if child else 0) + calls, then))

    def _outcome(self, child: SimulatedChild, call: str) -> int | None:
        """What is planned for this call: an error, a negative one when only the answer is lost."""
        for wait in self._waits:
            pod, name, calls, then = wait
            if (pod, name) != (child.pod.name, child.name) or child.calls < calls:
                continue
            self._waits.remove(wait)
            code = then()
            return errno.EIO if code in _FOR_WANT_OF_ROOM and call not in _TAKE_ROOM else code
        return None

    def _kill(self, number: int, actor: str) -> None:
        if (child := self.pods[number].children.get(actor)) and child.alive:
            thread = ActorThread.current()
            if thread and thread.child is child:
                asyncio.get_running_loop().call_soon(child.exits, -9)
                thread.pause()
            else:
                child.kill()

    def restarts(self, pod: Pod, away_s: float, *, wiped: bool = False) -> None:
        """The pod ends now, and another takes its place after `away_s` seconds."""
        if pod.ended:
            return
        pod.end(wiped=wiped)

        def start() -> None:
            if not self._broken.is_set():
                self.pods[pod.number] = Pod(self, pod.number)

        asyncio.get_running_loop().call_later(away_s, start)

    def _azure_is_back(self) -> None:
        self.service.down = None

    # --- What is told ---

    def next_pid(self) -> int:
        return next(self._pids)

    def event(self, who: str, what: str) -> None:
        self.events.append(f"{time.monotonic() - self._begun:9.4f} {who:14} {what}")
        if len(self.events) > MOST_EVENTS:
            self.violated(f"more than {MOST_EVENTS} events")

    def violated(self, what: str, error: BaseException | None = None) -> None:
        if self.violation is None:
            self.violation = Violation(what)
            self.violation.__cause__ = error
            self.events.append(f"{time.monotonic() - self._begun:9.4f} VIOLATION      {what}")
            self._broken.set()

    def calls(self, number: int, what: str, call: Coroutine[object, object, object]) -> None:
        """Somebody calls the API of a pod. What it answers is an event."""
        task = self.detached(self._call(number, what, call), what)
        task.add_done_callback(lambda _: None)

    def detached(self, work: Coroutine[object, object, Any], what: str) -> asyncio.Task[Any]:
        """Goes on whatever becomes of the process that began it."""
        task = asyncio.get_running_loop().create_task(work, name=what, context=_NO_PROCESS.copy())
        self._detached.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._detached.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked has been told, unless it has died

    # --- What must hold ---

    def key(self, path: str) -> tuple[str, str] | None:
        """Session and name of the file that lies there; None: it is no file of a session."""
        match path.removeprefix(self.nfs + "/").split("/"):
            case ["incoming", session, *names] | [".processing", _, session, *names]:
                return session, "/".join(names).removesuffix(".completed")
            case [".nfsw", "aside" | "displaced", session, _, *names]:
                return session, "/".join(names)
            case _:
                return None

    def removes(self, path: str) -> None:
        """An actor takes away the name `path`. Whatever has no other name has to be in Azure, and nobody's to write to."""
        if os.lstat(path).st_nlink > 1 or not os.path.isfile(path):
            return
        if (key := self.key(path)) is None or self.markers.is_marker(path):
            return
        content = Path(path).read_bytes()
        kept_s = (time.monotonic_ns() - self.files.ctimes[os.lstat(path).st_ino]) / 1e9
        if path.endswith(".completed") and kept_s < self.setting.keep_s:
            self.violated(f"{path.removeprefix(self.nfs)} is deleted after {kept_s:.3f} s")
        if content not in self._commits[key]:
            self.violated(f"{path.removeprefix(self.nfs)} is deleted, and its {len(content)} bytes are not in Azure")
        thread = ActorThread.current()
        found = thread.child.pod.main.router.stability if thread else None
        by_lease = found is not None and found.rule is Rule.LEASE  # else nobody can know
        if by_lease and self.writers.has_open(os.lstat(path).st_ino):
            self.violated(f"{path.removeprefix(self.nfs)} is deleted while a writer has it open")

    def committed(self, blob: str, kept: Kept, before: Kept | None, *, sent_again: bool) -> None:
        """The service has a new blob. `sent_again`: the request was sent after the blob had become what it was before."""
        _, session, name = blob.split("/", 2)
        self.event("azure", f"committed {blob}: {len(kept.content)} bytes")
        if kept.content not in self.writers.versions[session, name]:
            self.violated(f"{blob} is committed with {len(kept.content)} bytes that no writer has left")
        if before and sent_again and (before.content, before.source) == (kept.content, kept.source):
            self.violated(f"{blob} is committed a second time")
        self.markers.committed(session, name, kept.content)
        self._commits[session, name].append(kept.content)

    def kept_marks(self) -> list[Path]:
        """What is kept, as far as its note says so."""
        notes = Path(self.nfs, ".nfsw/kept")
        marks = (Path(self.nfs, ".processing", note.relative_to(notes)) for note in sorted(notes.rglob("*.completed")))
        return [mark for mark in marks if mark.is_file()]

    def _check_kept(self, recovered_at: float) -> None:
        """Every now and then, once nothing goes wrong any more. `recovered_at`: seconds, monotonic."""
        now, keep_s = time.monotonic(), self.setting.keep_s
        marks = self.kept_marks()
        for mark in Path(self.nfs, ".processing").rglob("*.completed"):
            marked_at = self.files.ctimes[mark.stat().st_ino] / 1e9
            if now > max(marked_at + keep_s, recovered_at) + 2 * SWEEP_S:
                self.violated(f"{mark.name} is kept for {now - marked_at:.0f} s")
            below = mark.relative_to(f"{self.nfs}/.processing").with_name(mark.name.removesuffix(".completed"))
            if mark in marks and now > max(marked_at, recovered_at) + 2 * SWEEP_S:
                for pod in self.pods.values():
                    if Path(pod.staging, "copies", below).exists():
                        self.violated(f"{pod.name} has a staged copy of the kept file {mark.name}")
        for pod in self.pods.values():
            session = pod.sessions.active
            files = {path for path in Path(self.nfs, ".processing").glob(f"*/{session.name if session else '-'}/**/*") if path.is_file()}
            if session is None or session.holding is not Holding.DRAINING or pod.sessions.is_busy(session.name) or not files <= set(marks):
                self._end_waits.pop(pod.name, None)
            elif files and now - self._end_waits.setdefault(pod.name, now) > SWEEP_S and now > recovered_at:
                self.violated(f"session {session.name} waits for kept files")

    def check(self) -> None:
        """After each message."""
        for pod in self.pods.values():
            if pod.ended:
                continue
            used, files = pod.main.budget.used, pod.main.files
            if used > self.setting.staging_limit:
                self.violated(f"{pod.name} has promised {used} bytes of staging")
            if used != sum(record.reserved for record in files):
                self.violated(f"{pod.name} has given back room in staging that was not its file's")
            if (staged := sum(path.stat().st_size for path in Path(pod.staging).rglob("*") if path.is_file())) > self.setting.staging_limit:
                self.violated(f"{pod.name} has {staged} bytes in staging")
            if files.count(*UNDER_WAY) > 3 * self.setting.workers:
                self.violated(f"{pod.name} has more files under way than it may")
            self._check_hands(pod)

    def _check_hands(self, pod: Pod) -> None:
        """A file is in one hand; only staging and uploading go together."""
        files = [job.file for job in pod.jobs() if isinstance(job, (StageFile, CompleteFile))]
        if len(files) > len(set(files)):
            self.violated(f"{pod.name} has a file in two hands: {files}")

    def _left(self) -> list[str]:
        """What is not done yet."""
        left = [
            f"{path.relative_to(self.nfs)}"
            for top in ("incoming", ".processing")
            for path in sorted(Path(self.nfs, top).rglob("*"))
            if path.is_file()
        ]
        for top, depth in (("incoming", 2), (".processing", 3)):
            folders = (path.relative_to(self.nfs) for path in Path(self.nfs, top).rglob("*/"))
            left += [f"the folder {path}" for path in sorted(folders) if len(path.parts) > depth]
        for (session, name), content in self.writers.latest().items():
            blobs = {blob: kept for blob, kept in self.service.blobs.items() if blob.endswith(f"/{session}/{name}")}
            if not blobs or blobs[max(blobs)].content != content:
                left.append(f"{session}/{name}: its latest version of {len(content)} bytes is not in Azure")
        for pod in self.pods.values():
            for record in pod.main.files:
                if record.stage is not Stage.UNSEEN or record.taken_on:
                    left.append(f"{pod.name} has {record.file}, {record.stage}")
                elif record.refused:
                    left.append(f"{pod.name} refuses {record.file}: {record.refused}")
        return left


_NO_PROCESS = contextvars.Context()
