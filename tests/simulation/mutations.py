"""Bugs that are put back on purpose, one at a time: the simulation has to find each of them.

A mutation replaces a piece of one function's text. When the text is not there any more, the mutation says so: it has to move
with the code.
"""

import importlib
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch


@dataclass(frozen=True, slots=True)
class Mutation:
    """`function`: `module:Class.method` or `module:function`, below `nfsw`."""

    function: str
    old: str
    new: str
    seed: int  # finds it

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Until the context is left. Raises LookupError when the function does not have the text exactly once."""
        module_name, _, path = self.function.partition(":")
        module = importlib.import_module(f"nfsw.{module_name}")
        *outer, name = path.split(".")
        owner = module
        for part in outer:
            owner = getattr(owner, part)
        text = textwrap.dedent(inspect.getsource(getattr(owner, name)))
        if text.count(self.old) != 1:
            raise LookupError(f"{self.function} has {text.count(self.old)} times: {self.old}")
        made: dict[str, object] = {}
        exec(compile(text.replace(self.old, self.new), self.function, "exec"), module.__dict__, made)  # noqa: S102 - that is the point
        with patch.object(owner, name, made[name]):
            yield


MUTATIONS: dict[str, Mutation] = {
    "a refused lease counts as granted": Mutation("actors.lease:Lease.on", "closing=closing, error=error)", "closing=closing)", 10),
    "a displaced name is looked at through the client's cache": Mutation(
        "actors.claim:_remove_arrival", "nfs.listed_inode(displaced)", "(seen := nfs.observe(displaced)) and seen.fingerprint.inode", 2
    ),
    "a displaced name is removed without a look": Mutation(
        "actors.claim:_remove_arrival", "inode is not None and inode != claimed.fingerprint.inode", "False", 2
    ),
    "the source is not compared after it was read": Mutation(
        "actors.staging:Stager.stage", "self._compare(source, file, expected)", "pass", 59
    ),
    "a file is deleted while a writer has it open": Mutation("actors.completion:_is_closed", "lease is None or lease.held()", "True", 4),
    "a job in hand is lost with its process": Mutation(
        "supervisor.supervisor:Supervisor._deliver_again", "request.deliveries < MOST_DELIVERIES]", "False]", 65
    ),
    "the reply to a withdrawn job counts": Mutation(
        "supervisor.actor_ref:ActorRef.heard", "request and not request.withdrawn:", "request:", 16
    ),
    "room in staging is given back twice": Mutation(
        "supervisor.staging_budget:StagingBudget.release",
        "self.reserve(record, 0)",
        "self.used -= 2 * record.reserved; record.reserved = 0",
        2,
    ),
    "the limit of staging is not minded": Mutation(
        "supervisor.staging_budget:StagingBudget.fits", "self.missing(record) <= 0", "True", 403
    ),
    "more files are under way than there may be": Mutation("supervisor.scheduler:Scheduler._next", ">= self._most", ">= 1000", 397),
    "a file whose pause is over is not tried again": Mutation(
        "supervisor.scheduler:Scheduler._pause_over", "self._again[record] = None", "pass", 19
    ),
    "the Uploader is not told that all is staged": Mutation(
        "supervisor.pipeline:Pipeline._on_staged",
        'self._tell("uploader", MoreStaged(self._claimed(record), whole=True), record)',
        "pass",
        195,
    ),
    "a marker that is older than its file counts": Mutation(
        "actors.files:Fingerprint.is_as_new_as", "self.ctime_ns >= other.ctime_ns", "True", 22
    ),
    "a displaced marker is taken for the one that was seen": Mutation(
        "actors.marker:_is", "seen is not None and seen.fingerprint.same_but_ctime(marker)", "True", 83
    ),
    "claimed files in folders are not looked for": Mutation(
        "actors.scanner:Scanner._look_at_claimed", "walk.enter(place, others)", "pass", 27
    ),
    "folders that writers left empty are forgotten": Mutation(
        "actors.empty_folders:EmptyFolders.sweep", "self._quiet[place.path] = seen, since", "pass", 6
    ),
    "a kept file is deleted on faith": Mutation(
        "actors.completion:Completion.finish_kept", "seen and seen.fingerprint != noted", "False", 13
    ),
    "a kept file is deleted though it is open": Mutation(
        "actors.completion:Completion.finish_kept", "seen and not _is_closed(lease)", "False", 46
    ),
    "a kept file is deleted early": Mutation(
        "actors.kept_files:KeptFiles.due_ns", "now_ns - self._keep_ns", "now_ns - self._keep_ns // 2", 14
    ),
}
