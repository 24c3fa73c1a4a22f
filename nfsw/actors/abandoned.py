"""Claimed files that an operator has given up on: each one has a note under `.nfsw/abandoned`. Keeper and Scanner processes.

An abandoned file stays under `.processing`, and nobody stages or sends it any more, so that its session can end. The note is a file
with the path of the blob: `.nfsw/abandoned/<date>/<session>/<file>`. It names the inode that it is about, so another file that gets
the name later is a file like any other. To remove a note is to have its file taken up again.
"""

import json
import os
from collections.abc import Iterator, Set
from dataclasses import asdict, dataclass

from nfsw.actors.actor import Tell
from nfsw.actors.files import FileRef
from nfsw.actors.folder_walk import everything, remove_empty
from nfsw.actors.messages import FileRefused, RefusalLifted
from nfsw.actors.names import printable
from nfsw.actors.nfs import Nfs
from nfsw.actors.notes import read_note, write_note
from nfsw.actors.tree import is_date

#: Bytes of a note that are read.
_LONGEST = 4096
#: Characters of a reason that are written: each may take six bytes.
_LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class AbandonedNote:
    inode: int
    reason: str

    @classmethod
    def parse(cls, text: bytes) -> "AbandonedNote | None":
        """None: not one of ours, or not written to its end."""
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            return None
        if not isinstance(fields, dict) or type(fields.get("inode")) is not int or not isinstance(fields.get("reason"), str):
            return None
        return cls(fields["inode"], fields["reason"].encode(errors="replace").decode())


def claimed_files(nfs: Nfs, session: str, name: str, date: str | None) -> list[FileRef]:
    """The claimed files of that name. One that no JSON can carry goes by what people are shown of it. Raises OSError."""
    return [
        file
        for day in sorted(filter(is_date, nfs.folders(nfs.tree.processing)))
        if date in (None, day)
        for file in _files(nfs, nfs.tree.claimed(day, session), day, session)
        if name in (file.name, printable(file.name))
    ]


def _files(nfs: Nfs, top: str, date: str, session: str) -> Iterator[FileRef]:
    """The files in the folder `top` and those in it. Raises OSError."""
    for place, entries in everything(nfs, top):
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                yield FileRef(date, session, place.below + entry.name)


def abandon(nfs: Nfs, file: FileRef, reason: str) -> bool:
    """Writes the note: whether the file is there. It is on the server's disk when this returns. Raises OSError."""
    seen = nfs.observe(nfs.tree.source(file))
    if seen is None:
        return False
    path = nfs.tree.abandoned_note(file)
    nfs.make_folder(path.rpartition("/")[0])
    text = json.dumps(asdict(AbandonedNote(seen.fingerprint.inode, reason[:_LONGEST_REASON]))).encode()
    write_note(nfs, path, text)
    return True


def forget_abandoned(nfs: Nfs, session: str) -> None:
    """Removes the notes of a session whose files are all gone. Raises OSError."""
    for date in filter(is_date, nfs.folders(nfs.tree.abandoned)):
        folder = f"{nfs.tree.abandoned}/{date}/{session}"
        for file in _files(nfs, folder, date, session):
            nfs.unlink(nfs.tree.abandoned_note(file))
        remove_empty(nfs, folder)
        nfs.remove_folder(os.path.dirname(folder))


class AbandonedFiles:
    """What the notes say, for the Scanner's looks. A note that is about its file is read once."""

    def __init__(self, nfs: Nfs) -> None:
        self._nfs = nfs
        self._notes: dict[FileRef, AbandonedNote] = {}
        self._told: dict[FileRef, str] = {}

    def look(self) -> None:
        """Reads the notes of all sessions. One call while there is none. Raises OSError; then what was known before stays so."""
        self._notes = dict(self._read())

    def names(self, date: str, session: str, below: str) -> Set[str]:
        """Of the abandoned files in one folder. `below`: its path below the session's own, with a slash at its end."""
        if not self._notes:
            return frozenset()
        names = (file.name for file in self._notes if (file.date, file.session) == (date, session))
        return {name.removeprefix(below) for name in names if name[: name.rfind("/") + 1] == below}

    def tell_lifted(self, tell: Tell) -> None:
        """Before the folders are scanned: a file that is not abandoned any more may be refused there for another reason."""
        for file in self._told.keys() - self._notes.keys():
            del self._told[file]
            tell(RefusalLifted(file.for_message()))

    def tell_refused(self, tell: Tell) -> None:
        """After the folders were scanned: that lifts the refusals of files that are abandoned now."""
        for file, note in self._notes.items():
            if self._told.get(file) != note.reason:
                self._told[file] = note.reason
                tell(FileRefused(file.for_message(), f"abandoned: {note.reason}", abandoned=True))

    def _read(self) -> Iterator[tuple[FileRef, AbandonedNote]]:
        root = self._nfs.tree.abandoned
        for date in filter(is_date, self._nfs.folders(root)):
            for session in self._nfs.folders(f"{root}/{date}"):
                for file in _files(self._nfs, f"{root}/{date}/{session}", date, session):
                    note = self._notes.get(file) or self._note(file)
                    if note and self._is_about(note, file):
                        yield file, note

    def _note(self, file: FileRef) -> AbandonedNote | None:
        text = read_note(self._nfs, self._nfs.tree.abandoned_note(file), _LONGEST)
        return None if text is None else AbandonedNote.parse(text)

    def _is_about(self, note: AbandonedNote, file: FileRef) -> bool:
        seen = self._nfs.observe(self._nfs.tree.source(file))
        return seen is not None and seen.fingerprint.inode == note.inode
