"""Markers: with APP_DONE_SUFFIX a file is taken once its writer has left `<name><suffix>` beside it. NFS processes.

A marker counts for what was there when it was made: its ctime is not older than the file's, by the server's clock, which nobody can
set. So one that was left behind, by a crash of ours or by its writer, never counts for the next version of the file.

A file is claimed first, then its marker goes, then the name in `incoming`. A marker goes as that name does: it is displaced, looked at,
and removed if it is the one that was seen. Any other one stays displaced. Nothing could be said by a marker that is put back, because that
makes it new.

Our own LINK and RENAME make a file's ctime newer too. After a file was put back into `incoming`, it cannot be told any more whether a
marker that was there before was made for it. Such a marker is displaced as well. A displaced marker says no more than that the file as it
was then may be complete: that file is taken by the rule for files without markers, and any later version waits for a marker of its own.
"""

import logging

from nfsw.actors.files import Arrival, FileRef, Fingerprint
from nfsw.actors.logs import about
from nfsw.actors.messages import DisplacedFile
from nfsw.actors.moves import move, remove_displaced
from nfsw.actors.nfs import Nfs

log = logging.getLogger("nfsw.claimer")

#: Of the folder for displaced markers, behind the id of whose they are.
_MARKERS = ".markers"


def is_displaced_marker(name: str, instance_id: str, suffix: str) -> bool:
    """Whether `name`, displaced by that Claimer, is a marker. `suffix`: as it is set now."""
    return bool(suffix) and instance_id.endswith(_MARKERS) and name.endswith(suffix)


def remove_marker(nfs: Nfs, file: FileRef, inode: int, instance_id: str, expected: Fingerprint | None) -> None:
    """Removes the marker of a file that has its claimed name, before its name in `incoming` goes or after. Raises OSError.

    `inode`: of the file. `expected`: the marker that was seen with it; None: whichever is there, if the file has the name in `incoming`
    still, or nothing has it. One that is the next version's, or may be, is left alone.
    """
    arrival = Arrival(file.session, file.name)
    path = nfs.tree.marker(arrival)
    seen = nfs.observe(path)
    if seen is None or not seen.regular:
        return
    if expected is None:
        holder = nfs.listed_inode(nfs.tree.source(arrival))
        if holder not in (None, inode) or (holder is None and _may_come_back(nfs, arrival, inode)):
            return
    elif seen.fingerprint != expected:
        return
    _remove(nfs, arrival, instance_id, seen.fingerprint)


def after_put_back(nfs: Nfs, arrival: Arrival, inode: int, instance_id: str, stale: Fingerprint | None) -> None:
    """The file has been put back into `incoming`: a marker that is older now may be its own. Raises OSError.

    `inode`: of the file. `stale`: a marker that is not.
    """
    marker = nfs.observe(nfs.tree.marker(arrival))
    if marker is None or not marker.regular or nfs.listed_inode(nfs.tree.source(arrival)) != inode:
        return
    file = nfs.observe(nfs.tree.source(arrival))
    if file is None or marker.fingerprint.is_as_new_as(file.fingerprint):
        return
    if marker.fingerprint == stale:
        _remove(nfs, arrival, instance_id, stale)
    elif _displace(nfs, arrival, instance_id):
        extra = about(arrival.session, arrival.name, "restore")
        log.info("whether its marker is its own cannot be told any more: it has to become stable like a file without one", extra=extra)


def see_to_displaced_marker(nfs: Nfs, left: DisplacedFile) -> None:
    """Removes a displaced marker that says nothing any more: its file is gone from `incoming`, or is another version. Raises OSError."""
    tree = nfs.tree
    marker = nfs.observe(_path(nfs, left))
    if marker is None:
        return
    arrival = Arrival(left.session, left.name.removesuffix(tree.done_suffix))
    inode = nfs.listed_inode(tree.source(arrival))
    if inode is None:
        if _may_come_back(nfs, arrival, None):
            return
    else:
        file = nfs.observe(tree.source(arrival))
        if file is None or file.fingerprint.inode != inode or marker.fingerprint.is_as_new_as(file.fingerprint):
            return
    remove_displaced(nfs, left.session, left.name, left.instance_id)


def _remove(nfs: Nfs, arrival: Arrival, instance_id: str, marker: Fingerprint) -> None:
    """Displaces whatever marker is there, and removes it if it is the one that was seen."""
    left = _displace(nfs, arrival, instance_id)
    if left and _is(nfs, left, marker):
        remove_displaced(nfs, left.session, left.name, left.instance_id)
    elif left:
        log.info("another marker was left in the same instant: it is kept aside", extra=about(arrival.session, arrival.name, "restore"))


def _may_come_back(nfs: Nfs, arrival: Arrival, inode: int | None) -> bool:
    """Whether a file of that name is displaced, other than the one with this inode."""
    folders = [nfs.tree.displaced(arrival.session, other) for other in nfs.folders(nfs.tree.all_displaced(arrival.session))]
    return any(nfs.listed_inode(f"{folder}/{arrival.name}") not in (None, inode) for folder in folders)


def _displace(nfs: Nfs, arrival: Arrival, instance_id: str) -> DisplacedFile | None:
    """None: there is no marker any more."""
    left = DisplacedFile(arrival.session, arrival.name + nfs.tree.done_suffix, instance_id.removesuffix(_MARKERS) + _MARKERS)
    return left if move(nfs, nfs.tree.marker(arrival), _path(nfs, left)) else None


def _is(nfs: Nfs, left: DisplacedFile, marker: Fingerprint) -> bool:
    """Whether the marker that was seen is the one that was displaced, which has changed its ctime."""
    path = _path(nfs, left)
    if nfs.listed_inode(path) != marker.inode:  # what an NFS client believes of a name moves with it
        return False
    seen = nfs.observe(path)
    return seen is not None and seen.fingerprint.same_but_ctime(marker)


def _path(nfs: Nfs, left: DisplacedFile) -> str:
    return f"{nfs.tree.displaced(left.session, left.instance_id)}/{left.name}"
