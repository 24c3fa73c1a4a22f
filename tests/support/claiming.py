"""One arrival on a share, claims of it, and what the service does about claims that were cut off."""

from collections.abc import Callable
from itertools import count

from nfsw.actors.claim import ClaimedFile, NotClaimed, claim, finish, restore
from nfsw.actors.files import FileRef
from nfsw.actors.messages import DisplacedFile
from nfsw.actors.nfs import Nfs
from tests.support.mortal_nfs import EventfulNfs
from tests.support.share import DATE, Share, fingerprint

FILE = FileRef(DATE, "s", "a")
#: Of the calls of a claim whose folders are there.
LINK, RENAME = 5, 7

type Scene = tuple[Share, EventfulNfs]
type Scenes = Callable[[], Scene]


def claimed(share: Share, nfs: Nfs, instance_id: str = "1") -> ClaimedFile | NotClaimed:
    return claim(nfs, FILE, fingerprint(share.incoming("a")), instance_id, leased=True)


def with_folders(share: Share) -> None:
    for folder in (share.claimed("a").parent, share.root / ".nfsw/aside/s/1"):
        folder.mkdir(parents=True, exist_ok=True)


def ignored(_: object) -> None:
    """Makes a happening of what has an answer."""


def recover(share: Share, nfs: Nfs, instance_id: str) -> None:
    """What the Scanner finds goes to a Claimer."""
    for folder in nfs.folders(nfs.tree.all_displaced("s")):
        for entry in nfs.listing(nfs.tree.displaced("s", folder)):
            restore(nfs, DisplacedFile("s", entry.name, folder), DATE)
    if share.incoming("a").exists():
        claimed(share, nfs, instance_id)
    if seen := nfs.observe(nfs.tree.source(FILE)):
        finish(nfs, FILE, seen.fingerprint, instance_id, leased=True)


def drained(share: Share, nfs: EventfulNfs) -> list[bytes]:
    """The versions that reached Azure, in this order, now that nothing more happens."""
    nfs.before, nfs.after = {}, {}
    sent: list[bytes] = []
    instance_ids = count(2)
    for _ in range(6):
        recover(share, nfs, str(next(instance_ids)))
        if share.claimed("a").exists():
            assert share.claimed("a").stat().st_nlink == 1, "one file, one name"
            sent.append(share.claimed("a").read_bytes())
            share.claimed("a").unlink()
    assert share.files() == {}
    return sent
