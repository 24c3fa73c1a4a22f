"""Writing a blob in place of the one that was looked at, and of no other. Uploader process.

A request may arrive late, when the process that sent it is dead, its file was sent by the next one, and a newer version has the
name. So nothing is ever written over whatever happens to be there.
"""

from collections.abc import Callable
from typing import Protocol

from nfsw.actors.azure_errors import BlobThere, ForeignBlocks, StoreTrouble
from nfsw.actors.azure_store import Store, StoredBlob

#: Looks at a blob that is another one each time, before the attempt fails.
_LOOKS = 4


class Write(Protocol):
    """Makes a blob in one request. Raises BlobThere when there is another one than `replace`."""

    async def __call__(self, *, replace: StoredBlob | None) -> None: ...


async def write_in_place_of(
    there: StoredBlob | None,
    write: Write,
    store: Store,
    blob: str,
    *,
    is_ours: Callable[[StoredBlob | None], bool],
    overwrites: Callable[[], None],
) -> None:
    """`there`: what was last seen under the name `blob`. Nothing is written when that turns out to be ours: its answer was lost.

    `overwrites` is called before a blob that is not ours is overwritten. Raises StoreTrouble; ForeignBlocks when something is
    in the way that is no blob: uncommitted blocks, which Azurite minds where a blob is to be put whole.
    """
    for _ in range(_LOOKS):
        if is_ours(there):
            return
        if there:
            overwrites()
        try:
            await write(replace=there)
        except BlobThere as refused:
            before, there = there, await store.look(blob)
            if before is None and there is None:
                raise ForeignBlocks(str(refused)) from refused
        else:
            return
    raise StoreTrouble("somebody else writes this blob again and again")
