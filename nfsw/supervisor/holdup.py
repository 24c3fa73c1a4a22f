"""What keeps a session that was stopped from ending: claimed files that cannot be finished, and why. Main process; pure."""

from collections.abc import Iterator, Mapping

from nfsw.actors.files import File, FileRef
from nfsw.actors.messages import FileRefused
from nfsw.actors.names import shown
from nfsw.supervisor.ledger import Ledger


def holdup(session: str, ledger: Ledger, refused: Mapping[File, FileRefused], opened: File | None) -> str | None:
    """One such file and its reason, and how many others there are; None: none is known. Those that no retry cures come first."""
    files = dict(held_up(session, ledger, refused, opened))
    for file, reason in files.items():
        others = f"; files held up besides it: {len(files) - 1}" if len(files) > 1 else ""
        return f"{shown(file.name)}, claimed on {file.date}, is not finished: {reason}{others}"
    return None


def held_up(session: str, ledger: Ledger, refused: Mapping[File, FileRefused], opened: File | None) -> Iterator[tuple[FileRef, str]]:
    """Claimed files that are refused, or have met an error that they have not got over, or are open for writing, and why.

    `opened`: the file that has been open for writing for longest.
    """
    for file, refusal in refused.items():
        if isinstance(file, FileRef) and file.session == session and not refusal.abandoned:
            yield file, refusal.reason
    for entry in ledger:
        if isinstance(entry.file, FileRef) and entry.file.session == session and entry.error is not None:
            yield entry.file, entry.error
    if isinstance(opened, FileRef) and opened.session == session:
        yield opened, "somebody has it open for writing"
