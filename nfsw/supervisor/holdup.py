"""What keeps a session that was stopped from ending: claimed files that cannot be finished, and why. Main process; pure."""

from collections.abc import Iterator

from nfsw.actors.files import File, FileRef
from nfsw.actors.names import printable
from nfsw.supervisor.tracked_file import TrackedFiles


def holdup(session: str, files: TrackedFiles, opened: File | None) -> str | None:
    """One such file and its reason, and how many others there are; None: none is known. Those that no retry cures come first."""
    held = dict(held_up(session, files, opened))
    for file, reason in held.items():
        others = f"; files held up besides it: {len(held) - 1}" if len(held) > 1 else ""
        return f"{printable(file.name)}, claimed on {file.date}, is not finished: {reason}{others}"
    return None


def held_up(session: str, files: TrackedFiles, opened: File | None) -> Iterator[tuple[FileRef, str]]:
    """Claimed files that are refused, or have met an error that they have not got over, or are open for writing, and why.

    `opened`: the file that has been open for writing for longest.
    """
    ours = [(record.file, record) for record in files if isinstance(record.file, FileRef) and record.file.session == session]
    for file, record in ours:
        if record.refused and not record.abandoned:
            yield file, record.refused
    for file, record in ours:
        if record.error is not None and not record.refused:
            yield file, record.error
    if isinstance(opened, FileRef) and opened.session == session:
        yield opened, "somebody has it open for writing"
