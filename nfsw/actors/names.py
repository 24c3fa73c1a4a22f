"""Which names nfsw takes: of sessions, and of files. Pure functions over names; any process.

Names of files are `str` as the operating system decodes them (undecodable bytes are surrogates), so every name that
a folder can hold has one form here.
"""

import os
import re
import unicodedata

COMPLETED = ".completed"

#: Azure's limit for a blob name, in characters (Naming and Referencing Containers, Blobs, and Metadata).
LONGEST_BLOB_NAME = 1024

_SESSION = re.compile(r"[a-zA-Z0-9_\-.]{1,128}")


def bad_session_name(name: str) -> str | None:
    """Why `name` cannot be a session's, None when it can. Azure drops a trailing dot, hence that rule."""
    if not name:
        return "the session name is empty"
    if len(name) > 128:
        return f"the session name has {len(name)} characters; at most 128 are allowed"
    if not _SESSION.fullmatch(name):
        return "a session name has only letters, digits, underscore, hyphen and dot (a-z A-Z 0-9 _ - .)"
    if name.startswith("."):
        return "a session name does not begin with a dot"
    if name.endswith("."):
        return "a session name does not end with a dot"
    return None


def is_hidden(name: str) -> bool:
    """Whether a file of this name is never taken: writers use such names for what is not complete yet, NFS for silly renames (`.nfs…`)."""
    return name.startswith(".")


def is_wanted(name: str, extensions: tuple[str, ...]) -> bool:
    """Whether a file of this name is to be looked at: not hidden, and with an extension that is asked for.

    `extensions` are casefolded: instruments write `x.bin` and `x.BIN` alike.
    """
    return not is_hidden(name) and (not extensions or name.casefold().endswith(extensions))


def refusal(name: str, prefix: str, longest: int) -> str | None:
    """Why a file called `name` is never claimed, None when it may be.

    `prefix`: what stands before it in the blob name, with its slash. `longest`: the file system's limit for one name, in bytes.
    """
    room = min(longest - len(COMPLETED), LONGEST_BLOB_NAME - len(prefix))
    if len(name) <= room and name.isascii() and name.isprintable() and "\\" not in name and not name.endswith((COMPLETED, ".")):
        return None  # as nearly every name of a flood: there is nothing to look at one by one
    if name.endswith(COMPLETED):
        return f"a name that ends in {COMPLETED} is the mark of a file that was sent"
    if reason := _unholdable(name) or _too_long(prefix + name):
        return reason
    if (size := len(name.encode()) + len(COMPLETED)) > longest:
        return f"with {COMPLETED} the name would have {size} bytes; the file system holds {longest}"
    return None


def folder_refusal(name: str, prefix: str) -> str | None:
    """Why no file in a folder called `name` is ever claimed, None when they may be. `prefix`: as for `refusal`."""
    if name.endswith(COMPLETED):
        return f"a folder whose name ends in {COMPLETED} would have the name of a mark: of a file that was sent"
    return _unholdable(name) or _too_long(f"{prefix}{name}/f")


def _unholdable(name: str) -> str | None:
    """Why Azure cannot hold the name of a file or a folder, however short it is."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "the name is not UTF-8"
    if not name.isprintable() and any(unicodedata.category(character) == "Cc" for character in name):
        return "the name has a control character"
    if "\\" in name:
        return "the name has a backslash, which Azure turns into a slash"
    if not name.isascii() and any(ord(character) & 0xFFFE == 0xFFFE for character in name):
        return "the name has a character that Azure cannot hold (U+FFFE or U+FFFF)"
    if name.endswith("."):
        return "the name ends in a dot, which Azure drops"
    return None


def _too_long(blob: str) -> str | None:
    # UTF-16 code units: how the service counts a character outside of the basic plane is not documented, so the larger number holds.
    if (characters := len(blob.encode("utf-16-le")) // 2) > LONGEST_BLOB_NAME:
        return f"the blob name would have {characters} characters; Azure holds {LONGEST_BLOB_NAME}"
    return None


def for_message(name: str) -> str:
    """`name` as messages have it: they carry no bytes that are not UTF-8. Such a file is never taken, only spoken of."""
    undecodable = not name.isascii() and any("\udc80" <= character <= "\udcff" for character in name)
    return printable(name) if undecodable else name


def printable(name: str) -> str:
    """`name` as text that is safe in JSON, logs and terminals: undecodable bytes and control characters as escapes."""
    if name.isprintable():
        return name
    return "".join(
        character if character.isprintable() else "".join(f"\\x{byte:02x}" for byte in os.fsencode(character)) for character in name
    )
