"""Under which ids the blocks of a file go up. Pure functions of what lies there; Uploader process.

All block ids of one name have to be of one length. Ours are. Where somebody else has left uncommitted blocks with longer or shorter
ids, ours are made to fit: the commit names our blocks alone, and so drops theirs. To clear the name first would make an empty blob
for an instant, and whoever subscribed to the container's events would be told of it.
"""

from collections.abc import Collection

from nfsw.actors.manifest import Block

#: An id begins with the number of its block in so many characters, and so is the only one of its name.
_SHORTEST = 5
#: Characters of `Block.id`.
_OURS = len(Block(0, 0, 0, 0).id)


class BlockIds:
    def __init__(self) -> None:
        self._length: int | None = None  # None: as `Block.id` has it

    def fit(self, there: Collection[str]) -> bool:
        """Chooses ids that go together with those that lie there. False: none do."""
        lengths = {len(other.encode()) for other in there}
        self._length = None
        if not lengths or _OURS in lengths:
            return True
        self._length = min(lengths)
        return self._length >= _SHORTEST

    @property
    def length(self) -> int | None:
        """What is forced upon us, in characters; None: nothing is."""
        return self._length

    def of(self, block: Block) -> str:
        return block.id if self._length is None else block.id.ljust(self._length, "0")[: self._length]

    @property
    def name_content(self) -> bool:
        """Whether an id is bound to its block's content, so that what Azure holds under it need not be sent. Short ones are not."""
        return self._length is None or self._length >= _OURS
