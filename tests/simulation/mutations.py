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
    # Claimer
    "a refused lease counts as granted": Mutation(
        "actors.lease:Lease.on",
        "own_changes_end_it=own_changes_end_it, closing=closing, error=error)",
        "own_changes_end_it=own_changes_end_it, closing=closing)",
        0,
    ),
    "what was moved aside is looked at through the client's cache": Mutation(
        "actors.claim:_remove_arrival", "nfs.listed_inode(aside)", "(seen := nfs.observe(aside)) and seen.fingerprint.inode", 0
    ),
    "what was moved aside is removed without a look": Mutation(
        "actors.claim:_remove_arrival", "inode is not None and inode != claimed.fingerprint.inode", "False", 0
    ),
    "a claim replaces what has its name": Mutation("actors.claim:_link", "nfs.link(path, name)", "nfs.rename(path, name)", 0),
    "a claim that a crash cut short is not ended": Mutation("actors.claim:finish", "if seen.links < 2:", "if True:", 0),
    "the source is not compared when it has been read": Mutation(
        "actors.staging:Stager._compare", "seen.fingerprint != expected or ", "", 0
    ),
    "a mtime that was put back hides a change": Mutation(
        "actors.staging:Stager._compare", "seen.fingerprint != expected", "not seen.fingerprint.same_but_ctime(expected)", 0
    ),
    # Uploader
    "more of the file is staged, and nobody sends it": Mutation("actors.uploader:Uploader.on_message", "waiting.more.set()", "pass", 0),
    # Collector
    "a file that has changed since it was sent is marked": Mutation(
        "actors.collector:Collector._complete", "seen.fingerprint != fingerprint", "False", 0
    ),
    # Main process
    "a job in hand is lost with its process": Mutation(
        "supervisor.supervisor:Supervisor._give_back", "ref.mailbox.give_back(again)", "pass", 0
    ),
    "a file that is let go is not reported again": Mutation(
        "supervisor.hands:Hands.let_go", 'self.post("scanner", LetGo(file))', "pass", 0
    ),
    "a postponed file is never taken up again": Mutation("supervisor.parking:Parking.look", "self._let_go(file)", "pass", 0),
    "a bad staged copy is sent again as it is": Mutation(
        "supervisor.course:Course._stage_afresh", "entry.afresh = entry.spoilt = True", "entry.spoilt = True", 0
    ),
    "a file that killed its actor is delivered for ever": Mutation(
        "supervisor.supervisor:Supervisor._give_back", "envelope.attempt >= MOST_DELIVERIES", "False", 0
    ),
    "the staging limit is not minded": Mutation("supervisor.gate:Gate.lets_through", "not self._ledger.fits(entry.file, need)", "False", 0),
    "room in staging is never given back": Mutation(
        "supervisor.ledger:Ledger.release", "self.staging_used -= self.reserved(file)", "pass", 0
    ),
    "room in staging is given back twice": Mutation("supervisor.ledger:Ledger.release", "self._staging.pop(file, None)", "pass", 0),
    "more files are under way than there may be": Mutation("supervisor.gate:Gate.lets_through", ">= self._most_under_way", ">= 1000", 0),
    "a file in hand is taken a second time": Mutation("supervisor.course:Course._is_wanted", "if file in self._ledger:", "if False:", 0),
    "a session is released while its files are in hand": Mutation(
        "supervisor.session:Desk._let_go_what_is_sent", "not self.busy(name) and not (name in found and found[name].files)", "True", 0
    ),
    "a session that nobody holds is left alone": Mutation(
        "supervisor.session:Desk.on_looked", "now - self._free_since[session.name] >= ADOPT_AFTER_S", "False", 0
    ),
}
