"""Which stability rule holds here: can the file system tell that somebody has a file open for writing? Scanner process.

It is found out on a file of our own, which is made, closed and leased. That one is refused too where the server gives no
delegations at all, which a single refusal of a writer's file cannot tell. Whatever is granted on a kind of file system of which it is
not known that its leases see other nodes' writers counts for nothing.
"""

import uuid

from nfsw.actors.lease import Lease
from nfsw.actors.nfs import Nfs, describe, is_gone
from nfsw.actors.stability import Rule

#: Kinds on which a lease is refused while any process that can reach the file has it open for writing. The local ones count
#: writers in the inode, those that come through an NFS server too.
_TELLING = frozenset({"nfs4", "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"})
#: Seconds until it is found out again. A server's answer may change while it runs, and without an outage.
_AGAIN_S = 60.0
#: Seconds for which a lease on the file of our own has to be refused until it is believed that none is granted. A server may take a
#: second for a file that was just closed. Where leases were granted before, it may be taking our file for one that a writer wanted.
_PATIENCE_S = 5.0
_PATIENCE_BEFORE_A_CHANGE_S = 120.0
#: Age in seconds, by the server's clock, at which a file of ours was left behind by a crash.
_LEFT_BEHIND_S = 3600.0


class StabilityRule:
    """`rule` is None until it is known."""

    def __init__(self, nfs: Nfs) -> None:
        self._nfs = nfs
        self.rule: Rule | None = None
        self.reason = "not known yet"
        self._due = float("-inf")  # seconds, CLOCK_MONOTONIC
        self._probe: tuple[str, int] | None = None  # path and device of the file of our own, while it is there
        self._refused_since: float | None = None
        self._tidied = False

    def doubt(self) -> None:
        """NFS was away: it may be another server by now. What was known holds until it is found out again."""
        self._due = float("-inf")

    def find_out(self, now: float) -> None:
        """Looks at the file system when it is time to. Raises OSError when NFS is not there.

        It takes two calls at least, some time apart, where a client closes files in the background: the first lease is refused then.
        """
        if now < self._due:
            return
        try:
            lease, kind = self._try()
        except OSError as error:
            self._probe = None
            if is_gone(error):
                raise
            if self.rule is None:
                self._settle(Rule.TIME, f"no file can be made to find out about leases: {describe(error)}")
            self._due = now + _AGAIN_S
            return
        if kind not in _TELLING:
            self._settle(
                Rule.TIME, f"leases on {kind or 'a file system of a kind that is not known'} may not see the writers of other nodes"
            )
        elif lease.granted:
            self._settle(Rule.LEASE, f"leases are granted ({kind})")
        elif lease.impossible:
            self._settle(Rule.TIME, f"no leases here: {describe(lease.impossible)} ({kind})")
        elif self._is_refused_for_good(now):
            self._settle(Rule.TIME, f"every lease is refused, on a file of our own too: the server gives no delegations ({kind})")
        else:
            return  # the same file is asked about again at the next call
        self._refused_since, self._due = None, now + _AGAIN_S
        self._remove_probe()

    def _is_refused_for_good(self, now: float) -> bool:
        if self._refused_since is None:
            self._refused_since = now
        patience = _PATIENCE_BEFORE_A_CHANGE_S if self.rule is Rule.LEASE else _PATIENCE_S
        return now - self._refused_since >= patience

    def _settle(self, rule: Rule, reason: str) -> None:
        self.rule, self.reason = rule, reason

    def _try(self) -> tuple[Lease, str | None]:
        """A lease on the file of our own, as it was answered, and the kind of file system."""
        path, device = self._probe = self._probe or self._make_probe()
        with self._nfs.lease(path) as lease:
            return lease, self._nfs.kind(device)

    def _make_probe(self) -> tuple[str, int]:
        folder = self._nfs.tree.probes
        path = f"{folder}/{uuid.uuid4().hex}"
        self._nfs.make_folder(folder)
        made = self._nfs.make_file(path)
        if not self._tidied:
            self._tidy(folder, made.st_mtime)
        return path, made.st_dev

    def _remove_probe(self) -> None:
        """One that cannot be removed now is left behind, as by a crash."""
        if self._probe:
            (path, _), self._probe = self._probe, None
            self._nfs.unlink(path)

    def _tidy(self, folder: str, now: float) -> None:
        """Removes what crashes have left. `now`: by the server's clock, in seconds since the epoch."""
        for entry in self._nfs.listing(folder):
            seen = self._nfs.observe(entry.path)
            if seen and seen.fingerprint.mtime_ns / 1e9 < now - _LEFT_BEHIND_S:
                self._nfs.unlink(entry.path)
        self._tidied = True
