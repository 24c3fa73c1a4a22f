"""One arrival and its marker on a share, and what the service does about whatever is found there."""

import os

from nfsw.actors.claim import ClaimedFile, NotClaimed, claim, finish, restore
from nfsw.actors.files import FileRef
from nfsw.actors.folder_walk import everything
from nfsw.actors.messages import DisplacedFile
from nfsw.actors.nfs import Nfs
from tests.support.mortal_nfs import EventfulNfs
from tests.support.share import DATE, Share, fingerprint

FILE = FileRef(DATE, "s", "a")
SUFFIX = ".done"
MARKER = "a.done"

type Scene = tuple[Share, EventfulNfs]


def with_folders(share: Share) -> None:
    for folder in (share.claimed("a").parent, share.root / ".nfsw/aside/s/1", share.root / ".nfsw/aside/s/1.markers"):
        folder.mkdir(parents=True, exist_ok=True)


def mark(share: Share) -> None:
    """By a writer: the marker is made, or touched, which opens nothing and so waits for no lease."""
    path = share.incoming(MARKER)
    path.touch()
    later(path, share.incoming("a"))


def later(path: os.PathLike[str], than: os.PathLike[str]) -> None:
    """What came later has a later ctime, whatever the granularity of the clock."""
    while os.path.exists(than) and os.lstat(path).st_ctime_ns <= os.lstat(than).st_ctime_ns:
        os.utime(path)


def claimed(share: Share, nfs: Nfs, instance_id: str = "1") -> ClaimedFile | NotClaimed:
    marker = fingerprint(share.incoming(MARKER))
    return claim(nfs, FILE, fingerprint(share.incoming("a")), instance_id, leased=True, marker=marker)


def taken(share: Share, nfs: Nfs, instance_id: str) -> None:
    """As the Scanner has it, and at once: nothing waits here until it is quiet."""
    if not share.incoming("a").exists():
        return
    file = fingerprint(share.incoming("a"))
    if share.incoming(MARKER).exists() and fingerprint(share.incoming(MARKER)).is_as_new_as(file):
        claimed(share, nfs, instance_id)
    elif any(fingerprint(path).is_as_new_as(file) for path in share.root.glob(f".nfsw/aside/s/*.markers/{MARKER}")):
        claim(nfs, FILE, file, instance_id, leased=True)


def recover(share: Share, nfs: Nfs, instance_id: str) -> None:
    """What the Scanner finds goes to a Claimer."""
    for folder in nfs.folders(nfs.tree.all_displaced("s")):
        for place, entries in everything(nfs, nfs.tree.displaced("s", folder), lambda _: None):
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    restore(nfs, DisplacedFile("s", place.below + entry.name, folder), DATE)
    taken(share, nfs, instance_id)
    if seen := nfs.observe(nfs.tree.source(FILE)):
        finish(nfs, FILE, seen.fingerprint, instance_id, leased=True)


def drained(share: Share, nfs: EventfulNfs) -> list[bytes]:
    """The versions that reached Azure, in this order, now that nothing more happens."""
    nfs.before, nfs.after = {}, {}
    sent: list[bytes] = []
    for number in range(2, 9):
        recover(share, nfs, str(number))
        if share.claimed("a").exists():
            assert share.claimed("a").stat().st_nlink == 1, "one file, one name"
            sent.append(share.claimed("a").read_bytes())
            share.claimed("a").unlink()
    return sent
