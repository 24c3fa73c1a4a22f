"""The claim: a file leaves `incoming` for `.processing`, and nothing is ever replaced or left without a name. Claimer process.

1. `link` gives the file its name in `.processing`. Unlike `rename` it never replaces anything, and it is atomic at the server.
2. The name in `incoming` is moved aside and looked at, and only then removed. A plain `unlink` would remove whatever has that
   name by now: a writer may have put the next version there by `rename` a moment ago.

A crash in between leaves two names of one inode, or a name aside; `finish` and `put_back` see to them. After an error that
does not say what happened (a replayed request of NFS may answer ENOENT or EEXIST though it succeeded) the code looks.
"""

import logging
from enum import Enum

from nfsw.actors.files import Arrival, FileRef, Fingerprint
from nfsw.actors.logs import about
from nfsw.actors.messages import NameAside
from nfsw.actors.nfs import Nfs, is_gone
from nfsw.actors.statx import Seen
from nfsw.actors.tree import is_date

log = logging.getLogger("nfsw.claimer")


class NotClaimed(Enum):
    #: A file of that name is being processed; this one waits.
    TAKEN = "taken"
    #: It is not what was seen stable.
    CHANGED = "changed"
    GONE = "gone"


def claim(nfs: Nfs, file: FileRef, expected: Fingerprint, incarnation: str) -> Fingerprint | NotClaimed:
    """Claims the arrival of the same session and name as `file`. `incarnation`: of this claimer. Raises OSError.

    Returns what the claimed file is once the claim is done. That is the baseline of every later comparison, because the claim
    itself changes the ctime. Its other fields differ from `expected` when a writer has changed the file meanwhile.
    """
    arrival = Arrival(file.session, file.name)
    source, target = nfs.tree.source(arrival), nfs.tree.source(file)
    if nfs.observe(nfs.tree.completed(file)) or nfs.observe(_aside(nfs, file, incarnation)):
        return NotClaimed.TAKEN  # an older file of the name is on its way out, or waits to be put back and goes first
    arrived = nfs.observe(source)
    if arrived is None:
        return NotClaimed.GONE
    if arrived.fingerprint != expected or not arrived.regular:
        return NotClaimed.CHANGED
    if not _link(nfs, source, target):
        here, there = nfs.observe(source), nfs.observe(target)
        if here is None:
            return NotClaimed.GONE
        if there is None or there.fingerprint.inode != here.fingerprint.inode:
            return NotClaimed.TAKEN
    claimed = nfs.observe(target)
    if claimed is None:
        return NotClaimed.GONE
    if not claimed.fingerprint.same_but_ctime(expected) or not claimed.regular:
        if not claimed.regular or _same(nfs, source, target):
            nfs.unlink(target)
        # Else its name in incoming is another file's by now: it has to become stable here.
        return NotClaimed.CHANGED
    if claimed.links > 2 and (older := _of_another_day(nfs, file, claimed)):
        nfs.unlink(target)  # a crash cut its claim off before midnight: one file, one blob
        _remove_arrival(nfs, older, claimed, incarnation)
        return NotClaimed.GONE
    _remove_arrival(nfs, file, claimed, incarnation)
    baseline = nfs.observe(target)
    return baseline.fingerprint if baseline else NotClaimed.GONE


def finish(nfs: Nfs, file: FileRef, expected: Fingerprint, incarnation: str) -> Fingerprint | NotClaimed:
    """Ends a claim that a crash cut short: a claimed file that has a second name loses it. `expected`: what was seen stable.

    Returns the baseline of every later comparison; GONE or CHANGED when `file` is not what was seen stable. Raises OSError.
    """
    seen = nfs.observe(nfs.tree.source(file))
    if seen is None:
        return NotClaimed.GONE
    if seen.fingerprint != expected or not seen.regular:
        return NotClaimed.CHANGED
    if seen.links < 2:
        return seen.fingerprint
    arrival = nfs.observe(nfs.tree.source(Arrival(file.session, file.name)))
    if arrival and arrival.fingerprint.inode == seen.fingerprint.inode:
        _remove_arrival(nfs, file, seen, incarnation)
    for other in nfs.folders(nfs.tree.asides(file.session)):
        aside = f"{nfs.tree.aside(file.session, other)}/{file.name}"
        left = nfs.observe(aside)
        if left and left.fingerprint.inode == seen.fingerprint.inode:
            nfs.unlink(aside)
    baseline = nfs.observe(nfs.tree.source(file))
    if baseline is None:
        return NotClaimed.GONE
    return baseline.fingerprint if baseline.fingerprint.same_but_ctime(expected) else NotClaimed.CHANGED


def put_back(nfs: Nfs, left: NameAside, today: str) -> None:
    """Sees to a name that was left aside: removed if its file is claimed, else returned to `incoming`.

    If `incoming` has a newer file of the name, this one goes first: it is claimed as soon as no other file of the name is
    being processed. `today`: the date of a claim made now.
    """
    tree = nfs.tree
    aside = f"{tree.aside(left.session, left.incarnation)}/{left.name}"
    seen = nfs.observe(aside)
    if seen is None:
        return
    for date in filter(is_date, nfs.folders(tree.processing)):
        claimed = nfs.observe(tree.source(FileRef(date, left.session, left.name)))
        if claimed and claimed.fingerprint.inode == seen.fingerprint.inode:
            nfs.unlink(aside)
            return
    arrival, file = tree.source(Arrival(left.session, left.name)), FileRef(today, left.session, left.name)
    if _link(nfs, aside, arrival) or _same(nfs, aside, arrival):
        nfs.unlink(aside)
        log.info("returned to incoming", extra=about(left.session, left.name, "put-back"))
    elif not nfs.observe(tree.completed(file)) and _link(nfs, aside, tree.source(file)):
        nfs.unlink(aside)
        log.info("claimed before the newer file that has its name", extra=about(left.session, left.name, "put-back"))


def tidy(nfs: Nfs, session: str, incarnation: str) -> None:
    """Removes what other incarnations left empty: the Scanner looks into each of these folders, for as long as the session lasts."""
    for other in nfs.folders(nfs.tree.asides(session)):
        if other != incarnation:
            nfs.remove_folder(nfs.tree.aside(session, other))


def _of_another_day(nfs: Nfs, file: FileRef, claimed: Seen) -> FileRef | None:
    """The name under which the very file was claimed before."""
    for date in filter(is_date, nfs.folders(nfs.tree.processing)):
        other = FileRef(date, file.session, file.name)
        seen = nfs.observe(nfs.tree.source(other)) if other != file else None
        if seen and seen.fingerprint.inode == claimed.fingerprint.inode:
            return other
    return None


def _aside(nfs: Nfs, file: FileRef, incarnation: str) -> str:
    return f"{nfs.tree.aside(file.session, incarnation)}/{file.name}"


def _remove_arrival(nfs: Nfs, file: FileRef, claimed: Seen, incarnation: str) -> None:
    """Takes the name in `incoming` away from the file that was claimed, and from no other."""
    tree = nfs.tree
    arrival = tree.source(Arrival(file.session, file.name))
    aside = _aside(nfs, file, incarnation)
    if not _move(nfs, arrival, aside, tree.aside(file.session, incarnation)):
        return
    moved = nfs.observe(aside)
    if moved and moved.fingerprint.inode != claimed.fingerprint.inode:
        log.info("the name has a newer file already", extra=about(file.session, file.name, "put-back"))
        put_back(nfs, NameAside(file.session, file.name, incarnation), file.date)
        return
    nfs.unlink(aside)


def _link(nfs: Nfs, path: str, name: str) -> bool:
    """Whether `name` is new and `path`'s; False: `name` is taken, or `path` is gone."""
    for again in (True, False):
        try:
            nfs.link(path, name)
        except FileExistsError:
            return False
        except OSError as error:
            if not is_gone(error):
                raise
            if not again:
                return False
            nfs.make_folder(name.rpartition("/")[0])  # either that is missing, or the file
        else:
            return True
    return False


def _move(nfs: Nfs, path: str, name: str, folder: str) -> bool:
    """Whether `path` was there and is `name` now. `name` is one that nobody else makes."""
    for again in (True, False):
        try:
            nfs.rename(path, name)
        except OSError as error:
            if not is_gone(error):
                raise
            if nfs.observe(name):
                return True
            if again:
                nfs.make_folder(folder)
        else:
            return True
    return False


def _same(nfs: Nfs, path: str, other: str) -> bool:
    one, two = nfs.observe(path), nfs.observe(other)
    return one is not None and two is not None and one.fingerprint.inode == two.fingerprint.inode
