"""LINK and RENAME on NFS, where an answer does not always say what happened, and the names that a claim displaces. NFS processes.

A replayed request may answer EEXIST or ENOENT though it succeeded, so whoever is told that looks.
"""

import errno

from nfsw.actors.nfs import Nfs, is_gone

#: How often the folder for a name may be removed again, since it is empty, before the name is in it.
_SWEPT_AWAY = 8


def link_anew(nfs: Nfs, path: str, name: str) -> bool:
    """Whether `name` is new and `path`'s; False: `name` is taken, or `path` is gone. Makes its folder. Raises OSError."""
    for tries in range(_SWEPT_AWAY):
        try:
            nfs.link(path, name)
        except FileExistsError:
            return False
        except OSError as error:
            if not is_gone(error):
                raise
            if tries and not nfs.observe(path):
                return False
            nfs.make_folder(name.rpartition("/")[0])  # either that is missing, or the file
        else:
            return True
    return False


def move(nfs: Nfs, path: str, name: str) -> bool:
    """Whether `path` was there and is `name` now. `name` is one that nobody else makes; its folder is made. Raises OSError.

    FileNotFoundError: `path` is there and cannot be moved, because something is in the way of the folder.
    """
    for tries in range(_SWEPT_AWAY):
        try:
            nfs.rename(path, name)
        except OSError as error:
            if not is_gone(error):
                raise
            if nfs.observe(name):
                return True
            if tries and not nfs.observe(path):
                return False
            nfs.make_folder(name.rpartition("/")[0])
        else:
            return True
    raise FileNotFoundError(errno.ENOENT, "the folder above does not stay", name)


def remove_displaced(nfs: Nfs, session: str, name: str, instance_id: str) -> None:
    """Removes the name, with the folders that this leaves empty: the Scanner looks into each one in every scan. Raises OSError."""
    top = nfs.tree.displaced(session, instance_id)
    nfs.unlink(f"{top}/{name}")
    while (name := name.rpartition("/")[0]) and nfs.remove_folder(f"{top}/{name}"):
        pass
