"""The claim: a file leaves `incoming` for `.processing`, and nothing is ever replaced or left without a name. Claimer process.

0. A lease is granted: nobody has the file open for writing. It lasts until the claim is done on a local file system. On NFS our own
   calls below end it, so it is let go before them and asked for again after them, under the new name.
1. `link` gives the file its name in `.processing`. Unlike `rename` it never replaces anything, and it is atomic at the server.
2. The name in `incoming` is displaced (moved to a folder of ours) and looked at, and only then removed. A plain `unlink` would
   remove whatever has that name by now: a writer may have put the next version there by `rename` a moment ago.

A writer that opens the file between the two leases goes on writing into the claimed file, whose inode it has. That is why the second
one is asked for, and why a claim is not undone: taking the name back could hit the next version. A file that is claimed and open is
staged when it is closed and quiet, like any other.

A crash in between leaves two names of one inode, or a displaced name; `finish` and `restore` see to them. After an error that
does not say what happened (a replayed request of NFS may answer ENOENT or EEXIST though it succeeded) the code looks.

Which file a displaced name is has to be read off its folder. What an NFS client knows of a name moves with it, so after a writer on
another node has replaced the file under the name, `stat`, `open` and `link` would go on meaning the file that is no longer there.
"""

import errno
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum

from nfsw.actors.files import Arrival, FileRef, Fingerprint
from nfsw.actors.folder_walk import remove_empty
from nfsw.actors.lease import Lease
from nfsw.actors.logs import about
from nfsw.actors.marker import after_put_back, is_displaced_marker, remove_marker, see_to_displaced_marker
from nfsw.actors.messages import DisplacedFile
from nfsw.actors.moves import link_anew, move, remove_displaced
from nfsw.actors.nfs import Nfs, is_gone
from nfsw.actors.statx import Seen
from nfsw.actors.tree import is_date

log = logging.getLogger("nfsw.claimer")


@dataclass(frozen=True, slots=True)
class ClaimedFile:
    """The file has its name in `.processing` and no other."""

    version: Fingerprint  # what it was then: the baseline of every later comparison, because the claim itself changes the ctime
    stable: bool  # nobody has it open for writing, and it is what was seen stable


class NotClaimed(Enum):
    #: A file of that name is being processed; this one waits.
    TAKEN = "taken"
    #: It is not what was seen stable.
    CHANGED = "changed"
    #: Somebody has it open for writing.
    OPEN = "open"
    GONE = "gone"


def claim(
    nfs: Nfs, file: FileRef, expected: Fingerprint, instance_id: str, *, leased: bool, marker: Fingerprint | None = None
) -> ClaimedFile | NotClaimed:
    """Claims the arrival of the same session and name as `file`. Raises OSError.

    `expected`: what was seen stable. `instance_id`: of this claimer. `leased`: whether a lease has to be granted. `marker`: what was seen
    beside it, and has to be there still; None: it needs none.
    """
    arrival = nfs.tree.source(Arrival(file.session, file.name))
    if nfs.observe(nfs.tree.completed(file)) or nfs.observe(_displaced(nfs, file, instance_id)):
        return NotClaimed.TAKEN  # an older file of the name is on its way out, or waits to be put back and goes first
    if marker and (reason := _no_marker(nfs, Arrival(file.session, file.name), marker, leased)):
        return reason
    with _lease(nfs, arrival, leased) as lease:
        if isinstance(lease, NotClaimed):
            return lease
        seen = nfs.observe(arrival)
        if seen is None:
            return NotClaimed.GONE
        if seen.fingerprint != expected or not seen.regular:
            return NotClaimed.CHANGED
        return _take(nfs, file, expected, instance_id, lease, marker)


def finish(nfs: Nfs, file: FileRef, expected: Fingerprint, instance_id: str, *, leased: bool) -> ClaimedFile | NotClaimed:
    """Ends a claim that a crash cut short: a claimed file that has a second name loses it. Raises OSError.

    `expected`, `instance_id`, `leased`: as for `claim`. Never returns TAKEN.
    """
    path = nfs.tree.source(file)
    with _lease(nfs, path, leased) as lease:
        if isinstance(lease, NotClaimed):
            return lease
        seen = nfs.observe(path)
        if seen is None:
            return NotClaimed.GONE
        if seen.fingerprint != expected or not seen.regular:
            return NotClaimed.CHANGED
        inode = seen.fingerprint.inode
        if nfs.tree.done_suffix:
            remove_marker(nfs, file, inode, instance_id, None)
            seen = nfs.observe(path) or seen
        if seen.links < 2:
            return ClaimedFile(seen.fingerprint, lease is None or lease.held())
        _before_own_change(lease)
        arrival = nfs.observe(nfs.tree.source(Arrival(file.session, file.name)))
        if arrival and arrival.fingerprint.inode == inode:
            _remove_arrival(nfs, file, seen, instance_id)
        for other in nfs.folders(nfs.tree.all_displaced(file.session)):
            if nfs.listed_inode(_displaced(nfs, file, other)) == inode:
                remove_displaced(nfs, file.session, file.name, other)
        return _baseline(nfs, path, expected, lease)


def _no_marker(nfs: Nfs, arrival: Arrival, expected: Fingerprint, leased: bool) -> NotClaimed | None:
    """Why the marker does not count any more; None: it does."""
    path = nfs.tree.marker(arrival)
    with _lease(nfs, path, leased) as lease:
        if isinstance(lease, NotClaimed):
            return NotClaimed.OPEN if lease is NotClaimed.OPEN else NotClaimed.CHANGED
        seen = nfs.observe(path)
    return None if seen and seen.regular and seen.fingerprint == expected else NotClaimed.CHANGED


def _take(
    nfs: Nfs, file: FileRef, expected: Fingerprint, instance_id: str, lease: Lease | None, marker: Fingerprint | None
) -> ClaimedFile | NotClaimed:
    """Moves the file from the one name to the other."""
    source, target = nfs.tree.source(Arrival(file.session, file.name)), nfs.tree.source(file)
    _before_own_change(lease)
    if not link_anew(nfs, source, target):
        here, there = nfs.observe(source), nfs.observe(target)
        if here is None:
            return NotClaimed.GONE
        if there is None or there.fingerprint.inode != here.fingerprint.inode:
            return NotClaimed.TAKEN
    claimed = nfs.observe(target)
    if claimed is None:
        return NotClaimed.GONE
    if not claimed.regular:
        nfs.unlink(target)  # the name was a link's or a pipe's by then
        return NotClaimed.CHANGED
    if nfs.tree.done_suffix and not claimed.fingerprint.same_but_ctime(expected):
        return _give_back(nfs, file, marker, instance_id)
    if claimed.links > 2 and (older := _of_another_day(nfs, file, claimed)):
        nfs.unlink(target)  # a crash cut its claim off before midnight: one file, one blob
        _remove_arrival(nfs, older, claimed, instance_id)
        return NotClaimed.GONE
    if nfs.tree.done_suffix:
        remove_marker(nfs, file, claimed.fingerprint.inode, instance_id, marker)
        claimed = nfs.observe(target) or claimed
    if claimed.links > 1 or not nfs.tree.done_suffix:  # else the next version has the name, which is to stay as its marker found it
        _remove_arrival(nfs, file, claimed, instance_id)
    if nfs.tree.done_suffix:
        remove_marker(nfs, file, claimed.fingerprint.inode, instance_id, None)  # one that was made anew meanwhile
    return _baseline(nfs, target, expected, lease)


def _give_back(nfs: Nfs, file: FileRef, marker: Fingerprint | None, instance_id: str) -> NotClaimed:
    """A writer was at the name in the instant of the claim, and has not said of what is claimed now that it is complete."""
    if move(nfs, nfs.tree.source(file), _displaced(nfs, file, instance_id)):
        restore(nfs, DisplacedFile(file.session, file.name, instance_id), file.date, marker)
    return NotClaimed.CHANGED


@contextmanager
def _lease(nfs: Nfs, path: str, leased: bool) -> Iterator[Lease | NotClaimed | None]:
    """The lease, held; None: none is asked for. Else why the file is not to be taken."""
    if not leased:
        yield None
        return
    with ExitStack() as opened:
        outcome: Lease | NotClaimed
        try:
            lease = opened.enter_context(nfs.lease(path))
            outcome = lease if lease.held() else NotClaimed.OPEN
        except OSError as error:
            if is_gone(error):
                outcome = NotClaimed.GONE
            elif error.errno == errno.ELOOP:
                outcome = NotClaimed.CHANGED  # into a link
            else:
                raise
        yield outcome


def _before_own_change(lease: Lease | None) -> None:
    if lease:
        lease.before_own_change()


def _baseline(nfs: Nfs, path: str, expected: Fingerprint, lease: Lease | None) -> ClaimedFile | NotClaimed:
    """What the claimed file is, now that nothing of ours changes it any more. `lease`: from before; None: none is asked for."""
    if lease and not lease.held():
        with nfs.lease(path) as again:
            seen, closed = nfs.observe(path), again.held()
    else:
        seen, closed = nfs.observe(path), lease is None or lease.held()
    if seen is None:
        return NotClaimed.GONE
    return ClaimedFile(seen.fingerprint, closed and seen.fingerprint.same_but_ctime(expected))


def restore(nfs: Nfs, left: DisplacedFile, today: str, marker: Fingerprint | None = None) -> None:
    """Sees to a name that was left displaced: removed if its file is claimed, else returned to `incoming`.

    If `incoming` has a newer file of the name, this one goes first: it is claimed as soon as no other file of the name is
    being processed. `today`: the date of a claim made now. `marker`: one that is known to be another version's. Raises OSError.
    """
    tree = nfs.tree
    if is_displaced_marker(left.name, left.instance_id, tree.done_suffix):
        see_to_displaced_marker(nfs, left)
        return
    displaced = f"{tree.displaced(left.session, left.instance_id)}/{left.name}"
    here = left.session, left.name, left.instance_id
    inode = nfs.listed_inode(displaced)
    if inode is None:
        return
    for date in filter(is_date, nfs.folders(tree.processing)):
        claimed = nfs.observe(tree.source(FileRef(date, left.session, left.name)))
        if claimed and claimed.fingerprint.inode == inode:
            remove_displaced(nfs, *here)
            return
    seen = nfs.observe(displaced)
    if seen is None or seen.fingerprint.inode != inode:
        raise OSError(errno.ESTALE, "the NFS client still takes the name for the file that had it before", displaced)
    arrival, file = tree.source(Arrival(left.session, left.name)), FileRef(today, left.session, left.name)
    if link_anew(nfs, displaced, arrival) or nfs.listed_inode(arrival) == inode:
        remove_displaced(nfs, *here)
        log.info("the displaced name was returned to incoming", extra=about(left.session, left.name, "restore"))
        if tree.done_suffix:
            after_put_back(nfs, Arrival(left.session, left.name), inode, left.instance_id, marker)
    elif not nfs.observe(tree.completed(file)) and link_anew(nfs, displaced, tree.source(file)):
        remove_displaced(nfs, *here)
        log.info("claimed before the newer file that has its name", extra=about(left.session, left.name, "restore"))


def tidy(nfs: Nfs, session: str, instance_id: str) -> None:
    """Removes what other instance_ids left empty: the Scanner looks into each of these folders, for as long as the session lasts."""
    for other in nfs.folders(nfs.tree.all_displaced(session)):
        if other != instance_id:
            remove_empty(nfs, nfs.tree.displaced(session, other))


def _of_another_day(nfs: Nfs, file: FileRef, claimed: Seen) -> FileRef | None:
    """The name under which the very file was claimed before."""
    for date in filter(is_date, nfs.folders(nfs.tree.processing)):
        other = FileRef(date, file.session, file.name)
        seen = nfs.observe(nfs.tree.source(other)) if other != file else None
        if seen and seen.fingerprint.inode == claimed.fingerprint.inode:
            return other
    return None


def _displaced(nfs: Nfs, file: FileRef, instance_id: str) -> str:
    return f"{nfs.tree.displaced(file.session, instance_id)}/{file.name}"


def _remove_arrival(nfs: Nfs, file: FileRef, claimed: Seen, instance_id: str) -> None:
    """Takes the name in `incoming` away from the file that was claimed, and from no other."""
    tree = nfs.tree
    arrival = tree.source(Arrival(file.session, file.name))
    displaced = _displaced(nfs, file, instance_id)
    if not move(nfs, arrival, displaced):
        return
    inode = nfs.listed_inode(displaced)
    if inode is not None and inode != claimed.fingerprint.inode:
        log.info("a newer file has the name in incoming: it is kept, and claimed later", extra=about(file.session, file.name, "restore"))
        restore(nfs, DisplacedFile(file.session, file.name, instance_id), file.date)
        return
    remove_displaced(nfs, file.session, file.name, instance_id)
