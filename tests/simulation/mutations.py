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
    "a refused lease counts as granted": Mutation("actors.lease:Lease.on", "closing=closing, error=error)", "closing=closing)", 1),
    "a displaced name is looked at through the client's cache": Mutation(
        "actors.claim:_remove_arrival", "nfs.listed_inode(displaced)", "(seen := nfs.observe(displaced)) and seen.fingerprint.inode", 1
    ),
    "a displaced name is removed without a look": Mutation(
        "actors.claim:_remove_arrival", "inode is not None and inode != claimed.fingerprint.inode", "False", 1
    ),
    "a claim replaces what has the name": Mutation("actors.claim:_link", "nfs.link(path, name)", "nfs.rename(path, name)", 1),
    "a claim that was cut short is not ended": Mutation("actors.claim:finish", "seen.links < 2", "True", 1),
    "the source is not compared after it was read": Mutation(
        "actors.staging:Stager.stage", "self._compare(source, file, expected)", "pass", 1
    ),
    "what is deleted is not compared with what was sent": Mutation(
        "actors.completion:Completion.complete", "seen.fingerprint != sent", "False", 1
    ),
    "a file is deleted while a writer has it open": Mutation("actors.completion:_is_closed", "lease is None or lease.held()", "True", 1),
    "a mark is deleted that nothing proves": Mutation(
        "actors.completion:Completion.finish", "seen.fingerprint != self._noted()", "False", 1
    ),
    "a file that is sent again is not looked for first": Mutation(
        "supervisor.pipeline:Pipeline._upload_job",
        "record.found_claimed or record.attempts > 1 or (record.sending is not None and record.sending.deliveries > 0)",
        "False",
        1,
    ),
    "a job in hand is lost with its process": Mutation(
        "supervisor.supervisor:Supervisor._deliver_again", "request.deliveries < MOST_DELIVERIES]", "False]", 1
    ),
    "the reply to a withdrawn job counts": Mutation(
        "supervisor.actor_ref:ActorRef.heard", "request and not request.withdrawn:", "request:", 1
    ),
    "a withdrawn job is delivered": Mutation("supervisor.actor_ref:ActorRef._take", "not request.withdrawn and ", "", 1),
    "room in staging is given back twice": Mutation(
        "supervisor.staging_budget:StagingBudget.release",
        "self.reserve(record, 0)",
        "self.used -= 2 * record.reserved; record.reserved = 0",
        1,
    ),
    "the limit of staging is not minded": Mutation("supervisor.staging_budget:StagingBudget.fits", "self.missing(record) <= 0", "True", 1),
    "what a crash left in staging does not count": Mutation("supervisor.pipeline:Pipeline.found_staged", "not record.reserved", "False", 1),
    "room in staging is never given back": Mutation(
        "supervisor.pipeline:Pipeline._on_complete_reply", "self.budget.release(record)", "pass", 1
    ),
    "more files are under way than there may be": Mutation("supervisor.scheduler:Scheduler._next", ">= self._most", ">= 1000", 1),
    "a file that is under way is queued again": Mutation(
        "supervisor.pipeline:Pipeline.on_stable", "record.stage is not Stage.UNSEEN", "False", 1
    ),
    "a file whose pause is over is not tried again": Mutation(
        "supervisor.scheduler:Scheduler._pause_over", "self._again[record] = None", "pass", 1
    ),
    "two files of one name are processed at a time": Mutation(
        "supervisor.pipeline:Pipeline._is_wanted", "and not self.files.is_claimed(file)", "", 1
    ),
    "files are claimed after the session was stopped": Mutation(
        "supervisor.sessions:Sessions.stop", "Holding.DRAINING", "Holding.ACTIVE", 1
    ),
    "a session ends with files in hand": Mutation(
        "supervisor.sessions:Sessions._release_what_is_sent", "self.is_busy(name) or (name in found and found[name].files)", "False", 1
    ),
    "a new Keeper is not asked for the locks": Mutation(
        "supervisor.sessions:Sessions.keeper_restarted", "if session.held:", "if False:", 1
    ),
    "a pod that lost its lock goes on": Mutation("supervisor.sessions:Sessions._on_verified", "session.held", "False", 1),
    "a bad copy is sent again": Mutation("supervisor.pipeline:Pipeline._on_bad_copy", "record.restage = True", "pass", 1),
}
