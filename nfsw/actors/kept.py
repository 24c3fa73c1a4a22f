"""Kept files: in Azure, marked as `.completed`, and left on NFS for APP_KEEP_COMPLETED_S. Collector, Scanner and Keeper processes.

Each one has a note under `.nfsw/kept`, at the path that its mark has under `.processing`. The note says what the file was once it had been
marked, so it proves that this is what was sent: its staged copy is gone by then. A file is kept from its mark on, by its ctime, which our
rename has set and nobody else can set, and by the server's clock: the clock of a pod may be wrong.

A kept file without its note is one of which nobody knows what was sent. To remove the note is to have the file read and sent again.
"""

import fcntl
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from nfsw.actors import notes
from nfsw.actors.files import FileRef, Fingerprint
from nfsw.actors.folder_walk import everything, remove_empty
from nfsw.actors.lock import TAKEN
from nfsw.actors.names import COMPLETED
from nfsw.actors.nfs import Nfs, is_gone
from nfsw.actors.tree import is_date

#: Bytes of a note that are read.
_LONGEST = 1024


def write_note(nfs: Nfs, file: FileRef, marked: Fingerprint) -> None:
    """The note has its name only once it is whole and on the server's disk. Raises OSError."""
    path, made = nfs.tree.kept_note(file), f"{nfs.tree.probes}/{uuid.uuid4().hex}"
    nfs.make_folder(nfs.tree.probes)
    notes.write_note(nfs, made, json.dumps(marked._asdict()).encode())
    try:
        nfs.rename(made, path)
    except OSError as error:
        if not is_gone(error):
            raise
        nfs.make_folder(os.path.dirname(path))
        nfs.rename(made, path)


def read_note(nfs: Nfs, file: FileRef) -> Fingerprint | None:
    """What the file was once it was marked; None: there is no note, or none of ours. Raises OSError."""
    text = notes.read_note(nfs, nfs.tree.kept_note(file), _LONGEST)
    return None if text is None else _parsed(text)


def remove_note(nfs: Nfs, file: FileRef) -> None:
    """Raises OSError."""
    nfs.unlink(nfs.tree.kept_note(file))


def folders_with_notes(nfs: Nfs) -> list[tuple[str, str]]:
    """Date and session of each folder of notes. One call while there is none. Raises OSError."""
    root = nfs.tree.kept
    return [(date, session) for date in sorted(filter(is_date, nfs.folders(root))) for session in nfs.folders(f"{root}/{date}")]


def noted_files(nfs: Nfs, date: str, session: str) -> set[str]:
    """Names of the files that have a note. Raises OSError."""
    return {name.removesuffix(COMPLETED) for name, _ in _files(nfs, nfs.tree.kept_notes(date, session)) if name.endswith(COMPLETED)}


def noted_marks(nfs: Nfs, date: str, session: str, below: str) -> set[str]:
    """The notes for the marks in one folder. `below`: its path below the session's own, with a slash at its end. Raises OSError."""
    return {entry.name for entry in nfs.listing(f"{nfs.tree.kept_notes(date, session)}/{below}".removesuffix("/"))}


def holds_kept_files_alone(nfs: Nfs, date: str, session: str) -> bool:
    """Whether there are such files in the session's folder of that day, and nothing else. Raises OSError."""
    found = [name if entry.is_file(follow_symlinks=False) else "" for name, entry in _files(nfs, nfs.tree.claimed(date, session))]
    marked = {name.removesuffix(COMPLETED) for name in found if name.endswith(COMPLETED)}
    return 0 < len(marked) == len(found) and marked <= noted_files(nfs, date, session)


def holds_no_file(nfs: Nfs, date: str, session: str) -> bool:
    """Whether there is nothing but folders in the session's folder of that day. Raises OSError."""
    return not any(True for _ in _files(nfs, nfs.tree.claimed(date, session)))


def remove_folder_of_notes(nfs: Nfs, date: str, session: str) -> None:
    """If there is none in it any more. Raises OSError."""
    remove_empty(nfs, nfs.tree.kept_notes(date, session))
    nfs.remove_folder(f"{nfs.tree.kept}/{date}")


@contextmanager
def sweeping(nfs: Nfs) -> Iterator[tuple[bool, int]]:
    """Whether no other pod ends kept files now, and until this ends; and the server's clock, in ns since the epoch. Raises OSError.

    Two pods must not do it at a time: a delete that comes late could hit the next file of the name. The clock is read off the ctime of a
    file of ours that was touched just now.
    """
    path = nfs.tree.kept_lock
    with nfs.call("open", path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        with nfs.call("flock", path):
            alone = _lock(fd)
        with nfs.call("utime", path):
            os.utime(fd)
            now_ns = os.fstat(fd).st_ctime_ns
        yield alone, now_ns
    finally:
        with nfs.call("close", path):
            os.close(fd)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in TAKEN:
            return False
        raise
    return True


def _parsed(text: bytes) -> Fingerprint | None:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if (
        not isinstance(fields, dict)
        or fields.keys() != set(Fingerprint._fields)
        or any(type(value) is not int for value in fields.values())
    ):
        return None
    return Fingerprint(**fields)


def _files(nfs: Nfs, top: str) -> "Iterator[tuple[str, os.DirEntry[str]]]":
    """All that is no folder, in `top` and those below, by its path from there."""
    for place, entries in everything(nfs, top):
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                yield place.below + entry.name, entry
