"""One arrival on a share, claims of it, and what the service does about claims that were cut off."""

from collections.abc import Callable
from itertools import count

from nfsw.actors.claim import Claimed, NotClaimed, claim, finish, put_back
from nfsw.actors.files import FileRef
from nfsw.actors.messages import NameAside
from nfsw.actors.nfs import Nfs
from tests.support.mortal_nfs import EventfulNfs
from tests.support.share import DATE, Share, fingerprint

FILE = FileRef(DATE, "s", "a")
#: Of the calls of a claim whose folders are there.
LINK, RENAME = 5, 7

type Scene = tuple[Share, EventfulNfs]
type Scenes = Callable[[], Scene]


def claimed(share: Share, nfs: Nfs, life: str = "1") -> Claimed | NotClaimed:
    return claim(nfs, FILE, fingerprint(share.incoming("a")), life, leased=True)


def with_folders(share: Share) -> None:
    for folder in (share.claimed("a").parent, share.root / ".nfsw/aside/s/1"):
        folder.mkdir(parents=True, exist_ok=True)


def ignored(_: object) -> None:
    """Makes a happening of what has an answer."""


def recover(share: Share, nfs: Nfs, life: str) -> None:
    """What the Scanner finds goes to a Claimer."""
    for folder in nfs.folders(nfs.tree.asides("s")):
        for entry in nfs.listing(nfs.tree.aside("s", folder)):
            put_back(nfs, NameAside("s", entry.name, folder), DATE)
    if share.incoming("a").exists():
        claimed(share, nfs, life)
    if seen := nfs.observe(nfs.tree.source(FILE)):
        finish(nfs, FILE, seen.fingerprint, life, leased=True)


def drained(share: Share, nfs: EventfulNfs) -> list[bytes]:
    """The versions that reached Azure, in this order, now that nothing more happens."""
    nfs.before, nfs.after = {}, {}
    sent: list[bytes] = []
    lives = count(2)
    for _ in range(6):
        life = str(next(lives))
        recover(share, nfs, life)
        if share.claimed("a").exists():
            assert share.claimed("a").stat().st_nlink == 1, "one file, one name"
            sent.append(share.claimed("a").read_bytes())
            share.claimed("a").unlink()
    assert share.files() == {}
    return sent
