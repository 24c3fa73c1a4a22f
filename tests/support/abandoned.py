"""What the notes about abandoned files say."""

from nfsw.actors.abandoned import AbandonedFiles
from nfsw.actors.files import FileRef


def noted(abandoned: AbandonedFiles) -> dict[FileRef, str]:
    """The files that are abandoned now, and why."""
    abandoned.look()
    return {file: note.reason for file, note in abandoned._notes.items()}
