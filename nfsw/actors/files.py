"""What a file is called, on its way and in messages, and how one version of it is told from another. Plain values, any process.

A file is an `Arrival` while it lies in `incoming`, and a `FileRef` from its claim on. Both, and the fingerprint, can be read off
the NFS directory at any time, so that no message is ever the only record of anything.
"""

from typing import NamedTuple

import msgspec

from nfsw.actors.names import for_message


class Fingerprint(NamedTuple):
    """What tells one version of a file from another. Two equal ones, observed apart: the file did not change in between.

    A tuple, because a scan makes and compares one for each of 100,000 files.

    A writer can put the mtime back (`utime`, `touch -r`), but not the ctime. LINK, RENAME and UNLINK of ours change the ctime too,
    so after each of them a new baseline is taken: see `same_but_ctime`.
    """

    size: int  # bytes
    mtime_ns: int  # by the clock of whoever set it: compared for equality only
    inode: int
    ctime_ns: int  # by the server's clock; nobody can set it

    def same_but_ctime(self, other: "Fingerprint") -> bool:
        """Whether `other` is this version as far as can be known where a LINK, RENAME or UNLINK of our own lies in between."""
        return self[:3] == other[:3]

    def is_as_new_as(self, other: "Fingerprint") -> bool:
        """Whether the last change of `other` came before this one's, or in the same tick of the server's clock."""
        return self.ctime_ns >= other.ctime_ns


class Arrival(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """incoming/<session>/<name>"""

    session: str
    name: str


class FileRef(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """.processing/<date>/<session>/<name>; its blob is <date>/<session>/<name>."""

    date: str  # YYYYMMDD, UTC date of the claim
    session: str
    name: str

    @property
    def blob(self) -> str:
        return f"{self.date}/{self.session}/{self.name}"

    def for_message(self) -> "FileRef":
        """As messages have it, should any part of it be not UTF-8."""
        return FileRef(for_message(self.date), for_message(self.session), for_message(self.name))


type File = Arrival | FileRef
