"""Where everything lies: the NFS tree and the staging tree as pure path functions. Any process; nothing here touches a disk."""

import re
from dataclasses import dataclass

from nfsw.actors.files import Arrival, File, FileRef
from nfsw.actors.names import COMPLETED, printable

_DATE = re.compile(r"[0-9]{8}")


def is_date(name: str) -> bool:
    """Whether a folder below `.processing` is one of ours."""
    return _DATE.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class NfsTree:
    """Paths below APP_NFS_ROOT. `incoming` and `.processing` are the contract's; `.nfsw` is ours alone."""

    root: str
    done_suffix: str = ""  # of markers; empty: there are none

    @property
    def processing(self) -> str:
        return f"{self.root}/.processing"

    def incoming(self, session: str) -> str:
        return f"{self.root}/incoming/{session}"

    def day(self, date: str) -> str:
        return f"{self.processing}/{date}"

    def claimed(self, date: str, session: str) -> str:
        return f"{self.processing}/{date}/{session}"

    def source(self, file: File) -> str:
        """The file itself, claimed or not."""
        match file:
            case Arrival(session, name):
                return f"{self.incoming(session)}/{name}"
            case FileRef(date, session, name):
                return f"{self.claimed(date, session)}/{name}"

    def completed(self, file: FileRef) -> str:
        return self.source(file) + COMPLETED

    def marker(self, arrival: Arrival) -> str:
        """What its writer leaves beside it once it is complete. Not to be asked for without a suffix."""
        return self.source(arrival) + self.done_suffix

    @property
    def sessions(self) -> str:
        """Lock files, one a session: who holds it."""
        return f"{self.root}/.nfsw/sessions"

    def lock(self, session: str) -> str:
        return f"{self.sessions}/{session}"

    @property
    def probes(self) -> str:
        """Files of ours on which it is found out what the file system can tell."""
        return f"{self.root}/.nfsw/probes"

    @property
    def abandoned(self) -> str:
        """Notes about claimed files that an operator has given up on."""
        return f"{self.root}/.nfsw/abandoned"

    def abandoned_note(self, file: FileRef) -> str:
        return f"{self.abandoned}/{file.blob}"

    @property
    def kept(self) -> str:
        """Notes about kept files, at the paths of their marks."""
        return f"{self.root}/.nfsw/kept"

    def kept_notes(self, date: str, session: str) -> str:
        return f"{self.kept}/{date}/{session}"

    def kept_note(self, file: FileRef) -> str:
        return f"{self.kept}/{file.blob}{COMPLETED}"

    @property
    def kept_lock(self) -> str:
        """Who has it locked may end kept files."""
        return f"{self.root}/.nfsw/kept-lock"

    def all_displaced(self, session: str) -> str:
        """Names that claims moved out of their way, a folder for each process of the Claimer."""
        return f"{self.root}/.nfsw/aside/{session}"

    def displaced(self, session: str, instance_id: str) -> str:
        return f"{self.all_displaced(session)}/{instance_id}"

    def printable(self, path: str) -> str:
        """`path` as people are told of it: below the root, safe to print."""
        return printable(path.removeprefix(self.root + "/"))


@dataclass(frozen=True, slots=True)
class StagingTree:
    """Paths below APP_STAGING_DIR. Copies and manifests lie apart, so that no name of a file can be taken for a manifest's."""

    root: str

    @property
    def copies(self) -> str:
        return f"{self.root}/copies"

    @property
    def manifests(self) -> str:
        return f"{self.root}/manifests"

    def copy(self, file: FileRef) -> str:
        return f"{self.copies}/{file.blob}"

    def manifest(self, file: FileRef) -> str:
        return f"{self.manifests}/{file.blob}"
