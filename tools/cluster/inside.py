"""Runs in a pod of the test, on nfsw's image: writes files to the export, and compares what is in Azure with what was written.

Usage: put EXPORT SESSION NAME BYTES UID | missing EXPORT | own EXPORT UID | remove EXPORT. Notes of what was written lie in /tmp.
"""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

from azure.storage.blob import ContainerClient

NOTES = Path("/tmp/notes")  # noqa: S108 - the container's own


def put(export: str, session: str, name: str, size: str, uid: str) -> None:
    hidden, left, digest = Path(export, "incoming", session, f".{name}"), int(size), hashlib.sha256()
    with hidden.open("wb") as file:
        while left:
            piece = os.urandom(min(2**20, left))
            digest.update(piece)
            left -= file.write(piece)
    os.chown(hidden, int(uid), int(uid))
    (NOTES / session).mkdir(parents=True, exist_ok=True)
    (NOTES / session / name).write_text(digest.hexdigest())
    hidden.rename(hidden.with_name(name))


def missing(export: str) -> None:
    """Prints a JSON list: each file that is not equal in Azure, or still on the export. What was equal once is not read again."""
    container = ContainerClient.from_connection_string(os.environ["CONNECTION"], "cluster-test")
    blobs = {name.partition("/")[2]: name for name in container.list_blob_names()} if container.exists() else {}
    found = []
    for note in [path for path in NOTES.rglob("*") if path.is_file() and path.suffix != ".equal"]:
        name = str(note.relative_to(NOTES))
        digest = hashlib.sha256()
        for piece in container.download_blob(blobs[name]).chunks() if name in blobs else ():
            digest.update(piece)
        if name in blobs and digest.hexdigest() == note.read_text():
            note.rename(f"{note}.equal")
        else:
            found.append(f"{name} in Azure is not what was written" if name in blobs else f"{name} is not in Azure")
    left = [path for top in ("incoming", ".processing") for path in Path(export, top).rglob("*") if path.is_file()]
    print(json.dumps(found + [f"{path.relative_to(export)} is still on the export" for path in left]))


def own(export: str, uid: str) -> None:
    """Makes the export, and gives all of it to one user."""
    Path(export, "incoming").mkdir(parents=True, exist_ok=True)
    for path in [Path(export), *Path(export).rglob("*")]:
        os.chown(path, int(uid), int(uid))


def remove(export: str) -> None:
    shutil.rmtree(export)


if __name__ == "__main__":
    for action in (put, missing, own, remove):
        if action.__name__ == sys.argv[1]:
            action(*sys.argv[2:])
