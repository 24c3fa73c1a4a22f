"""What lies in the staging folder: counted, and removed. Any process; local disk."""

import contextlib
import os
import shutil

from nfsw.actors.files import FileRef
from nfsw.actors.tree import StagingTree


def staged_files(staging: StagingTree) -> list[tuple[str, str, str, int]]:
    """Date, session, name and size in bytes of each copy and each manifest in staging, added up by file."""
    sizes: dict[tuple[str, str, str], int] = {}
    for top in (staging.copies, staging.manifests):
        for folder, _, names in os.walk(top):
            date, _, rest = os.path.relpath(folder, top).partition("/")
            session, _, inner = rest.partition("/")
            for name in names:
                key = (date, session, f"{inner}/{name}" if inner else name)
                with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                    sizes[key] = sizes.get(key, 0) + os.lstat(f"{folder}/{name}").st_size
    return [(*key, size) for key, size in sizes.items()]


def discard(staging: StagingTree, file: FileRef) -> None:
    """Removes copy and manifest, and the folders that this empties. Raises OSError."""
    for path in (staging.manifest(file), staging.copy(file)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        prune(os.path.dirname(path), staging.root)


def forget_older_releases(staging: StagingTree) -> None:
    """Removes what nfsw 0.1 noted beside its copies. It counts for nothing: those files are staged anew."""
    shutil.rmtree(f"{staging.root}/proofs", ignore_errors=True)


def prune(folder: str, root: str) -> None:
    """Removes `folder` and those above it, as far as they are empty, up to `root`, which stays."""
    while folder != root:
        try:
            os.rmdir(folder)
        except OSError:
            return  # not empty, or gone: somebody else's now
        folder = os.path.dirname(folder)
