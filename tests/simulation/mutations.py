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
    "what was moved aside is looked at through the client's cache": Mutation(
        "actors.claim:_remove_arrival", "nfs.listed_inode(aside)", "(seen := nfs.observe(aside)) and seen.fingerprint.inode", 2
    ),
    "what was moved aside is removed without a look": Mutation(
        "actors.claim:_remove_arrival", "inode is not None and inode != claimed.fingerprint.inode", "False", 2
    ),
    "a job in hand is lost with its process": Mutation(
        "supervisor.supervisor:Supervisor._give_back", "ref.mailbox.give_back(again)", "pass", 136
    ),
    "room in staging is given back twice": Mutation("supervisor.ledger:Ledger.release", "self._staging.pop(file, None)", "pass", 2),
    "more files are under way than there may be": Mutation("supervisor.gate:Gate.lets_through", ">= self._most_under_way", ">= 1000", 69),
}
